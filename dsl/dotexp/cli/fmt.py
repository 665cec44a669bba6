"""`spec-runner fmt`."""

from __future__ import annotations

import click

from dotexp.cli.rewriting import Options, Words, rewrite_all, rewriting_options
from dotexp.language.formatting import formatted

_WORDS = Words(changed="formatted", unchanged="unchanged", right="formatted", wrong="not formatted")


@click.command("fmt")
@rewriting_options
def command(files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Format specs: one canonical layout, every comment kept.

    FILE is rewritten in place; of standard input, -, the result is printed. A file with a fault in its syntax is left
    as it is, and the exit code is 2.
    """
    rewrite_all(files, Options(check, diff), _WORDS, lambda file, document: (formatted(document), 0))
