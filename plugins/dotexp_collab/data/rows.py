"""Ratings as columns: read block by block into narrow arrays, in memory or in a file that is mapped into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import polars as pl
from dotexp.sdk.tables import Block, Column, RowFaults, Table
from numpy.typing import NDArray

from dotexp_collab.data.ids import Codes, Ids

Flags = NDArray[np.bool_]

CHUNK = 1 << 20
"""Rows that are worked on at once, where a whole column's worth of scratch memory would be too much."""

_YES = ("1", "true")
_NO = ("0", "false")
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")


@dataclass
class Rows:
    """Columns of ratings, all of the same length: numbers of users and items, ratings, and what splits look at.

    `times` are seconds or whatever the file counts in; `flags` are the columns that a split reads, by name.
    """

    users: Codes
    items: Codes
    ratings: NDArray[np.float32]
    times: NDArray[np.float64] | None = None
    flags: Mapping[Column, Flags] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ratings)


class Wanted(NamedTuple):
    """Numbers of the columns to read; `flags` by the name that the spec gives them."""

    user: int
    item: int
    rating: int
    time: int | None
    flags: Mapping[Column, int]


def read_rows(
    table: Table, wanted: Wanted, users: Ids, items: Ids, catalogue: Mapping[str, Any] | None, mapped: bool
) -> tuple[Rows, RowFaults]:
    """Read a table's rows that can be used, and what is wrong with the others.

    `catalogue` are the items that there are (None: any); `mapped` writes the columns to temporary files and maps them.
    """
    faults = RowFaults(str(table.path), table.field, table.unit)
    timed = wanted.time is not None
    columns = [wanted.user, wanted.item, wanted.rating, *([wanted.time] if wanted.time is not None else [])]
    first_flag = len(columns)
    reader = _Reader(table.width, timed, {name: str(first_flag + at) for at, name in enumerate(wanted.flags)})
    dtypes = [np.int32, np.int32, np.float32, *([np.float64] * timed), *([np.bool_] * len(wanted.flags))]
    store = [Growing(np.dtype(dtype), mapped) for dtype in dtypes]
    for block in table.blocks([*columns, *wanted.flags.values()]):
        good, why = reader.judge(block, catalogue)
        faults.see(block.lines, why)
        values = [users.numbers(good["user"]), items.numbers(good["item"]), good["rating"].to_numpy()]
        values += [good[name].to_numpy() for name in good.columns[3:]]
        for column, value in zip(store, values, strict=True):
            column.append(value)
    done = [column.finish() for column in store]
    flags = dict(zip(wanted.flags, done[3 + timed :], strict=True))
    return Rows(done[0], done[1], done[2], done[3] if timed else None, flags), faults


