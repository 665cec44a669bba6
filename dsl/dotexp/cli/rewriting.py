"""What `fmt` and `upgrade` share: a file is read, rewritten in place at one go, or shown as it would be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from difflib import unified_diff
from io import StringIO
from typing import NamedTuple, TypeVar

import click

from dotexp.cli.output import print_diagnostics, print_line
from dotexp.cli.session import note_work_done
from dotexp.cli.streams import Stream
from dotexp.experiment.checking import STDIN, spec_bytes
from dotexp.language.decoding import read
from dotexp.language.diagnostics import Severity, UsageError
from dotexp.language.edits import as_in_file, replace_text
from dotexp.language.parser import parse
from dotexp.language.syntax_tree import Document
from dotexp.language.wording import counted

_Function = TypeVar("_Function", bound=Callable[..., object])


class Words(NamedTuple):
    """What is said of a file that was changed, that is right already, and that would change."""

    changed: str
    unchanged: str
    right: str
    wrong: str


class Options(NamedTuple):
    """What `--check` and `--diff` ask for."""

    check: bool
    diff: bool


def rewriting_options(function: _Function) -> _Function:
    """Give a command its files, `--check` and `--diff`."""
    for option in (
        click.option("--diff", is_flag=True, help="Write nothing; print the changes, and exit as --check does."),
        click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change."),
        click.argument("files", nargs=-1, required=True, metavar="FILE…"),
    ):
        function = option(function)
    return function


def rewrite_all(
    files: tuple[str, ...], options: Options, words: Words, rewritten: Callable[[str, Document], tuple[str, int]]
) -> None:
    """Rewrite files one by one, and exit with the highest code.

    `rewritten` takes a file's name and its document, which has no errors of syntax, and returns the new text and an
    exit code; a file with such errors is diagnosed and left as it is.
    """
    if STDIN in files and len(files) > 1:
        raise UsageError("`-`, which is standard input, stands alone")
    click.get_current_context().exit(max([_rewrite(file, options, words, rewritten) for file in files]))


def _rewrite(file: str, options: Options, words: Words, rewritten: Callable[[str, Document], tuple[str, int]]) -> int:
    try:
        data, name, folder = spec_bytes(file)
        source, faults = read(data, name, folder)
        if source.is_json:
            raise UsageError(f"{file} is JSON, and left as it is: `spec-runner resolve {file}` writes it as a spec")
        document = parse(source)
        errors = [each for each in (*faults, *document.faults) if each.severity is Severity.error]
        if errors:
            print_diagnostics(errors, err=True)
            print_line(f"{file}: {counted(len(errors), 'error')}, left as it is", err=True)
            return 2
        raw = data.decode()
        text, code = rewritten(file, document)
        text = as_in_file(raw, text)
        if options.check or options.diff:
            return max(code, _report(file, raw, text, options, words))
        _write(file, document, raw, text, words)
        return code
    except UsageError as error:
        print_line(f"error: {error}", err=True)
        return error.exit_code


def _report(file: str, raw: str, text: str, options: Options, words: Words) -> int:
    if options.diff:
        _print("".join(_diff(file, raw, text)))
    if options.check:
        click.echo(f"{file}: {words.right if raw == text else words.wrong}", err=options.diff)
    return int(raw != text)


def _write(file: str, document: Document, raw: str, text: str, words: Words) -> None:
    if file == STDIN:
        _print(text)
    elif raw == text:
        click.echo(f"{file}: {words.unchanged}")
    else:
        replace_text(document.source, text)
        note_work_done()
        click.echo(f"{file}: {words.changed}")


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
