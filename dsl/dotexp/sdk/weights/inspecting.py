"""Weights looked at for a plan, before a run makes its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Inspection:
    """How weights are looked at, and which published ones are not on this machine.

    `for_run` says that a run follows: missing weights are downloaded, and values are read, too, for what is not finite.
    """

    for_run: bool
    missing: list[str] = field(default_factory=list)


_current: ContextVar[Inspection | None] = ContextVar("inspection", default=None)


def inspection() -> Inspection | None:
    """Return the inspection under way; None where weights are loaded to be used."""
    return _current.get()


@contextmanager
def inspect_weights(for_run: bool = False) -> Iterator[Inspection]:
    """Have bodies that are built inspect their weights and not use them."""
    made = Inspection(for_run)
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)
