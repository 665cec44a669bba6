"""The whole contract between dotexp and its plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

from dotexp.components.component import Component

if TYPE_CHECKING:
    from dotexp.planning.plan import Plan
    from dotexp.runs.folder import RunFolder
    from dotexp.runs.results import EpochRow, RunResult

PROJECT = "dotexp"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def dotexp_components() -> Sequence[Component]:  # type: ignore[empty-body]
    """Return what the plugin offers. Called once when the language needs it; must not import torch."""


@hookspec
def dotexp_run_started(plan: Plan, folder: RunFolder) -> None:
    """Hear that a run starts; its folder is made, its data not opened yet."""


@hookspec
def dotexp_stage_started(stage: str, steps: int) -> None:
    """Hear that a stage starts, and how many steps it has."""


@hookspec
def dotexp_epoch_ended(row: EpochRow) -> None:
    """Hear an epoch's numbers, after they were written down."""


@hookspec
def dotexp_run_ended(result: RunResult) -> None:
    """Hear how a run ended, whichever way."""
