"""`spec-runner fmt`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import unified_diff
from io import StringIO

import click

from dotexp.cli.output import print_diagnostics
from dotexp.cli.session import note_work_done
from dotexp.cli.streams import Stream
from dotexp.experiment.checking import STDIN, spec_bytes
from dotexp.language.decoding import read
from dotexp.language.diagnostics import Severity, UsageError
from dotexp.language.edits import as_in_file, replace_text
from dotexp.language.formatting import formatted
from dotexp.language.parser import parse
from dotexp.language.source import Source
from dotexp.language.wording import counted


@click.command("fmt")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--check", "check", is_flag=True, help="Write nothing; exit with 1 if a file is not formatted.")
@click.option("--diff", "diff", is_flag=True, help="Write nothing; print the changes, and exit as --check does.")
def command(files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Format specs: one canonical layout, every comment kept.

    FILE is rewritten in place; of standard input, -, the result is printed. A file with a fault in its syntax is left
    as it is, and the exit code is 2.
    """
    if STDIN in files and len(files) > 1:
        raise UsageError("`-`, which is standard input, stands alone")
    click.get_current_context().exit(max([_format(file, check, diff) for file in files]))


def _format(file: str, check: bool, diff: bool) -> int:
    """Format a file, or say how it would change; return the exit code."""
    try:
        data, name, folder = spec_bytes(file)
        source, faults = read(data, name, folder)
        document = parse(source)
        errors = [each for each in (*faults, *document.faults) if each.severity is Severity.error]
        if errors:
            print_diagnostics(errors, err=True)
            click.echo(f"{file}: {counted(len(errors), 'error')}, left as it is", err=True)
            return 2
        raw = data.decode()
        text = as_in_file(raw, formatted(document))
        return _report(file, raw, text, check, diff) if check or diff else _write(file, source, raw, text)
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code


def _report(file: str, raw: str, text: str, check: bool, diff: bool) -> int:
    if diff:
        _print("".join(_diff(file, raw, text)))
    if check:
        click.echo(f"{file}: {'formatted' if raw == text else 'not formatted'}", err=diff)
    return int(raw != text)


def _write(file: str, source: Source, raw: str, text: str) -> int:
    if file == STDIN:
        _print(text)
    elif raw == text:
        click.echo(f"{file}: unchanged")
    else:
        replace_text(source, text)
        note_work_done()
        click.echo(f"{file}: formatted")
    return 0


def _print(text: str) -> None:
    if isinstance(sys.stdout, Stream):
        sys.stdout.write_utf8(text)
    else:
        click.echo(text, nl=False)


def _diff(file: str, raw: str, text: str) -> Iterator[str]:
    """Lines of a unified diff, which `patch` and `git apply` take."""
    before, after = (list(StringIO(each, newline="\n")) for each in (raw, text))
    for line in unified_diff(before, after, file, file):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
