"""`spec-runner upgrade`."""

from __future__ import annotations

import click

from dotexp.cli.output import print_diagnostics
from dotexp.cli.rewriting import Options, Words, rewrite_all, rewriting_options
from dotexp.components.registry import load_registry
from dotexp.experiment.upgrading import upgrade
from dotexp.language.diagnostics import UsageError
from dotexp.language.syntax_tree import Document

_WORDS = Words(changed="upgraded", unchanged="unchanged", right="up to date", wrong="not up to date")


@click.command("upgrade")
@rewriting_options
def command(files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Replace former names in specs by the current ones; all else in a file stays as it is.

    FILE is rewritten in place; of standard input, -, the result is printed. A base that FILE extends is a file of its
    own. Exits with 2 where a file has faults; with a fault in its syntax it is left as it is.
    """
    rewrite_all(files, Options(check, diff), _WORDS, _upgraded)


def _upgraded(file: str, document: Document) -> tuple[str, int]:
    """Return the text with current names, and 2 where the spec has faults; say what is replaced."""
    found = upgrade(document, load_registry())
    print_diagnostics(found.faults, err=True)
    if found.refused:
        raise UsageError(f"{file} is left as it is: {found.refused}")
    for each in found.followed:
        assert each.span is not None
        click.echo(f"{file}:{each.span.line}:{each.span.column}: {each.span.text} → {each.suggestion}", err=True)
    return found.text, 2 if found.faults else 0
