"""A run's lock: who holds it, and when it is taken over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from dotexp import RunError
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.lock import Holder, holder, run_lock


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run("pets", tmp_path)


def write(run: RunFolder, **values: object) -> None:
    """Write a lock."""
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": None}
    (run.path / "lock.json").write_text(json.dumps({**own, **values}))


def test_a_lock_is_held_once_within_a_process_too(run: RunFolder) -> None:
    with run_lock(run):
        held = holder(run)
        assert held is not None and (held.pid, held.host) == (os.getpid(), socket.gethostname())
        with pytest.raises(RunError, match=f"is being worked on by process {os.getpid()}"), run_lock(run):
            pass
        assert holder(run) == held
    assert holder(run) is None and not (run.path / "lock.json").exists()


def test_the_lock_of_an_earlier_process_of_this_ones_number_is_no_lock(run: RunFolder) -> None:
    with run_lock(run):
        text = (run.path / "lock.json").read_text()
    (run.path / "lock.json").write_text(text)  # after a power cut, the same service gets the same number again
    assert holder(run) is None
    with run_lock(run):
        pass


@pytest.mark.process
def test_a_live_process_holds_its_lock_when_the_clock_is_set(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = round(psutil.Process(other.pid).create_time() - psutil.boot_time(), 2)
        write(run, pid=other.pid, started=started)
        assert holder(run) == Holder(socket.gethostname(), other.pid, started)
        for hours in (-48, 3):
            boot, create = psutil.boot_time(), psutil.Process(other.pid).create_time()
            with monkeypatch.context() as patch:
                patch.setattr(psutil, "boot_time", lambda boot=boot, hours=hours: boot + 3600 * hours)
                patch.setattr(psutil.Process, "create_time", lambda _, at=create, hours=hours: at + 3600 * hours)
                assert holder(run) is not None
        write(run, pid=other.pid, started=started - 100)
        assert holder(run) is None  # the number was given to another process since
        write(run, pid=other.pid, started="an older version's text")
        assert holder(run) is not None
    finally:
        other.communicate(b"\n")
    assert holder(run) is None


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="processes are not waited for there")
def test_a_process_that_ended_and_was_not_waited_for_holds_nothing(run: RunFolder) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write(run, pid=other.pid, started=round(psutil.Process(other.pid).create_time() - psutil.boot_time(), 2))
    assert holder(run) is not None
    os.kill(other.pid, signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE and holder(run) is None
    other.communicate()


def test_a_lock_of_another_host_is_held_and_one_that_cannot_be_read_is_none(run: RunFolder) -> None:
    write(run, host="elsewhere", pid=1)
    told = r"process 1 on elsewhere; if that process is gone, remove .*lock\.json"
    with pytest.raises(RunError, match=told), run_lock(run):
        pass
    for text in ("", "{", "[]", "{}", '{"host": 3, "pid": 1}', "\x00"):
        (run.path / "lock.json").write_text(text)
        assert holder(run) is None
    write(run, pid=-1)
    assert holder(run) is None
