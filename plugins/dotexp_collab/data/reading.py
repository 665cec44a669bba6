"""Rows of a table checked and turned into columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from dotexp.sdk import set_names
from dotexp.sdk.names import composed
from dotexp.sdk.tables import Block, Column, RowFaults, Table

from dotexp_collab.data.columns import GrowingArray, Rows
from dotexp_collab.data.vocabulary import IdNumbers

NO, YES, VALID, TEST = 0, 1, 2, 3
"""Marks of a row in a column that a split reads: not held out, held out, and named as one of the sets."""

_MARKS = {
    NO: (*set_names.NO, *set_names.ROLES["train"]),
    YES: set_names.YES,
    VALID: set_names.ROLES["valid"],
    TEST: set_names.ROLES["test"],
}
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_SLASHES = r"^(\d{4})[/.](\d\d?)[/.](\d\d?)"
"""The year first: `1998/04/20`. Of `04/05/1998` nobody can say which is the month."""
_MISSING = 1000
"""Items without a title that are kept, to be compared with those that have one."""

_UTC = r"(?i)\s*(z|utc|gmt)$"
_OFFSET = r"(:\d\d(?:[.,]\d+)?)\s*([+-])(\d\d):?(\d\d)?$"
_DECIMAL_COMMA = r"^[+-]?\d+,\d+$"


class ColumnNumbers(NamedTuple):
    """Numbers of the columns to read; `marks` by the name that the spec gives them."""

    user: int
    item: int
    rating: int
    time: int | None
    marks: Mapping[Column, int]


@dataclass
class Catalogue:
    """The items of a file of titles, and how the ratings' items met them: the first `missing`, and whether any did."""

    titles: Mapping[str, str]
    missing: dict[str, None] = field(default_factory=dict)
    met: bool = False

    def look_up(self, items: pl.Series) -> None:
        """Look for the items of some usable rows."""
        distinct = items.unique(maintain_order=True)
        strange = [item for item in distinct if composed(item) not in self.titles]
        self.met = self.met or len(strange) < len(distinct)
        if len(self.missing) < _MISSING:
            self.missing.update(dict.fromkeys(strange[:_MISSING]))


def read_rows(
    table: Table, numbers: ColumnNumbers, users: IdNumbers, items: IdNumbers, catalogue: Catalogue | None, mapped: bool
) -> tuple[Rows, RowFaults]:
    """Read a table's usable rows, and the faults of the others.

    `catalogue` is held against the rows' items; `mapped` writes the columns to temporary files and
    maps them.
    """
    faults = RowFaults(str(table.path), table.field, table.unit)
    timed = numbers.time is not None
    columns = [numbers.user, numbers.item, numbers.rating, *([numbers.time] if numbers.time is not None else [])]
    first_mark = len(columns)
    reader = _RowReader(table.width, timed, {name: str(first_mark + at) for at, name in enumerate(numbers.marks)})
    dtypes = [np.int32, np.int32, np.float32, *([np.float64] * timed), *([np.uint8] * len(numbers.marks))]
    store = [GrowingArray(np.dtype(dtype), mapped) for dtype in dtypes]
    for block in table.blocks([*columns, *numbers.marks.values()]):
        good, why = reader.judge(block)
        faults.see(block.lines, why)
        if catalogue is not None:
            catalogue.look_up(good["item"])
        values: list[Any] = [users.numbers(good["user"]), items.numbers(good["item"]), good["rating"].to_numpy()]
        values += [good[name].to_numpy() for name in good.columns[3:]]
        for column, value in zip(store, values, strict=True):
            column.append(value)
    done = [column.finish() for column in store]
    marks = dict(zip(numbers.marks, done[3 + timed :], strict=True))
    return Rows(done[0], done[1], done[2], done[3] if timed else None, marks), faults


