"""`spec-runner resolve`."""

from __future__ import annotations

import click

from dotexp.cli.output import json_option, plain_unicode, print_diagnostics, print_json, set_option
from dotexp.experiment.checking import load
from dotexp.experiment.comments import commented_text
from dotexp.experiment.json import as_json as experiment_json


@click.command("resolve")
@click.argument("spec")
@set_option
@json_option
def command(spec: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print a spec with everything filled in: bases merged, stages expanded, every default, paths absolute.

    The text is a spec itself, with the comments of the files. SPEC is a file, or - for standard input.
    """
    resolved = load(spec, overrides)
    print_diagnostics(resolved.diagnostics, err=True)
    if as_json:
        print_json(experiment_json(resolved.experiment))
    else:
        text = commented_text(resolved)
        click.echo(text if plain_unicode() else _escaped(text), nl=False)


def _escaped(text: str) -> str:
    """Write characters beyond ASCII as a spec's escapes: a spec is UTF-8, which standard output is not."""
    return "".join(each if each < "\x80" or each > "\uffff" else f"\\u{ord(each):04x}" for each in text)
