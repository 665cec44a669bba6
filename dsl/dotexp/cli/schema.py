"""`spec-runner schema`."""

from __future__ import annotations

import click

from dotexp.cli.output import print_json
from dotexp.components.registry import load_registry
from dotexp.experiment.schema import registry_schema


@click.command("schema")
def command() -> None:
    """Print JSON Schema of everything installed, for editors and other tools.

    It is a schema of the JSON form of a spec (`resolve --json`); `kinds` has every component's parameters by kind and
    name.
    """
    print_json(registry_schema(load_registry()))
