"""`spec-runner runs`: ls, show, compare and rm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dotexp.cli.output import json_option, print_json, print_line, print_table, runs_option, said
from dotexp.cli.session import note_work_done
from dotexp.language.diagnostics import DotexpError, UsageError
from dotexp.language.wording import counted
from dotexp.runs.folder import RunFolder, list_runs, open_run
from dotexp.runs.freeze_proof import Freezing
from dotexp.runs.headline import headline, stage_json, weights_of, weights_text
from dotexp.runs.lock import NAME as LOCK
from dotexp.runs.lock import holder, remove_run
from dotexp.runs.results import StageResult

_SHOWN = 5


@click.group("runs")
def command() -> None:
    """List, show, compare and remove runs."""


@command.command("ls")
@runs_option
@json_option
def ls(root: Path, as_json: bool) -> None:
    """List the runs in a folder, with the numbers of their models."""
    rows = [_listed(folder) for folder in list_runs(root)]
    if as_json:
        print_json({"format_version": 1, "runs": rows})
    elif rows:
        header = ("run", "status", "seconds", "valid_loss", "metrics", "weights")
        print_table([_cells(row) for row in rows], header)
    else:
        click.echo(f"no runs in {root}")


@command.command("show")
@click.argument("run")
@runs_option
@json_option
def show(run: str, root: Path, as_json: bool) -> None:
    """Show a run: how it ended, every epoch, and what each stage left as it was and moved."""
    folder = open_run(run, root)
    epochs, result = folder.read_epochs(), folder.read_result()
    if as_json:
        stages = [stage_json(stage) for stage in result.stages] if result else []
        print_json({"format_version": 1, **_row(folder), "epochs": [vars(each) for each in epochs], "stages": stages})
        return
    print_line(f"{folder.name}: {folder.status}, in {folder.path}")
    if result is not None:
        print_line(f"  {counted(result.parameters, 'parameter')} on {result.device}, {result.seconds:.0f} s")
        if result.reason:
            print_line(f"  {result.reason}")
    main = headline(folder)
    if main is not None:
        numbers = "".join(f", {name} {said(value)}" for name, value in main.metrics.items())
        print_line(f"  valid loss {said(main.valid_loss)}{numbers}, of the weights of {main.weights}")
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.numbers))
    header = ("stage", "epoch", "train_loss", "valid_loss", *names, "seconds")
    rows = [
        (e.stage, str(e.epoch), said(e.train_loss), said(e.valid_loss), *(said(e.numbers.get(n)) for n in names),
         f"{e.seconds:.1f}")
        for e in epochs
    ]  # fmt: skip
    print_table(rows, header)
    for stage in result.stages if result else ():
        proof = "" if stage.freezing is None else f"; {_proof(stage.freezing)}"
        skipped = f"; {stage.skipped_text}" if stage.skipped_steps else ""
        print_line(f"stage {stage.name}: ended with the weights of {weights_of(stage)}{proof}{skipped}")


@command.command("compare")
@click.argument("runs", nargs=-1, required=True)
@runs_option
@json_option
def compare(runs: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Compare runs: their numbers stage by stage, side by side."""
    folders = [open_run(run, root) for run in runs]
    if as_json:
        print_json({"format_version": 1, "runs": [_row(folder) for folder in folders]})
        return
    results = [folder.read_result() for folder in folders]
    stages = [{stage.name: stage for stage in result.stages} if result else {} for result in results]
    names = list(dict.fromkeys(name for each in stages for name in each))
    rows = []
    for name in names:
        metrics = dict.fromkeys(m for each in stages if name in each for m in each[name].metrics)
        for number in ("train_loss", "valid_loss", *metrics):
            rows.append((name, number, *(said(_number(each.get(name), number)) for each in stages)))
        rows.append((name, "weights", *(weights_of(each[name]) if name in each else "-" for each in stages)))
    print_table(rows, ("stage", "number", *(folder.name for folder in folders)))


