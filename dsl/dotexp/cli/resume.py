"""`spec-runner resume`."""

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
)
from dotexp.cli.run import close, row
from dotexp.cli.session import note_work_done
from dotexp.commands.references import find_unfinished
from dotexp.runs.results import Status


@click.command("resume")
@click.argument("run")
@click.option("--allow-changes", is_flag=True, help="Go on though something has changed; the result says so.")
@report_option
@device_option
@runs_option
@json_option
def command(run: str, allow_changes: bool, report: bool, device: str | None, root: Path, as_json: bool) -> None:
    """Go on with an interrupted run, from its last checkpoint.

    RUN is a run's name, its folder, or an experiment's name for its newest run. On the CPU the finished run is
    bit-identical to one that was never interrupted. What has changed since - the experiment, the data, a version, the
    device - is told, and needs --allow-changes. A finished run is left as it is.
    """
    from dotexp.cli.display import Display
    from dotexp.commands.workspace import Workspace

    folder = find_unfinished(run, root)
    if folder.status is Status.finished:
        print_line(f"{folder.name} is finished: nothing is left to do", err=True)
    else:
        workspace = Workspace(root, device)
        workspace.resume(folder, allow_changes=allow_changes, listener=Display(), notify=print_warnings, report=report)
    note_work_done()
    if as_json:
        print_json({"format_version": 1, "runs": [row(folder)]})
    else:
        close(folder, root)
