"""`spec-runner new`."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from dotexp.cli.session import note_work_done
from dotexp.language.atomic import write_new
from dotexp.language.diagnostics import UsageError
from dotexp.language.machine_faults import file_fault

KINDS = ("images", "digits", "ratings")
"""Templates, each a file in dotexp/templates."""


@click.command("new")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--kind", type=click.Choice(KINDS), default="images", show_default=True, help="What the data is.")
def command(path: Path, kind: str) -> None:
    """Write a spec to start from; PATH is the new file, and its name the experiment's. Never overwrites."""
    if path.suffix != ".exp":
        path = path.with_name(path.name + ".exp")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*", path.stem) or len(path.stem) > 64:
        raise UsageError(f"`{path.stem}` cannot name an experiment: letters, digits, _ and inner -, at most 64")
    text = (files("dotexp") / "templates" / f"{kind}.exp").read_text(encoding="utf-8")
    try:
        write_new(path, text.replace("EXPERIMENT", path.stem).encode())
    except FileExistsError:
        raise UsageError(f"{path} is there already") from None
    except OSError as error:
        raise file_fault("write", path, error) from error
    note_work_done()
    click.echo(f"wrote {path}\n  next: spec-runner check {path}")
