"""Columns of ratings: narrow arrays, in memory or in files that are mapped into it, worked on in chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile, gettempdir
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from dotexp.sdk.tables import Column
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Flags = NDArray[np.bool_]
Marks = NDArray[np.uint8]

CHUNK = 1 << 20
"""Rows worked on at once, where scratch memory for a whole column would be too much."""


@dataclass
class Rows:
    """Columns of ratings, all of the same length: numbers of users and items, ratings, and what splits look at.

    `times` are seconds, or whatever the file counts in; `marks` are the columns that a split reads, by name.
    """

    users: Codes
    items: Codes
    ratings: NDArray[np.float32]
    times: NDArray[np.float64] | None = None
    marks: Mapping[Column, Marks] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ratings)


class GrowingArray:
    """An array that grows at its end, in memory or in a temporary file that ends with the process."""

    def __init__(self, dtype: np.dtype[Any], mapped: bool) -> None:
        self._array = np.empty(0, dtype)
        self._file: BinaryIO | None = cast(BinaryIO, TemporaryFile()) if mapped else None  # noqa: SIM115
        self._count = 0

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        end = self._count + len(values)
        if self._file is not None:
            with _on_disk():
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
    with _on_disk():
        _reserve(file, count * np.dtype(dtype).itemsize)
    return _mapped(file, np.dtype(dtype), count)


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """Cut a number of rows into slices of `size`."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


class Labelled(NamedTuple):
    """The rows that have a label; `labels` None: all rows."""

    labels: NDArray[np.uint8] | None
    label: int

    def of(self, column: NDArray[Any], part: slice) -> NDArray[Any]:
        """Return the values of these rows within a slice of a column."""
        return column[part] if self.labels is None else column[part][self.labels[part] == self.label]

    def count(self, rows: int) -> int:
        """Count these rows, given the number of all rows."""
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


def _reserve(file: BinaryIO, size: int) -> None:
    """Make a file of a size whose every byte has room: a write to a mapped file on a full disk kills the process."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


@contextmanager
def _on_disk() -> Iterator[None]:
    """Name the folder of temporary files in the errors of a file that has no name."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or gettempdir()
        raise


def _mapped(file: BinaryIO, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if not count:
        file.close()
        return np.empty(0, dtype)
    with _on_disk():
        file.flush()
    array: NDArray[Any] = np.memmap(file, dtype=dtype, mode="r+", shape=(count,))
    file.close()  # the mapping keeps what is in it
    return array
