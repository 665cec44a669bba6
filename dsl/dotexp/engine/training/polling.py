"""When a loop has to look up from its steps, and what the user's signals mean to a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

PROGRESS_SECONDS = 0.25
NEVER = 1 << 62


class Watch:
    """The two numbers a loop looks at between steps: it looks up at the time `due`, or when `step` are done.

    A request to stop brings the time forward, so that a step costs nothing more for it.
    """

    def __init__(self) -> None:
        self.due = 0.0
        self.step = NEVER
        self.stopping = False

    def request_stop(self) -> None:
        """Have the loop stop after the step under way."""
        self.stopping = True
        self.due = 0.0

    def rest(self) -> None:
        """Let the loop go on until the next look at the progress."""
        self.due = monotonic() + PROGRESS_SECONDS
        if self.stopping:  # the signal may have come between the two lines
            self.due = 0.0


@contextmanager
def stopped_by_signals(watch: Watch) -> Iterator[None]:
    """Have the first SIGINT or SIGTERM stop the run after its step, and the second at once (KeyboardInterrupt).

    A forked worker process inherits this: it lets the first one pass, since its parent wants to finish the step, and
    ends at the second. Does nothing outside the main thread, where no signal can be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, seen = os.getpid(), 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if os.getpid() != owner:
            if seen > 1:
                os._exit(130)
            return
        if watch.stopping:
            raise KeyboardInterrupt
        watch.request_stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
