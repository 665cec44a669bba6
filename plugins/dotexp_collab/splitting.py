"""Which rows train, which validate and which test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from dotexp import ComponentError
from dotexp.splits import random_split_rows, whole_part
from numpy.typing import NDArray

from dotexp_collab.params import ColumnSplitParams
from dotexp_collab.reading import Table

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

_YES = ("1", "true")
_NO = ("0", "false")


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending; None for a part that comes from elsewhere or is not wanted."""

    train: Rows
    valid: Rows | None
    test: Rows | None


def flagged(params: ColumnSplitParams, table: Table, field: str) -> Flags:
    """Tell for every row whether its column holds 1 or true.

    Raises ComponentError (E402) where there is no such column, or a row holds none of 1, 0, true and false.
    """
    values = table.column(params.column, field)
    lower = values.str.to_lowercase()
    column = pl.lit(f"column {params.column}: ")
    known = lower.is_in([*_YES, *_NO])
    table.refuse(
        pl.DataFrame({"value": values, "known": known}).select(
            pl.when(pl.col("value").is_null())
            .then(column + "nothing where 0 or 1 is wanted")
            .when(~pl.col("known"))
            .then(column + pl.format("`{}` is none of 0, 1, true, false", "value"))
        )
    )
    return lower.is_in(_YES).to_numpy()


def split_rows(n: int, valid: float | int | Flags | None, test: float | int | Flags | None, seed: int) -> Split:
    """Split the rows 0 to n-1; a fraction is of all n rows, flags say it row by row, None leaves a part out.

    Asking for a test part never moves a row from or to the validation part. Raises ComponentError (E402) where a
    part would be empty or a row would be in two.
    """
    if isinstance(valid, np.ndarray) and isinstance(test, np.ndarray) and (both := int((valid & test).sum())):
        raise ComponentError(f"{both} rows are in both the validation and the test part", field="test")
    train = np.arange(n, dtype=np.int64)
    flagged_test: Rows | None = None
    if isinstance(test, np.ndarray):  # set aside first, so that a random validation part draws from the others
        train, flagged_test = _by_flags(train, test, "test")
    train, validating = _held_out(train, n, valid, seed, "split", "valid")
    if isinstance(test, np.ndarray):
        return Split(train, validating, flagged_test)
    train, testing = _held_out(train, n, test, seed, "test", "test")
    return Split(train, validating, testing)


def _held_out(
    rows: Rows, n: int, how: float | int | Flags | None, seed: int, purpose: str, field: str
) -> tuple[Rows, Rows | None]:
    if how is None:
        return rows, None
    if isinstance(how, np.ndarray):
        return _by_flags(rows, how, field)
    count = whole_part(how, n) if isinstance(how, float) else how
    kept, held = random_split_rows(len(rows), count, seed, purpose, field)
    return rows[kept], rows[held]


def _by_flags(rows: Rows, flags: Flags, field: str) -> tuple[Rows, Rows]:
    held = flags[rows]
    if not held.any() or held.all():
        raise ComponentError(f"the column puts {'every row' if held.any() else 'no row'} in this part", field=field)
    return rows[~held], rows[held]
