"""Plugins that listen to a run: pluggy calls their hooks, and none of them can end the run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pluggy

from dotexp.components import hookspecs
from dotexp.engine.events import FAULTS, NullListener, failure
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, RunResult

_Hook = Callable[..., Any]
_Report = Callable[[BaseException], None]


class PluginListener(NullListener):
    """Calls plugins' hooks as pluggy does, wrappers and order included. No hook is called at every step.

    A hook that raises is named once in a warning to `warn`; the other plugins' are called all the same.
    `distributions` says what the plugins, by name, come from: `acme-lion 1.2`.
    """

    def __init__(
        self, manager: pluggy.PluginManager, distributions: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._distributions = distributions
        self._warn = warn
        self._failed: set[tuple[str, str]] = set()
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for name, plugin in manager.list_name_plugin():
            if plugin is not None:
                self._manager.register(self._guarded(name, plugin), name=name)

    def run_started(self, plan: Plan, run: RunFolder) -> None:
        """Call dotexp_run_started."""
        self._manager.hook.dotexp_run_started(plan=plan, folder=run)

    def stage_started(self, name: str, steps: int) -> None:
        """Call dotexp_stage_started."""
        self._manager.hook.dotexp_stage_started(stage=name, steps=steps)

    def epoch_ended(self, row: EpochRow) -> None:
        """Call dotexp_epoch_ended."""
        self._manager.hook.dotexp_epoch_ended(row=row)

    def run_ended(self, result: RunResult) -> None:
        """Call dotexp_run_ended."""
        self._manager.hook.dotexp_run_ended(result=result)

    def _guarded(self, name: str, plugin: object) -> SimpleNamespace:
        """Copy a plugin's hooks, each reporting what it raises: pluggy would skip the other plugins' hooks."""
        hooks = {}
        for attribute in dir(plugin):
            function = getattr(plugin, attribute)
            options = getattr(function, f"{hookspecs.PROJECT}_impl", None)
            if callable(function) and options is not None:
                wrapper = options.get("wrapper") or options.get("hookwrapper")
                report = self._reporter(name, options.get("specname") or attribute)
                hooks[attribute] = (_guard_wrapper if wrapper else _guard)(function, report)
        return SimpleNamespace(**hooks)

    def _reporter(self, name: str, hook: str) -> _Report:
        def report(error: BaseException) -> None:
            if (name, hook) not in self._failed:
                self._failed.add((name, hook))
                origin = f" of {self._distributions[name]}" if name in self._distributions else ""
                self._warn(failure(f"plugin {name}{origin}", hook, error))

        return report


def _guard(function: _Hook, report: _Report) -> _Hook:
    @wraps(function)
    def hook(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except FAULTS as error:
            report(error)
            return None

    return hook


def _guard_wrapper(function: _Hook, report: _Report) -> _Hook:
    """Guard a hook wrapper: where it fails, the hooks inside it are called all the same, and their result returned."""

    @wraps(function)
    def hook(*arguments: Any) -> Generator[None, Any, Any]:
        try:
            steps = function(*arguments)
            next(steps)
        except FAULTS as error:
            report(error)
            return (yield)
        try:
            result = yield
        except BaseException as stop:  # Ctrl-C inside: the wrapper may clean up
            with suppress(Exception):
                steps.throw(stop)
            raise
        try:
            steps.send(result)
        except StopIteration as end:
            return end.value
        except FAULTS as error:
            report(error)
        else:
            report(RuntimeError("a hook wrapper yields once, and this one did so again"))
        return result

    return hook
