"""A run's lock: one process works on a run at a time, and one that died holds nothing up."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dotexp.language.diagnostics import RunError
from dotexp.runs.files import write_json
from dotexp.runs.folder import RunFolder

NAME = "lock.json"


@contextmanager
def run_lock(run: RunFolder) -> Iterator[None]:
    """Hold a run's lock; take over that of a process which is gone.

    Raises RunError naming the process that works on the run. The file says who holds it: a lock of the operating
    system's would pass to the data's worker processes, which outlive a killed parent for a while.
    """
    path = run.path / NAME
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
    with _alone(run.path):
        held = holder(run)
        if held is not None:
            raise RunError(
                f"{run.path} is being worked on by process {held.get('pid')} on {held.get('host')}; if that process is"
                f" gone, remove {path}"
            )
        write_json(path, own)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def holder(run: RunFolder) -> dict[str, Any] | None:
    """Who works on a run: host, pid and start; None where nobody does, or a process of this host that has ended."""
    try:
        held = json.loads((run.path / NAME).read_bytes())
        pid, host, started = held["pid"], held["host"], held["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is written in one piece: what cannot be read is no lock
    if host == socket.gethostname() and not _alive(pid, started):
        return None
    return dict(held)


def _alive(pid: object, started: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there, and someone else's
    return started == _started(pid)


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot, and which boot; None where the system does not tell."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
        state, ticks = after_name.split()[0], after_name.split()[19].decode()
        if state == b"Z":
            return "ended"
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{ticks}"
    except (OSError, IndexError):
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out for the moment that it takes to look and write."""
    try:
        import fcntl
    except ImportError:  # Windows: two that start in the very same moment could both go on
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
