"""`spec-runner evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import (
    device_option,
    json_option,
    print_json,
    print_line,
    print_table,
    runs_option,
    said,
    set_option,
)
from dotexp.commands.workspace import Workspace
from dotexp.runs.headline import headline


@click.command("evaluate")
@click.argument("run")
@click.option(
    "--split", "--part", "part", type=click.Choice(["valid", "test"]), default="valid", show_default=True,
    help="Evaluate on the validation or the test set.",
)  # fmt: skip
@set_option
@device_option
@runs_option
@json_option
def command(run: str, part: str, overrides: tuple[str, ...], device: str | None, root: Path, as_json: bool) -> None:
    """Compute a run's loss and metrics over its validation or test set.

    RUN is a run's name, its folder, or an experiment's name (its newest finished run). Where the data has moved, --set
    gives the parameter that names it: data.path=NEW, or data.table=NEW for a table of images; the error says which.
    """
    workspace = Workspace(root, device)
    folder = workspace.open(run)
    result, main = workspace.evaluate(folder, part, overrides), headline(folder)
    if as_json:
        row = {"run": folder.name, "part": part, "loss": result.loss, "metrics": dict(result.metrics)}
        print_json({"format_version": 1, **row, "weights": main.as_json()["weights"] if main else None})
    else:
        numbers = [("loss", said(result.loss)), *((name, said(value)) for name, value in result.metrics.items())]
        click.echo(f"{folder.name}, {part}" + (f", weights of {main.weights}" if main else ""))
        print_table(numbers)
    for fault in result.faults():
        print_line(f"warning: {fault}", err=True)
