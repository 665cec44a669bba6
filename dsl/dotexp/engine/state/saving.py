"""Saving a run's state without holding it up: the training thread copies, another one writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import monotonic, perf_counter
from typing import Any
from weakref import finalize

from dotexp.engine.state.state import Tensors, pack, snapshot, to_bytes
from dotexp.engine.training.polling import NEVER
from dotexp.experiment.experiment import Runtime
from dotexp.language.diagnostics import RunError
from dotexp.runs.checkpoints import Position, positions, read_facts, remove_checkpoint, write_checkpoint

SHARE = 50
"""An epoch's end is saved when a save has cost less than one part in so many of the time since the last."""


class Saver:
    """Decides when a run's state is saved, copies it, and writes it in a thread of its own, one at a time.

    A save that fails leaves the older checkpoints as they are; `warn` hears of it once, and `failure` says it.
    """

    def __init__(self, folder: Path, runtime: Runtime, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._runtime = runtime
        self._warn = warn
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._done: SimpleQueue[object] = SimpleQueue()
        self._writing = False
        # One thread, started here: a signal's handler that raises (a worker has died, Ctrl-C again) inside a later
        # start, or inside a lock of Python's, would leave what nobody can wait for. These queues are not cut short.
        Thread(target=_serve, args=(self._work,), daemon=True).start()
        finalize(self, self._work.put, None)
        self._last = monotonic()
        self._cost = 0.0
        self._told = False
        self._written: Position | None = None
        self._best = self._stored_best()
        self.failure: str | None = None

    def next_step(self, step: int) -> int:
        """Step of the stage at which the next save is wanted, whatever the time."""
        every = self._runtime.checkpoint_steps
        return NEVER if every is None else (step // every + 1) * every

    def due(self, step: int) -> bool:
        """Whether to save in the middle of an epoch, after `step` steps of the stage."""
        every = self._runtime.checkpoint_steps
        if every is not None and step % every == 0:
            return True
        return self._waited() >= self._runtime.checkpoint_minutes * 60 and not self._busy()

    def worthwhile(self) -> bool:
        """Whether the end of an epoch is to be saved: not so soon after the last save that it would slow the run."""
        every_so_often = self._runtime.checkpoint_steps is not None
        return every_so_often or (self._waited() >= SHARE * self._cost and not self._busy())

    def save(self, position: Position, facts: Mapping[str, Any], state: Any, wait: bool = False) -> None:
        """Copy the state and write it behind the training's back; with `wait`, see it written.

        Raises RunError where the state holds what a checkpoint cannot keep. `failure` tells of a write that failed.
        """
        self.settle()
        if position == self._written:
            return
        start = perf_counter()
        tensors: Tensors = {}
        tree = pack(state, tensors, "state")
        copies = snapshot(tensors)
        copying = perf_counter() - start
        self._last = monotonic()
        content = {**facts, "state": tree}
        self._work.put(partial(self._write, position, content, copies, copying))
        if wait:
            self.settle()

    def settle(self) -> None:
        """Wait for the write under way, and warn where one has failed."""
        token = object()
        self._work.put(partial(self._done.put, token))  # behind whatever was handed over before
        while self._done.get() is not token:
            pass
        self._tell()

    def poll(self) -> None:
        """Warn where a save has failed meanwhile, without waiting for one."""
        if not self._busy():
            self._tell()

    def require(self) -> None:
        """Raise RunError where the last save failed."""
        if self.failure is not None:
            raise RunError(self.failure)

    def _tell(self) -> None:
        if self.failure is not None and not self._told:
            self._told = True
            self._warn(f"{self.failure}; training goes on, and what is done from now on may be lost")

    def _busy(self) -> bool:
        return self._writing or not self._work.empty()

    def _waited(self) -> float:
        return monotonic() - self._last

    def _write(self, position: Position, facts: Mapping[str, Any], tensors: Tensors, copying: float) -> None:
        self._writing, start = True, perf_counter()
        size = sum(tensor.nbytes for tensor in tensors.values())
        try:
            write_checkpoint(self._folder, position, facts, to_bytes(tensors))
            self.failure, self._told, self._written = None, False, position
            self._prune(position, facts)
        except Exception as error:  # a thread's error must be told, whatever it is
            self.failure = said_of_disk(error, self._folder / f"{position.name}.safetensors", size)
        self._cost, self._writing = copying + perf_counter() - start, False

    def _prune(self, newest: Position, facts: Mapping[str, Any]) -> None:
        valid = facts.get("valid_loss")
        if valid is not None and (self._best is None or valid < self._best[0]):
            self._best = (valid, newest)
        kept = set(positions(self._folder)[: self._runtime.keep_checkpoints]) | {newest}
        if self._best is not None and self._runtime.keep_best:
            kept.add(self._best[1])
        for position in positions(self._folder):
            if position not in kept:
                remove_checkpoint(self._folder, position)

    def _stored_best(self) -> tuple[float, Position] | None:
        found = [
            (facts.get("valid_loss"), p) for p in positions(self._folder) if (facts := read_facts(self._folder, p))
        ]
        return min(((loss, position) for loss, position in found if loss is not None), default=None)


def _serve(work: SimpleQueue[Callable[[], None] | None]) -> None:
    """Do what comes, in order, until None does."""
    while (job := work.get()) is not None:
        job()
        del job  # it holds a copy of the state, and the saver


def said_of_disk(error: Exception, path: Path, size: int | None = None) -> str:
    """Say why a file could not be written, with the bytes that it needs, where known, and those that are free."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    try:
        free = f"{shutil.disk_usage(path.parent if path.parent.exists() else path.parent.parent).free:,}"
    except OSError:
        free = "an unknown number of"
    needed = "" if size is None else f"about {size:,} bytes are needed, "
    return f"cannot write {path}: {reason} ({needed}{free} are free)"
