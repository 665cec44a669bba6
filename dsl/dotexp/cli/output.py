"""What commands print: diagnostics, JSON and plain tables."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from dotexp.cli.streams import utf8
from dotexp.cli.tables import fitted, screen_width, table
from dotexp.language.diagnostics import Diagnostic, Severity, render
from dotexp.language.source import HIDDEN

runs_option = click.option(
    "--runs", "root", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"), show_default=True,
    help="Folder that holds the runs.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE",
    help="Replace a value: epochs=4, optimizer.wd=0.1, stage.head.fit.epochs=8. May be given again.",
)  # fmt: skip
report_option = click.option(
    "--report/--no-report", default=True, show_default=True, help="Write report.html when the run is finished."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    help="Where to compute, in place of the spec's runtime(device = …); auto leaves it to the spec.",
)


def print_diagnostics(diagnostics: Iterable[Diagnostic], err: bool = False) -> None:
    """Print diagnostics, each drawn with its line, a blank line between them."""
    for diagnostic in diagnostics:
        head, _, rest = render(diagnostic, screen_width(err)).partition("\n")
        colour = "red" if diagnostic.severity is Severity.error else "yellow"
        styled = click.style(head, fg=colour, bold=True)
        text = (styled if coloured() else head) + (f"\n{rest}" if rest else "")
        click.echo(text + "\n", err=err)


def print_warnings(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics on standard error, beside a command's answer."""
    print_diagnostics(diagnostics, err=True)


def coloured() -> bool:
    """Whether colours are welcome."""
    return not os.environ.get("NO_COLOR")


def print_json(value: Any) -> None:
    """Print a value as JSON on one indented page; numbers that JSON does not have become null."""
    from dotexp.runs.files import finite

    click.echo(_shown(json.dumps(finite(value), indent=2, allow_nan=False, ensure_ascii=not plain_unicode())))


def print_json_line(value: Any) -> None:
    """Print a value as JSON on a line of its own; numbers that JSON does not have become null."""
    from dotexp.runs.files import finite

    click.echo(_shown(json.dumps(finite(value), allow_nan=False, ensure_ascii=not plain_unicode())))


def _shown(text: str) -> str:
    """Write controls, which stand in JSON's strings alone, as escapes: a spec's JSON form holds none either."""
    return HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain_unicode() -> bool:
    """Whether standard output takes every character; what programs read is written in escapes otherwise."""
    return utf8(sys.stdout)


def columns(
    rows: Sequence[Sequence[str]], header: Sequence[str] = (), right: Container[int] = (), indent: str = ""
) -> str:
    """Lay rows out in columns that fit the terminal; the columns numbered in `right` end flush."""
    return table(rows, header, right, indent, screen_width())


def print_line(text: str, hanging: str = "    ", err: bool = False) -> None:
    """Print lines, broken between words where the terminal is narrower; `hanging` indents what follows."""
    for line in text.split("\n"):
        said = line.lstrip(" ")
        click.echo(fitted(said, screen_width(err), hanging, line[: len(line) - len(said)]), err=err)


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print rows in columns."""
    if rows or header:
        click.echo(columns(rows, header))


def said(value: object) -> str:
    """Write a number as a table shows it; a dash for None."""
    if value is None:
        return "-"
    return f"{value:.6f}" if isinstance(value, float) else str(value)
