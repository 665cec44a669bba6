"""What is wrong with rows, gathered block by block and told at once."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from dotexp import ComponentError

SHOWN = 10
"""Rows that are listed before the rest is counted."""


class Faults:
    """Rows of a file that cannot be used: the first ones with their lines and reasons, and how many there are.

    `field` is the parameter that named the file; `unit` is `line`, or `row` where a file has no lines.
    """

    def __init__(self, name: str, field: str, unit: str) -> None:
        self.name = name
        self.field = field
        self.rows = 0
        self.bad = 0
        self._unit = unit
        self._listed: list[str] = []

    def see(self, lines: pl.Series, why: pl.Series | None) -> None:
        """Take in a block: its rows' numbers, and what is wrong with each (text, null for nothing; None: all good)."""
        self.rows += len(lines)
        if why is None:
            return
        bad = why.is_not_null()
        self.bad += int(bad.sum())
        room = SHOWN - len(self._listed)
        first = zip(lines.filter(bad).head(room), why.filter(bad).head(room), strict=True)
        self._listed += [f"{self._unit} {line}: {reason}" for line, reason in first]

    @property
    def listing(self) -> str:
        """The rows one under the other, the rest as a count."""
        more = [f"and {self.bad - len(self._listed)} more"] if self.bad > len(self._listed) else []
        return "\n".join(f"  {line}" for line in [*self._listed, *more])


def refuse(faults: Sequence[Faults]) -> None:
    """Raise ComponentError (E402) where a file has rows that cannot be used, with all files' rows."""
    found = [fault for fault in faults if fault.bad]
    if found:
        told = [f"{f.bad} of {f.rows} rows of {f.name} cannot be used\n{f.listing}" for f in found]
        help = "on_bad = skip leaves such rows out, and counts them"
        raise ComponentError("\n".join(told), field=found[0].field, help=help)


def skipped(faults: Sequence[Faults]) -> tuple[str, ...]:
    """Say of each file how many of its rows are left out, and which were the first."""
    return tuple(f"{f.bad} of {f.rows} rows of {f.name} are left out\n{f.listing}" for f in faults if f.bad)
