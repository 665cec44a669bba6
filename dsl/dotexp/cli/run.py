"""`spec-runner run`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.api import load, run
from dotexp.cli.output import device_option, json_option, print_diagnostics, print_json, runs_option, said, set_option
from dotexp.runs import RunFolder
from dotexp.spec import Device


@click.command("run")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…")
@set_option
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random, whatever the spec says.")
@device_option
@runs_option
@json_option
def command(
    specs: tuple[str, ...],
    overrides: tuple[str, ...],
    seed: int | None,
    device: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Run specs, one after the other: check, plan, train, and leave a run's folder each.

    Every spec is checked before the first one starts. SPEC is a file, or - for standard input.
    """
    every = (*overrides, f"seed={seed}") if seed is not None else overrides
    checked = [load(spec, every) for spec in specs]
    from dotexp.cli.display import Display

    folders = []
    for resolved in checked:
        folder = run(
            resolved,
            runs=root,
            device=Device(device) if device else None,
            listener=Display(),
            notify=lambda warnings: print_diagnostics(warnings, err=True),
        )
        folders.append(folder)
        if not as_json:
            _close(folder, root)
    if as_json:
        print_json({"format_version": 1, "runs": [_row(folder) for folder in folders]})


def _row(folder: RunFolder) -> dict[str, object]:
    result = folder.read_result()
    stages = [vars(stage) for stage in result.stages] if result else []
    return {"run": folder.name, "path": str(folder.path), "status": str(folder.status), "stages": stages}


def _close(folder: RunFolder, root: Path) -> None:
    result = folder.read_result()
    if result is None or not result.stages:
        return
    last = result.stages[-1]
    numbers = "".join(f", {name} {said(value)}" for name, value in last.metrics.items())
    click.echo(f"{folder.name}: valid loss {said(last.valid_loss)}{numbers} ({result.seconds:.0f} s)")
    option = "" if root == Path("runs") else f" --runs {root}"
    click.echo(f"  in {folder.path}")
    click.echo(f"  next: spec-runner evaluate {folder.name}{option}")
    click.echo(f"        spec-runner predict {folder.name} INPUT…{option}")
