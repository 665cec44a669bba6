"""A run's lock: one process works on a run at a time, and the lock of a process that has ended is taken over."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dotexp.language.diagnostics import RunError, UsageError
from dotexp.language.machine_faults import file_fault
from dotexp.runs.files import exclusive, read_as, write_json
from dotexp.runs.folder import RunFolder

NAME = "lock.json"
_NEAR = 2.0  # seconds: a system tells the time of its start in whole seconds
_held: set[Path] = set()
"""Runs that this process works on."""


@dataclass(frozen=True)
class Holder:
    """The process that works on a run: its host, its number, and when it started, in seconds since the host did."""

    host: str
    pid: int
    started: float | str | None = None  # text: of a version before this one

    @property
    def said(self) -> str:
        """The process and its host."""
        return f"process {self.pid} on {self.host}"


@contextmanager
def run_lock(run: RunFolder) -> Iterator[None]:
    """Hold a run's lock; take over that of a process that has ended.

    Raises RunError naming the process that works on the run. The file names who holds it: a lock of the operating
    system would pass to the data's worker processes, which outlive a killed parent for a while.
    """
    path, key = run.path / NAME, run.path.resolve()
    own = Holder(socket.gethostname(), os.getpid(), _started(os.getpid()))
    with exclusive(run.path):
        held = holder(run)
        if held is not None:
            raise RunError(f"{run.path} is being worked on by {held.said}; if that process is gone, remove {path}")
        write_json(path, asdict(own))
        _held.add(key)
    try:
        yield
    finally:
        _held.discard(key)
        with suppress(OSError):  # a lock of a process that has ended is taken over
            path.unlink(missing_ok=True)


def holder(run: RunFolder) -> Holder | None:
    """Return the process that works on a run; None where there is none, or one of this host that has ended."""
    path = run.path / NAME
    if not path.exists():
        return None
    try:
        held = read_as(Holder, path, "a lock")
    except UsageError:
        return None  # it is written in one piece: what cannot be read is no lock
    if held.host == socket.gethostname() and not _alive(held, run.path.resolve()):
        return None
    return held


def _alive(held: Holder, key: Path) -> bool:
    if held.pid == os.getpid():
        return key in _held
    if held.pid <= 0 or held.started == "ended":
        return False
    started = _started(held.pid)
    if isinstance(started, float) and isinstance(held.started, float):
        return abs(started - held.started) <= _NEAR
    return started != "ended"


def _started(pid: int) -> float | str | None:
    """Seconds from the host's start to a process's, "ended" where there is none, None where the system does not tell.

    They do not change when the clock is set, as the time of day would.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        booted = psutil.boot_time()  # first: psutil counts a process's start from the boot time that it read last
        since = process.create_time() - booted
        return "ended" if process.status() == psutil.STATUS_ZOMBIE else round(since, 2)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return "ended"
    except psutil.Error:
        return None


def remove_run(run: RunFolder) -> None:
    """Remove a run's folder for good. Raises RunError where a process works on it, and as `file_fault`."""
    try:
        with run_lock(run):
            shutil.rmtree(run.path)
    except OSError as error:
        raise file_fault("remove", run.path, error) from error
