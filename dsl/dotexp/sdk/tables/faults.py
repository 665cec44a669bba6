"""Rows that cannot be used: collected block by block, reported together."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dotexp.language.diagnostics import ComponentError

SHOWN = 10
"""Rows listed before the rest is counted."""


class RowFaults:
    """Unusable rows of a file: the first of them with place and reason, and how many there are.

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
        """Add a block: its rows' places, and the fault of each row (null: none; `why` None: no row has a fault)."""
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
        """The first unusable rows, one a line, and the count of the others."""
        more = [f"and {self.bad - len(self._listed)} more"] if self.bad > len(self._listed) else []
        return "\n".join(f"  {line}" for line in [*self._listed, *more])

    @property
    def summary(self) -> str:
        """How many of the file's rows are unusable, as the start of a sentence."""
        return f"{self.bad} of {self.rows} rows of {self.name}"


def refuse_rows(faults: Sequence[RowFaults], help: str = "") -> None:
    """Raise ComponentError (E402) with the unusable rows of all files, if there are any."""
    found = [fault for fault in faults if fault.bad]
    if found:
        message = "\n".join(f"{fault.summary} cannot be used\n{fault.listing}" for fault in found)
        raise ComponentError(message, field=found[0].field, help=help)


def skipped_rows(faults: Sequence[RowFaults]) -> tuple[str, ...]:
    """Return a note for each file with unusable rows: how many are left out, and the first of them."""
    return tuple(f"{fault.summary} are left out\n{fault.listing}" for fault in faults if fault.bad)
