"""A run's events, and the bus that tells them to the progress display, trackers and plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, RunResult

FAULTS = (Exception, SystemExit)
"""What a subscriber may raise without ending the run; Ctrl-C is not among them."""


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
        """Hear how the run ended: finished, failed or interrupted."""
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


class EventBus:
    """Tells every subscriber of a run's events, in the order in which they subscribed.

    A subscriber that raises is named in a warning to the others, once an event, and is told of later events all the
    same: no subscriber ends a run.
    """

    def __init__(self, subscribers: Iterable[Listener] = ()) -> None:
        self._subscribers = list(subscribers)
        self._failed: set[tuple[int, str]] = set()

    def subscribe(self, subscriber: Listener) -> None:
        """Add a subscriber, behind those that there are."""
        self._subscribers.append(subscriber)

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Tell that a run starts."""
        self._tell("run_started", plan, run)

    def stage_started(self, name: str, steps: int) -> None:
        """Tell that a stage starts."""
        self._tell("stage_started", name, steps)

    def progress(self, step: int) -> None:
        """Tell how many of the stage's steps are done."""
        self._tell("progress", step)

    def epoch_ended(self, row: EpochRow) -> None:
        """Tell an epoch's numbers."""
        self._tell("epoch_ended", row)

    def warned(self, message: str) -> None:
        """Tell a warning."""
        self._tell("warned", message)

    def run_ended(self, result: RunResult) -> None:
        """Tell how the run ended."""
        self._tell("run_ended", result)

    def _tell(self, event: str, *arguments: Any) -> None:
        for place, subscriber in enumerate(self._subscribers):
            try:
                getattr(subscriber, event)(*arguments)
            except FAULTS as error:
                if (place, event) not in self._failed:
                    self._failed.add((place, event))
                    self.warned(failure(f"listener {type(subscriber).__qualname__}", event, error))


def failure(name: str, event: str, error: BaseException) -> str:
    """Say that a subscriber failed."""
    return f"{name} fails in {event}: {type(error).__name__}: {error}; the run goes on"


def bus_of(listener: Listener | None) -> EventBus:
    """Return a bus to a listener, or the listener itself where it is one."""
    if isinstance(listener, EventBus):
        return listener
    return EventBus([] if listener is None else [listener])
