"""Plugins that listen to a run: called as pluggy calls them, named where they fail, and never the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from dotexp import hookimpl
from dotexp.components.registry import Registry
from dotexp.engine.events import EventBus, NullListener
from dotexp.engine.executor import execute
from dotexp.engine.hooks import PluginListener
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import EpochRow, RunResult, Status
from toys import plan, stage

pytestmark = pytest.mark.run

HOOKS = ["dotexp_run_started", "dotexp_stage_started", "dotexp_epoch_ended", "dotexp_run_ended"]


class Warnings(NullListener):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def warned(self, message: str) -> None:
        """Keep it."""
        self.heard.append(message)


class Plugin:
    """An object with one hook."""

    def __init__(self, hook: str, function: Callable[..., Any], **options: bool) -> None:
        setattr(self, hook, hookimpl(function, **options))


def run_with(tmp_path: Path, **plugins: Plugin) -> tuple[RunFolder, list[str]]:
    """A run of one stage of two epochs, heard by plugins; the run, and the warnings."""
    manager = Registry(()).listeners()
    for name, plugin in plugins.items():
        manager.register(plugin, name=name)
    warnings = Warnings()
    bus = EventBus([warnings])
    bus.subscribe(PluginListener(manager, {"acme_tracker": "acme-tracker 1.2"}, bus.warned))
    run = create_run("toy", tmp_path)
    execute(plan(stage()), run, bus)
    return run, warnings.heard


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [ValueError("no such server"), SystemExit(3)])
def test_a_plugin_that_raises_is_named_once_with_its_distribution_and_the_run_goes_on(
    tmp_path: Path, hook: str, error: BaseException
) -> None:
    def raising(*arguments: object) -> None:
        raise error

    run, warnings = run_with(tmp_path, acme_tracker=Plugin(hook, raising))
    said = f"plugin acme_tracker of acme-tracker 1.2 fails in {hook}: {type(error).__name__}: {error}; the run goes on"
    assert warnings == [said]
    assert run.status is Status.finished and len(run.read_epochs()) == 2


def test_a_plugin_that_raises_does_not_keep_the_others_from_hearing(tmp_path: Path) -> None:
    heard: list[str] = []

    def raising(row: EpochRow) -> None:
        raise OSError("connection refused")

    before = Plugin("dotexp_epoch_ended", lambda row: heard.append(f"before {row.epoch}"), tryfirst=True)
    after = Plugin("dotexp_epoch_ended", lambda row: heard.append(f"after {row.epoch}"), trylast=True)
    _, warnings = run_with(tmp_path, one=before, sick=Plugin("dotexp_epoch_ended", raising), two=after)
    assert heard == ["before 1", "after 1", "before 2", "after 2"]
    assert len(warnings) == 1 and warnings[0].startswith("plugin sick fails in dotexp_epoch_ended: OSError")


def test_hooks_are_called_in_the_order_that_they_ask_for(tmp_path: Path) -> None:
    heard: list[str] = []

    def say(name: str) -> Callable[..., None]:
        def hook(stage: str) -> None:
            heard.append(f"{name} {stage}")

        return hook

    run_with(
        tmp_path,
        last=Plugin("dotexp_stage_started", say("last"), trylast=True),
        plain=Plugin("dotexp_stage_started", say("plain")),
        first=Plugin("dotexp_stage_started", say("first"), tryfirst=True),
    )
    assert heard == ["first train", "plain train", "last train"]


def test_a_hook_wrapper_is_called_around_the_others(tmp_path: Path) -> None:
    heard: list[str] = []

    def outer(result: RunResult) -> Generator[None, Any, Any]:
        heard.append(f"before {result.status}")
        answers = yield
        heard.append(f"after {answers}")
        return answers

    def old_style(result: RunResult) -> Generator[None, Any, None]:
        heard.append("old before")
        outcome = yield
        heard.append(f"old after {outcome.get_result()}")

    run_with(
        tmp_path,
        outer=Plugin("dotexp_run_ended", outer, wrapper=True),
        old=Plugin("dotexp_run_ended", old_style, hookwrapper=True, trylast=True),
        inner=Plugin("dotexp_run_ended", lambda: heard.append("inside") or "kept"),  # type: ignore[func-returns-value]
    )
    assert heard == ["before finished", "old before", "inside", "old after ['kept']", "after ['kept']"]


def failing_at(place: str) -> Callable[..., Generator[None, Any, Any]]:
    """A hook wrapper that fails before the hooks inside it, after them, or by yielding twice or never."""

    def wrapper(plan: Plan, folder: RunFolder) -> Generator[None, Any, Any]:
        if place == "before":
            raise ValueError("before")
        if place == "never":
            return None
        answers = yield
        if place == "after":
            raise ValueError("after")
        yield
        return answers

    return wrapper


@pytest.mark.parametrize("place", ["before", "after", "never", "twice"])
def test_a_hook_wrapper_that_fails_is_named_and_the_hooks_inside_it_are_called(tmp_path: Path, place: str) -> None:
    heard: list[str] = []
    run, warnings = run_with(
        tmp_path,
        inner=Plugin("dotexp_run_started", lambda folder: heard.append(folder.name)),
        sick=Plugin("dotexp_run_started", failing_at(place), wrapper=True),
    )
    assert heard == ["toy-1"] and run.status is Status.finished
    assert len(warnings) == 1 and warnings[0].startswith("plugin sick fails in dotexp_run_started: ")


# The bus


class Failing(NullListener):
    """Fails in every event."""

    def __getattribute__(self, name: str) -> Any:
        if name in vars(NullListener) and not name.startswith("_"):
            raise BrokenPipeError(32, "Broken pipe")
        return super().__getattribute__(name)


def test_a_listener_that_fails_in_every_event_ends_no_run_and_is_named_once_an_event(tmp_path: Path) -> None:
    run, warnings = create_run("toy", tmp_path), Warnings()
    execute(plan(stage()), run, EventBus([Failing(), warnings]))
    assert run.status is Status.finished and len(run.read_epochs()) == 2
    events = ["run_started", "stage_started", "progress", "epoch_ended", "run_ended"]
    for event in events:
        assert sum(f"listener Failing fails in {event}: BrokenPipeError" in each for each in warnings.heard) == 1
    alone = create_run("toy", tmp_path)
    execute(plan(stage()), alone, Failing())
    assert alone.status is Status.finished


def test_ctrl_c_in_a_listener_is_still_ctrl_c() -> None:
    class Impatient(NullListener):
        def progress(self, step: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EventBus([Impatient()]).progress(1)
