"""The signals that ask a run to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return SIGINT, SIGTERM, and SIGHUP, which a closed terminal sends, unless it is ignored, as under nohup."""
    asked = [signal.SIGINT, signal.SIGTERM]
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        asked.append(hangup)
    return tuple(asked)


@contextmanager
def stopped_by_any_signal() -> Iterator[None]:
    """Have every signal to stop raise KeyboardInterrupt, so that what is under way is tidied up and says where it was.

    A signal that has a handler of its own, or is ignored, is left alone. A forked worker process lets the first one
    pass, since its parent ends it, and ends at the second. Does nothing outside the main thread, where no signal can be
    handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, seen = os.getpid(), 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if os.getpid() == owner:
            raise KeyboardInterrupt
        if seen > 1:
            os._exit(130)

    before = {number: signal.getsignal(number) for number in stop_signals()}
    plain = {n: handler for n, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)}
    for number in plain:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in plain.items():
            signal.signal(number, handler)
