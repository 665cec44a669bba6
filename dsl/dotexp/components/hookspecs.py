"""The hooks that a plugin may implement: the whole contract between dotexp and its plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

from dotexp.components.component import Component, ComponentModule
from dotexp.components.kinds import Kind
from dotexp.components.tasks import Task

if TYPE_CHECKING:
    from dotexp.planning.plan import Plan
    from dotexp.runs.folder import RunFolder
    from dotexp.runs.results import EpochRow, RunResult

PROJECT = "dotexp"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as an implementation of the hook of its name."""


@hookspec
def dotexp_kinds() -> Sequence[Kind]:  # type: ignore[empty-body]
    """Declare kinds of components beside the core's. Called once; must not import torch."""


@hookspec
def dotexp_tasks() -> Sequence[Task]:  # type: ignore[empty-body]
    """Declare tasks: what is learned from data, and how a prediction of it reads. Called once."""


@hookspec
def dotexp_components() -> Sequence[Component | ComponentModule]:  # type: ignore[empty-body]
    """Return what the plugin offers, or the modules that list it. Called once; must not import torch."""


@hookspec
def dotexp_run_started(plan: Plan, folder: RunFolder) -> None:
    """Called when a run starts: its folder is made, its data not opened yet."""


@hookspec
def dotexp_stage_started(stage: str, steps: int) -> None:
    """Called when a stage of `steps` steps starts."""


@hookspec
def dotexp_epoch_ended(row: EpochRow) -> None:
    """Called with an epoch's numbers, after they are written."""


@hookspec
def dotexp_run_ended(result: RunResult) -> None:
    """Called with a run's result, however it ended."""
