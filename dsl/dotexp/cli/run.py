"""`spec-runner run`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import (
    device_option,
    json_option,
    print_json,
    print_line,
    print_warnings,
    report_option,
    runs_option,
    said,
    set_option,
)
from dotexp.cli.session import note_work_done
from dotexp.commands.workspace import Workspace
from dotexp.experiment.checking import Overrides
from dotexp.experiment.overrides import override_of
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import SpecError
from dotexp.runs.folder import RunFolder, newest_unfinished
from dotexp.runs.headline import headline, stage_json, weights_of
from dotexp.runs.lock import holder
from dotexp.runs.results import Status


@click.command("run")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…")
@set_option
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random, whatever the spec says.")
@report_option
@device_option
@runs_option
@json_option
def command(
    specs: tuple[str, ...],
    overrides: tuple[str, ...],
    seed: int | None,
    report: bool,
    device: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Run specs, one after the other: check, plan, train, and leave a run's folder each.

    Every spec is checked before the first one starts. SPEC is a file, or - for standard input.
    """
    seeds = () if seed is None else (override_of("seed", seed, "--seed"),)
    workspace = Workspace(root, device)
    checked = _load_all(workspace, specs, (*overrides, *seeds))
    from dotexp.cli.display import Display

    folders = []
    for resolved in checked:
        _offer_to_resume(resolved.experiment.name, root)
        folder = workspace.run(resolved, listener=Display(), notify=print_warnings, report=report)
        folders.append(folder)
        note_work_done()
        if not as_json:
            close(folder, root)
    if as_json:
        print_json({"format_version": 1, "runs": [row(folder) for folder in folders]})


def _load_all(workspace: Workspace, specs: tuple[str, ...], overrides: Overrides) -> list[Resolved]:
    found = [workspace.check(spec, overrides) for spec in specs]
    if any(resolved is None for resolved, _ in found):
        raise SpecError([diagnostic for _, diagnostics in found for diagnostic in diagnostics])
    return [resolved for resolved, _ in found if resolved is not None]


def _offer_to_resume(experiment: str, root: Path) -> None:
    left = newest_unfinished(experiment, root)
    if left is not None and left.status is not Status.failed and holder(left) is None:
        print_line(f"note: {left.name} was interrupted, and this is a new run; to go on: {left.resume_line}", err=True)


def row(folder: RunFolder) -> dict[str, object]:
    """A run as `--json` prints it."""
    result = folder.read_result()
    main = headline(folder)
    stages = [stage_json(stage) for stage in result.stages] if result else []
    row = {"run": folder.name, "path": str(folder.path), "status": str(folder.status)}
    return {**row, **(main.as_json() if main else {}), "stages": stages}


def close(folder: RunFolder, root: Path) -> None:
    """Print a finished run's numbers, and what to do with it."""
    result, main = folder.read_result(), headline(folder)
    if result is None or main is None:
        return
    numbers = "".join(f", {name} {said(value)}" for name, value in main.metrics.items())
    print_line(f"{folder.name}: valid loss {said(main.valid_loss)}{numbers} ({result.seconds:.0f} s)")
    click.echo(f"  of the weights of {main.weights}")
    for stage in result.stages[:-1]:
        if stage.best_epoch is not None:
            click.echo(f"  stage {stage.name} ended with the weights of {weights_of(stage)}")
    for stage in result.stages:
        if stage.skipped_steps:
            click.echo(f"  stage {stage.name}: {stage.skipped_text}")
    option = "" if root == Path("runs") else f" --runs {root}"
    click.echo(f"  in {folder.path}")
    if folder.report.exists():
        click.echo(f"  report: {folder.report}")
    click.echo(f"  next: spec-runner evaluate {folder.name}{option}")
    click.echo(f"        spec-runner predict {folder.name} INPUT…{option}")
