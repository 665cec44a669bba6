"""`spec-runner plan`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.cli.output import json_option, print_json, print_warnings, runs_option, set_option
from dotexp.commands.workspace import Workspace


@click.command("plan")
@click.argument("spec")
@set_option
@runs_option
@json_option
def command(spec: str, overrides: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Show what a run will do: groups, what is frozen, learning rates and steps. Reads the data, trains nothing."""
    from dotexp.engine.build.datasets import DataStore

    store = DataStore()  # what the plan has read, the estimates need not read again
    plan = Workspace(root).plan(spec, overrides, notify=print_warnings, store=store)
    if as_json:
        print_json(plan.as_json())
        return
    from dotexp.cli.plan_view import show_plan
    from dotexp.engine.estimate import estimate

    show_plan(plan, [estimate(plan, stage, store) for stage in plan.stages])