class Growing:
    """An array that grows at its end, in memory or in a temporary file that ends with the process."""

    def __init__(self, dtype: np.dtype[Any], mapped: bool) -> None:
        self._array = np.empty(0, dtype)
        self._file: BinaryIO | None = cast(BinaryIO, TemporaryFile()) if mapped else None  # noqa: SIM115
        self._count = 0

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        end = self._count + len(values)
        if self._file is not None:
            self._file.write(np.ascontiguousarray(values, self._array.dtype).tobytes())
        else:
            if end > len(self._array):  # the operating system moves a large array without copying it
                self._array.resize(end + end // 16, refcheck=False)
            self._array[self._count : end] = values
        self._count = end

    def finish(self) -> NDArray[Any]:
        """Return the whole array; nothing can be added after."""
        if self._file is not None:
            return _mapped(self._file, self._array.dtype, self._count)
        self._array.resize(self._count, refcheck=False)
        return self._array


def empty(count: int, dtype: Any, mapped: bool) -> NDArray[Any]:
    """Make an array to be filled, in memory or in a temporary file that ends with the process."""
    if not mapped:
        return np.empty(count, dtype)
    file = cast(BinaryIO, TemporaryFile())  # noqa: SIM115
    file.truncate(count * np.dtype(dtype).itemsize)
    return _mapped(file, np.dtype(dtype), count)


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """Cut a number of rows into slices of `size`."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


class Chosen(NamedTuple):
    """Rows that have a label; `labels` None: all of them."""

    labels: NDArray[np.uint8] | None
    label: int

    def of(self, column: NDArray[Any], part: slice) -> NDArray[Any]:
        """Those of the rows that stand in a slice of a column."""
        return column[part] if self.labels is None else column[part][self.labels[part] == self.label]

    def count(self, rows: int) -> int:
        """Count them, of so many rows."""
        if self.labels is None:
            return rows
        return sum(int((self.labels[part] == self.label).sum()) for part in chunks(rows))


def counted(codes: Codes, count: int) -> NDArray[np.int64]:
    """Count the rows of every code from 0 to `count` - 1."""
    counts = np.zeros(count, np.int64)
    for part in chunks(len(codes)):  # of a whole column, bincount makes a copy twice as large
        counts += np.bincount(codes[part], minlength=count)
    return counts


def owner_blocks(counts: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """Cut users into ranges, first and past the last, of about `size` rows together; `counts` are each one's rows."""
    ends = counts.cumsum()
    first = 0
    while first < len(ends):
        past = int(np.searchsorted(ends, (ends[first - 1] if first else 0) + size, "right"))
        past = max(past, first + 1)
        yield first, past
        first = past


def _mapped(file: BinaryIO, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if not count:
        file.close()
        return np.empty(0, dtype)
    file.flush()
    array: NDArray[Any] = np.memmap(file, dtype=dtype, mode="r+", shape=(count,))
    file.close()  # the mapping keeps what is in it
    return array


@dataclass
class _Reader:
    """Tells a block's good rows from the bad ones, and makes numbers of the good ones.

    The columns of a block are user, item, rating, the time if `timed`, and the `flags`, name by column.
    """

    width: int
    timed: bool
    flags: Mapping[Column, str]
    _dated: bool | None = None

    def judge(self, block: Block, catalogue: Mapping[str, Any] | None) -> tuple[pl.DataFrame, pl.Series | None]:
        """Return the good rows, as numbers, and for each row what is wrong with it (None where all are good)."""
        frame = block.frame
        numbers = frame.select(
            user=pl.col("0"),
            item=pl.col("1"),
            rating=pl.col("2").cast(pl.Float32, strict=False),
            **({"time": self._time(frame["3"])} if self.timed else {}),
            **{f"flag {column}": _flag(pl.col(column)) for column in self.flags.values()},
        )
        fine = numbers.select(
            fine=pl.all_horizontal(pl.all().is_not_null()) & pl.col("rating").is_finite().fill_null(False)
        )["fine"]
        fine &= frame["over"].is_null()
        unknown = _unknown(numbers["item"], catalogue)
        if fine.all() and unknown is None:
            return numbers, None
        if unknown is not None:
            fine &= ~unknown
        unknown = unknown if unknown is not None else pl.Series([False]).new_from_index(0, len(frame))
        both = pl.concat([frame, numbers, unknown.alias("unknown").to_frame()], how="horizontal")
        why = both.select(why=pl.concat_str(self._reasons(), separator=", ", ignore_nulls=True))["why"]
        return numbers.filter(fine), pl.DataFrame({"why": why, "fine": fine}).select(
            pl.when(~pl.col("fine")).then("why")
        )["why"]

    def _time(self, written: pl.Series) -> pl.Expr:
        if self._dated is None and (known := written.drop_nulls()).len():
            self._dated = known.head(1).cast(pl.Float64, strict=False).null_count() == 1
        if not self._dated:
            return pl.col("3").cast(pl.Float64, strict=False)
        text = pl.col("3").str.strip_suffix("Z")
        tries = [text.str.to_datetime(form, strict=False, time_unit="us") for form in _DATES]
        return pl.coalesce(tries).dt.epoch("us").cast(pl.Float64) / 1e6

    def _reasons(self) -> Sequence[pl.Expr]:
        rating, written = pl.col("rating"), pl.col("2")
        return [
            pl.when(pl.col("user").is_null()).then(pl.lit("no user")),
            pl.when(pl.col("item").is_null()).then(pl.lit("no item")),
            pl.when(pl.col("unknown")).then(pl.format("item `{}` is not in the file of titles", "item")),
            pl.when(written.is_null())
            .then(pl.lit("no rating"))
            .when(rating.is_null())
            .then(pl.format("rating `{}` is not a number", written))
            .when(~rating.is_finite())
            .then(pl.format("rating `{}` is not a finite number", written)),
            *([self._time_reason()] if self.timed else []),
            *(_flag_reason(name, pl.col(column)) for name, column in self.flags.items()),
            pl.when(pl.col("over").is_not_null()).then(pl.lit(f"more than {self.width} fields")),
        ]

    def _time_reason(self) -> pl.Expr:
        what = "a date as the first is" if self._dated else "a number"
        return (
            pl.when(pl.col("3").is_null())
            .then(pl.lit("no time"))
            .when(pl.col("time").is_null())
            .then(pl.concat_str(pl.lit("time `"), pl.col("3"), pl.lit(f"` is not {what}")))
        )


def _unknown(items: pl.Series, catalogue: Mapping[str, Any] | None) -> pl.Series | None:
    """Tell which items are not in the catalogue; None where all are."""
    if catalogue is None:
        return None
    strange = [item for item in items.unique().drop_nulls() if item not in catalogue]
    return items.is_in(strange).fill_null(False) if strange else None


def _flag(column: pl.Expr) -> pl.Expr:
    lower = column.str.to_lowercase()
    return pl.when(lower.is_in([*_YES, *_NO])).then(lower.is_in(_YES))


def _flag_reason(name: Column, column: pl.Expr) -> pl.Expr:
    where = pl.lit(f"column {name}: ")
    return (
        pl.when(column.is_null())
        .then(where + "nothing where 0 or 1 is wanted")
        .when(_flag(column).is_null())
        .then(pl.concat_str(where, pl.lit("`"), column, pl.lit("` is none of 0, 1, true, false")))
    )
