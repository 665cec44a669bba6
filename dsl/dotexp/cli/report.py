"""`spec-runner report`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import device_option, json_option, print_json, print_line, runs_option, set_option
from dotexp.cli.session import note_work_done
from dotexp.commands.workspace import Workspace


@click.command("report")
@click.argument("run")
@set_option
@device_option
@runs_option
@json_option
def command(run: str, overrides: tuple[str, ...], device: str | None, root: Path, as_json: bool) -> None:
    """Write a run's report.html anew, and print where it is.

    RUN is a run's name, its folder, or an experiment's name (its newest finished run); a run that failed or was
    interrupted has a report, too. --set says where the data is now, or which sections are wanted:
    --set 'report=[confusion_matrix, top_losses(20)]'. What could not be reported is a warning, and said in the page.
    """
    written = Workspace(root, device).report(run, overrides)
    note_work_done()
    for problem in written.problems:
        print_line(f"warning: {problem}", err=True)
    if as_json:
        print_json(written.as_json())
    else:
        click.echo(written.path)