@dataclass
class _RowReader:
    """Separates a block's usable rows from the others, and converts them to numbers.

    The columns of a block are user, item, rating, the time if `timed`, and the `marks`, name by column.
    """

    width: int
    timed: bool
    marks: Mapping[Column, str]
    _dated: bool | None = None

    def judge(self, block: Block) -> tuple[pl.DataFrame, pl.Series | None]:
        """Return the usable rows, as numbers, and the fault of every row (null: none; None: no row has a fault)."""
        frame = block.frame
        numbers = frame.select(
            user=pl.col("0"),
            item=pl.col("1"),
            rating=pl.col("2").cast(pl.Float32, strict=False),
            **({"time": self._time(frame["3"])} if self.timed else {}),
            **{f"mark {column}": _mark(pl.col(column)) for column in self.marks.values()},
        )
        fine = numbers.select(
            fine=pl.all_horizontal(pl.all().is_not_null()) & pl.col("rating").is_finite().fill_null(False)
        )["fine"]
        fine &= frame["over"].is_null() & ~frame["short"]
        if fine.all():
            return numbers, None
        both = pl.concat([frame, numbers], how="horizontal")
        why = both.select(why=pl.concat_str(self._reasons(), separator=", ", ignore_nulls=True))["why"]
        return numbers.filter(fine), pl.DataFrame({"why": why, "fine": fine}).select(
            pl.when(~pl.col("fine")).then("why")
        )["why"]

    def _time(self, written: pl.Series) -> pl.Expr:
        """Seconds since 1970 where the first time is a date, else the numbers as they are."""
        if self._dated is None and (known := written.drop_nulls()).len():
            self._dated = known.head(1).cast(pl.Float64, strict=False).null_count() == 1
        return _seconds(pl.col("3")) if self._dated else pl.col("3").cast(pl.Float64, strict=False)

    def _reasons(self) -> Sequence[pl.Expr]:
        return [
            pl.when(pl.col("user").is_null()).then(pl.lit("no user")),
            pl.when(pl.col("item").is_null()).then(pl.lit("no item")),
            _rating_reason(),
            *([self._time_reason()] if self.timed else []),
            *(_mark_reason(name, pl.col(column)) for name, column in self.marks.items()),
            pl.when(pl.col("over").is_not_null()).then(pl.lit(f"more than {self.width} fields")),
            pl.when(pl.col("short") & pl.col("rating").is_not_null()).then(pl.lit(f"fewer than {self.width} fields")),
        ]

    def _time_reason(self) -> pl.Expr:
        what = "no date such as 1998-04-20 15:30" if self._dated else "not a number"
        return (
            pl.when(pl.col("3").is_null())
            .then(pl.lit("no time"))
            .when(pl.col("time").is_null())
            .then(pl.concat_str(pl.lit("time `"), pl.col("3"), pl.lit(f"` is {what}")))
        )


def _seconds(column: pl.Expr) -> pl.Expr:
    """Dates as seconds since 1970: UTC unless an offset such as +02:00 says otherwise."""
    text = column.str.replace(_UTC, "").str.replace(_SLASHES, "$1-$2-$3")
    sign = pl.when(text.str.extract(_OFFSET, 2) == "-").then(-1).otherwise(1)
    hours, minutes = (text.str.extract(_OFFSET, group).cast(pl.Int64, strict=False).fill_null(0) for group in (3, 4))
    local = text.str.replace(_OFFSET, "$1").str.replace(r"(:\d\d),", "$1.")
    tries = [local.str.to_datetime(form, strict=False, time_unit="us") for form in _DATES]
    return pl.coalesce(tries).dt.epoch("us").cast(pl.Float64) / 1e6 - sign * (hours * 3600 + minutes * 60)


def _rating_reason() -> pl.Expr:
    rating, written = pl.col("rating"), pl.col("2")
    return (
        pl.when(written.is_null())
        .then(pl.lit("no rating"))
        .when(written.str.contains(_DECIMAL_COMMA))
        .then(pl.format("rating `{}` has a decimal comma where a point is needed", written))
        .when(rating.is_null())
        .then(pl.format("rating `{}` is not a number", written))
        .when(~rating.is_finite())
        .then(pl.format("rating `{}` is not a finite number", written))
    )


def _mark(column: pl.Expr) -> pl.Expr:
    lower = column.str.to_lowercase()
    marks = [pl.when(lower.is_in(words)).then(pl.lit(mark, dtype=pl.UInt8)) for mark, words in _MARKS.items()]
    return pl.coalesce(marks)


def _mark_reason(name: Column, column: pl.Expr) -> pl.Expr:
    where = pl.lit(f"column {name}: ")
    return (
        pl.when(column.is_null())
        .then(where + "nothing, where 0 or 1, or train, valid or test is needed")
        .when(_mark(column).is_null())
        .then(pl.concat_str(where, pl.lit("`"), column, pl.lit("` is none of 0, 1, true, false, train, valid, test")))
    )
