"""`spec-runner plugins`."""

from __future__ import annotations

import click

from dotexp.cli.output import json_option, print_json, print_table
from dotexp.components.provider import Provider
from dotexp.components.registry import load_registry
from dotexp.language.wording import counted


@click.command("plugins")
@json_option
def command(as_json: bool) -> None:
    """List installed plugins with their distribution, version, what they offer, and why one does not load."""
    providers = load_registry().providers
    for provider in providers:
        provider.load()
    if as_json:
        print_json({"format_version": 1, "plugins": [_row(provider) for provider in providers]})
        return
    rows = [(p.name, f"{p.distribution} {p.version}", _status(p)) for p in providers]
    print_table(rows, ("plugin", "distribution", "status"))


def _status(provider: Provider) -> str:
    return f"broken: {provider.error}" if provider.error else counted(len(provider.components), "component")


def _row(provider: Provider) -> dict[str, object]:
    return {
        "name": provider.name,
        "distribution": provider.distribution,
        "version": provider.version,
        "status": "broken" if provider.error else "ok",
        "error": provider.error,
        "components": [{"kind": c.kind, "name": c.name, "doc": c.doc} for c in provider.components],
    }
