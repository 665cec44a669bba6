"""`spec-runner lr-find`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dotexp.cli.lr_find_view import FORMATS, as_text, write_figure
from dotexp.cli.output import device_option, json_option, print_json, print_warnings, runs_option, set_option
from dotexp.cli.session import note_work_done
from dotexp.commands.rate_edits import Written, scaled_rate, write_rate
from dotexp.commands.workspace import Workspace
from dotexp.components.registry import Registry
from dotexp.engine.lr_suggestions import FIRST, LAST, STEPS, LrFind, Rule
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import RunError, UsageError

_RATE = click.FloatRange(1e-30, 1e4)


@click.command("lr-find")
@click.argument("spec")
@click.option("--stage", metavar="NAME", help="Stage to find the learning rate of; needed where there are several.")
@click.option(
    "--run", metavar="RUN", help="Run of this spec whose checkpoint of the stage's start is used where it has one."
)
@click.option(
    "--suggestion", type=click.Choice([str(rule) for rule in Rule]), default=str(Rule.valley), show_default=True,
    help="Suggestion to take.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Write the suggestion into the spec; all else in the file stays as it is.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the curve as .png, .svg or .pdf.")
@click.option("--steps", type=click.IntRange(10, 100_000), default=STEPS, show_default=True, help="Steps of the sweep.")
@click.option("--from", "first", type=_RATE, default=FIRST, show_default=True, help="Rate that the sweep starts with.")
@click.option("--to", "last", type=_RATE, default=LAST, show_default=True, help="Rate that it goes towards.")
@set_option
@device_option
@runs_option
@json_option
def command(
    spec: str,
    stage: str | None,
    run: str | None,
    suggestion: str,
    write: bool,
    out: Path | None,
    steps: int,
    first: float,
    last: float,
    overrides: tuple[str, ...],
    device: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Find a stage's learning rate: raise it step by step, look at the loss, and suggest one.

    The stage is as it will be in the run: its weights, what is frozen, optimizer, batches, loss. The stages before it
    are trained first, in a temporary folder, unless --run has a checkpoint. A slice, list or map keeps its ratios: the
    sweep moves the rate of the last group that trains. No run changes, and the spec does with --write alone.
    """
    _check_out(out)
    from dotexp.cli.display import Bar, Display

    workspace = Workspace(root, device)
    resolved = workspace.load(spec, overrides)
    with Bar("sweep", "steps") as bar:
        found = workspace.lr_find(
            resolved, stage, run=run, steps=steps, first=first, last=last, listener=Display(),
            progress=lambda step: bar.update(step, steps), notify=print_warnings,
        )  # fmt: skip
    chosen, written = Rule(suggestion), None
    if not as_json:
        click.echo(as_text(found, chosen))
    try:
        if out is not None:
            write_figure(found, out)
            note_work_done()
        if write:
            written = _write(resolved, found, chosen, workspace.registry)
            note_work_done()
    finally:  # the sweep is not lost where a file cannot be written
        if as_json:
            print_json(_json(found, chosen, written))
    if written is not None and not as_json:
        _tell(found, chosen, written)


def _check_out(out: Path | None) -> None:
    if out is None:
        return
    if out.suffix[1:].lower() not in FORMATS:
        raise UsageError(f"{out} should end in {', '.join(f'.{each}' for each in FORMATS[:-1])} or .{FORMATS[-1]}")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}")


def _write(resolved: Resolved, found: LrFind, chosen: Rule, registry: Registry) -> Written:
    rate = found.suggestions[chosen]
    if rate is None:
        raise RunError(f"nothing is written: the curve does not bear out a suggestion by `{chosen}`")
    return write_rate(resolved, scaled_rate(resolved, found.stage, rate / found.peak, registry), registry)


def _tell(found: LrFind, chosen: Rule, written: Written) -> None:
    click.echo(f"\nwritten: lr = {found.values[chosen]}, at {', '.join(written.places)}")
    if written.also:
        click.echo(f"  a param is named elsewhere, too, so this changes {', '.join(written.also)} as well")


def _json(found: LrFind, chosen: Rule, written: Written | None) -> dict[str, Any]:
    sweep = found.sweep
    return {
        "format_version": 1,
        "experiment": found.experiment,
        "stage": found.stage,
        "group": found.group,
        "peaks": dict(found.peaks),
        "weights": found.start,
        "lr": sweep.rates,
        "loss": sweep.losses,
        "steps": sweep.planned,
        "stopped": sweep.stopped or None,
        "suggestions": {str(rule): {"lr": found.suggestions[rule], "value": found.values[rule]} for rule in Rule},
        "chosen": str(chosen),
        "written": None if written is None else {"places": written.places, "also": written.also},
    }
