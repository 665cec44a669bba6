"""Plugins that listen to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from dotexp.engine.events import Listener
from dotexp.language.diagnostics import RunError
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, RunResult


class PluginListener:
    """Tells plugins' hooks what the run does; a hook that raises stops the run and is named.

    `distributions` are what the plugins, by name, come from: `acme-lion 1.2`.
    """

    def __init__(self, manager: pluggy.PluginManager, distributions: Mapping[str, str] | None = None) -> None:
        self._manager = manager
        self._distributions = distributions or {}

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Call dotexp_run_started."""
        self._call("dotexp_run_started", plan=plan, folder=run)

    def stage_started(self, name: str, steps: int) -> None:
        """Call dotexp_stage_started."""
        self._call("dotexp_stage_started", stage=name, steps=steps)

    def progress(self, step: int) -> None:
        """Nothing: no hook is called while steps go on."""

    def epoch_ended(self, row: EpochRow) -> None:
        """Call dotexp_epoch_ended."""
        self._call("dotexp_epoch_ended", row=row)

    def warned(self, message: str) -> None:
        """Nothing: warnings are for the user."""

    def run_ended(self, result: RunResult) -> None:
        """Call dotexp_run_ended."""
        self._call("dotexp_run_ended", result=result)

    def _call(self, hook: str, **arguments: Any) -> None:
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except (Exception, SystemExit) as error:  # a stranger's code: the run stops, and says whose it was
                name, said = implementation.plugin_name, f"{type(error).__name__}: {error}"
                origin = f" of {self._distributions[name]}" if name in self._distributions else ""
                raise RunError(f"plugin {name}{origin} fails in {hook}: {said}") from error


class Listeners:
    """Several listeners, told one after the other."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Tell everyone."""
        for listener in self._listeners:
            listener.run_started(plan, run)

    def stage_started(self, name: str, steps: int) -> None:
        """Tell everyone."""
        for listener in self._listeners:
            listener.stage_started(name, steps)

    def progress(self, step: int) -> None:
        """Tell everyone."""
        for listener in self._listeners:
            listener.progress(step)

    def epoch_ended(self, row: EpochRow) -> None:
        """Tell everyone."""
        for listener in self._listeners:
            listener.epoch_ended(row)

    def warned(self, message: str) -> None:
        """Tell everyone."""
        for listener in self._listeners:
            listener.warned(message)

    def run_ended(self, result: RunResult) -> None:
        """Tell everyone."""
        for listener in self._listeners:
            listener.run_ended(result)
