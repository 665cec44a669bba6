"""What a test does while it runs: whether it trains, and whether it starts processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LEVELS = ("run", "process", "slow")
"""Marks of tests that are more than `unit`, which conftest.py gives to all others."""

_OF_LIBRARIES = frozenset({"uname", "ldconfig", "gcc", "cc", "ld", "lscpu"})
"""Programs that torch and the standard library call to learn about the machine."""

_observers: list[set[str]] = []


@contextmanager
def observed() -> Iterator[set[str]]:
    """Collect the marks that need what is done meanwhile."""
    _watch_training()
    done: set[str] = set()
    _observers.append(done)
    try:
        yield done
    finally:
        _observers.pop()
        _watch_training()


def _note(level: str) -> None:
    for done in _observers:
        done.add(level)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        program = arguments[0] or arguments[1][0]
        if os.path.basename(os.fsdecode(program)) not in _OF_LIBRARIES:
            _note("process")
    elif event in ("os.fork", "os.posix_spawn"):
        _note("process")


def _watch_training() -> None:
    """Have every epoch of training noted, once the loop is imported."""
    loop = sys.modules.get("dotexp.engine.training.loop")
    if loop is None or hasattr(loop, "observed_epoch"):
        return
    loop.observed_epoch = epoch = loop.StageLoop.epoch  # type: ignore[attr-defined]

    def noted(self: Any, *arguments: Any, **more: Any) -> None:
        _note("run")
        epoch(self, *arguments, **more)

    loop.StageLoop.epoch = noted  # type: ignore[attr-defined]


sys.addaudithook(_audit)
