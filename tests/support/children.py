"""Forks of a test's process."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def fork(work: Callable[[], object], group: bool = False) -> int:
    """Do work in a child, which ends with it whatever happens, and return its process id.

    Its exit code is 0 if the work returned, else 1. With `group` it leads a process group of its own.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if group:
            os.setsid()
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    """Wait for a child; its exit code, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
