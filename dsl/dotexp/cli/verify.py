"""`spec-runner verify`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import device_option, json_option, print_json, runs_option
from dotexp.cli.session import note_work_done


@click.command("verify")
@click.argument("run")
@device_option
@runs_option
@json_option
def command(run: str, device: str | None, root: Path, as_json: bool) -> None:
    """Do a finished run again and say whether it gives the same bits.

    Weights, every metric and every step's learning rates are compared; the run's folder stays as it is. On the CPU
    the bits are the same for any number of data workers, with the same versions and number of threads; verify takes
    the threads and the device that the run had. Exits with 1 where something differs.
    """
    from dotexp.cli.display import Display
    from dotexp.commands.workspace import Workspace

    found = Workspace(root, device).verify(run, listener=Display())
    note_work_done()
    if as_json:
        same = not found.differences
        answer = {"same": same, "differences": list(found.differences), "changes": list(found.changes)}
        print_json({"format_version": 1, "run": run, **answer})
    else:
        _tell(run, found.differences, found.changes)
    if found.differences:
        raise click.exceptions.Exit(1)


def _tell(run: str, differences: tuple[str, ...], changes: tuple[str, ...]) -> None:
    if differences:
        click.echo(f"{run}: done again, it is not the same")
    else:
        click.echo(f"{run}: done again, every weight, metric and learning rate is the same, bit for bit")
    for line in differences:
        click.echo(f"  {line}")
    if changes:
        click.echo("changed since the run:")
    for line in changes:
        click.echo(f"  {line}")
