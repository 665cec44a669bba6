"""What the outside hears while a run goes on."""

from __future__ import annotations

from typing import Protocol

from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, RunResult


class Listener(Protocol):
    """Hears of a run: the command line's display, a tracker. No call comes at every step."""

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Hear that a run starts, before its data is opened."""
        ...

    def stage_started(self, name: str, steps: int) -> None:
        """Hear that a stage starts, and how many steps it has."""
        ...

    def progress(self, step: int) -> None:
        """Hear, at most a few times a second, how many of the stage's steps are done."""
        ...

    def epoch_ended(self, row: EpochRow) -> None:
        """Hear an epoch's numbers, after they were written down."""
        ...

    def warned(self, message: str) -> None:
        """Hear of something that the user should know, while the run goes on."""
        ...

    def run_ended(self, result: RunResult) -> None:
        """Hear how the run ended, whichever way."""
        ...


class NullListener:
    """Hears and does nothing; a base for listeners that want few of the calls."""

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Do nothing."""

    def stage_started(self, name: str, steps: int) -> None:
        """Do nothing."""

    def progress(self, step: int) -> None:
        """Do nothing."""

    def epoch_ended(self, row: EpochRow) -> None:
        """Do nothing."""

    def warned(self, message: str) -> None:
        """Do nothing."""

    def run_ended(self, result: RunResult) -> None:
        """Do nothing."""
