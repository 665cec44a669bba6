"""`spec-runner check`."""

from __future__ import annotations

import click

from dotexp.cli.output import json_option, print_diagnostics, print_json, set_option
from dotexp.components.registry import load_registry
from dotexp.experiment.checking import check
from dotexp.language.diagnostics import Severity
from dotexp.language.diagnostics import as_json as diagnostics_json
from dotexp.language.wording import counted


@click.command("check")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…")
@set_option
@json_option
def command(specs: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with specs: every fault, its place and a way forward.

    Opens no data or weights, and trains nothing. SPEC is a file, or - for standard input. Exits with 2 where there is
    an error.
    """
    registry = load_registry()
    found = [(spec, *check(spec, overrides, registry)) for spec in specs]
    diagnostics = list(dict.fromkeys(d for _, _, each in found for d in each))
    failed = any(resolved is None for _, resolved, _ in found)
    if as_json:
        print_json(diagnostics_json(diagnostics))
    else:
        print_diagnostics(diagnostics)
        for spec, resolved, each in found:
            click.echo(f"{spec}: {_summary(len([d for d in each if d.severity is Severity.error]), len(each))}")
            if resolved is not None:
                stages = ", ".join(stage.name for stage in resolved.experiment.stages)
                click.echo(f"  experiment {resolved.experiment.name}, stages {stages}")
    if failed:
        click.get_current_context().exit(2)


def _summary(errors: int, total: int) -> str:
    warnings = total - errors
    said = [counted(errors, "error")] if errors else ["fine"]
    if warnings:
        said.append(counted(warnings, "warning"))
    return ", ".join(said)
