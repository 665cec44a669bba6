"""A call of the command line: what its options and its command say about how it ends."""

from __future__ import annotations

import click


class Session:
    """Whether faults show Python's traceback, and whether the command's work is done but for what it prints."""

    def __init__(self) -> None:
        self.traceback = False
        self.work_done = False


def note_work_done() -> None:
    """Note that the work is on disk, or is the exit code: a standard output that fails then changes no exit code."""
    context = click.get_current_context(silent=True)
    session = context.find_object(Session) if context is not None else None
    if session is not None:
        session.work_done = True
