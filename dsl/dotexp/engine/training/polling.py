"""When the loop polls between steps, and how signals stop it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

from dotexp.stop_signals import stop_signals

PROGRESS_SECONDS = 0.25
NEVER = 1 << 62


class Polling:
    """When a loop polls: at the time `due`, or once `step` steps are done.

    A request to stop sets `due` to the past, so that polling costs a step nothing more.
    """

    def __init__(self) -> None:
        self.due = 0.0
        self.step = NEVER
        self.stopping = False

    def request_stop(self) -> None:
        """Stop the loop after the step under way."""
        self.stopping = True
        self.due = 0.0

    def rest(self) -> None:
        """Wait until progress is to be reported again."""
        self.due = monotonic() + PROGRESS_SECONDS
        if self.stopping:  # the signal may have come between the two lines
            self.due = 0.0


@contextmanager
def stopped_by_signals(polling: Polling) -> Iterator[None]:
    """Have the first signal to stop end the run after its step, and the second at once (KeyboardInterrupt).

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
        if polling.stopping:
            raise KeyboardInterrupt
        polling.request_stop()

    before = {number: signal.signal(number, handle) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
