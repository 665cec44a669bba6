"""`spec-runner schema`."""

from __future__ import annotations

import click

from dotexp.cli.output import print_json
from dotexp.components.registry import load_registry
from dotexp.experiment.schema import registry_schema


@click.command("schema")
def command() -> None:
    """Print every component's parameters as JSON Schema, by kind and name, for editors and other tools."""
    print_json(registry_schema(load_registry()))