@command.command("rm")
@click.argument("runs", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@runs_option
def rm(runs: tuple[str, ...], yes: bool, root: Path) -> None:
    """Remove runs for good. RUN is a run's name or folder; an experiment's name alone is not enough.

    A run that a process works on is not removed, and no new run is given a removed one's name. Exits with 1 where the
    answer is no.
    """
    found = [_removable(run, root) for run in runs]
    folders = list({folder.path.resolve(): folder for folder in found}.values())
    if not yes and not _confirmed(f"remove {', '.join(folder.name for folder in folders)}?"):
        click.echo("nothing is removed")
        raise click.exceptions.Exit(1)
    for folder in folders:
        remove_run(folder)
        note_work_done()
        click.echo(f"removed {folder.path}")


def _removable(run: str, root: Path) -> RunFolder:
    folder = open_run(run, root)
    if folder.name != Path(run).name:
        raise UsageError(f"say which run to remove: `{run}` is an experiment, its newest run is `{folder.name}`")
    if folder.path.is_symlink():
        raise UsageError(f"{folder.path} is a link: remove what it points to yourself")
    held = holder(folder)
    if held is not None:
        lock = folder.path / LOCK
        raise UsageError(f"{folder.name} is going on, in {held.said}: stop it first; if it is gone, remove {lock}")
    return folder


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(question)
    except click.Abort as stop:
        if isinstance(stop.__context__, EOFError):
            raise UsageError("nobody can be asked here: --yes removes without asking") from None
        raise


def _listed(folder: RunFolder) -> dict[str, Any]:
    """A run's row; one whose files cannot be read keeps its place, so that the others are listed."""
    try:
        return _row(folder)
    except (DotexpError, OSError) as error:
        row = {"run": folder.name, "path": str(folder.path), "experiment": None, "status": "unreadable"}
        return {**row, "seconds": None, "valid_loss": None, "metrics": {}, "weights": None, "reason": str(error)}


def _row(folder: RunFolder) -> dict[str, Any]:
    result = folder.read_result()
    main = headline(folder)
    numbers = {"valid_loss": None, "metrics": {}, "weights": None} if main is None else main.as_json()
    return {
        "run": folder.name,
        "path": str(folder.path),
        "experiment": folder.experiment,
        "status": str(folder.status),
        "seconds": result.seconds if result else None,
        **numbers,
    }


def _proof(found: Freezing) -> str:
    if found.changed:
        frozen = (
            f"{len(found.changed)} of {counted(found.frozen_tensors, 'frozen tensor')} CHANGED: {_some(found.changed)}"
        )
    elif found.before is not None:
        frozen = f"{counted(found.frozen_tensors, 'frozen tensor')} unchanged (sha256 {found.before[:12]})"
    else:
        frozen = "nothing frozen"
    moved = found.trained_tensors - len(found.still)
    still = f"; not moved: {_some(found.still)}" if found.still else ""
    return f"{frozen}; {moved} of {counted(found.trained_tensors, 'trained tensor')} moved{still}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    metrics = ", ".join(f"{name} {said(value)}" for name, value in row["metrics"].items())
    seconds = "-" if row["seconds"] is None else f"{row['seconds']:.1f}"
    weights = row["weights"]
    if weights is None:
        shown = "-"
    elif weights["saved"]:
        shown = weights_text(weights["epoch"], weights["epochs"], weights["best"], weights["stage"])
    else:
        shown = f"stage {weights['stage']}, epoch {weights['epoch']}"
    return row["run"], row["status"], seconds, said(row["valid_loss"]), metrics or "-", shown


def _number(stage: StageResult | None, name: str) -> object:
    if stage is None:
        return None
    losses = {"train_loss": stage.train_loss, "valid_loss": stage.valid_loss}
    return losses[name] if name in losses else stage.metrics.get(name)
