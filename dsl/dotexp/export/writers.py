"""Writers of predictions: CSV and JSON lines are appended to, Parquet is written in parts and joined at the end."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.export.predictor import Prediction
from dotexp.runs.files import finite

if TYPE_CHECKING:
    import polars as pl

Row = Prediction | Mapping[str, Any]
"""A prediction, or what names an input that could not be read, with its `error`."""


@dataclass(frozen=True)
class Columns:
    """What a table of predictions holds: whether a value is text, whether there are several, the classes, ids."""

    text: bool
    many: bool
    classes: tuple[str, ...] = ()
    ids: bool = False

    def frame(self, rows: Sequence[Row]) -> pl.DataFrame:
        """Lay rows out as a table: what names the input, `value`, `probability_CLASS`, …, `error`."""
        import polars as pl

        names = _inputs(rows[0])
        columns = {name: pl.Series([_text(_inputs(row)[name]) for row in rows], dtype=pl.String) for name in names}
        value = pl.String() if self.text else pl.Float64()
        answered = [row if isinstance(row, Prediction) and not row.error else None for row in rows]
        values = [None if row is None else list(row.value) if isinstance(row.value, tuple) else row.value
                  for row in answered]  # fmt: skip
        columns["value"] = pl.Series(values, dtype=pl.List(value) if self.many else value)
        shares = [None if row is None else row.probabilities for row in answered]
        for label in self.classes:
            column = [None if each is None else each[label] for each in shares]
            columns[f"probability_{label}"] = pl.Series(column, dtype=pl.Float32)
        if self.ids:
            unknown = [None if row is None else list(row.unknown) for row in answered]
            columns["unknown"] = pl.Series(unknown, dtype=pl.List(pl.String))
        columns["error"] = pl.Series([error_of(row) for row in rows], dtype=pl.String)
        return pl.DataFrame(columns)


class Writer(ABC):
    """Writes rows into a folder, from where an earlier writer's last whole write ended."""

    def __init__(self, folder: Path, columns: Columns, end: int) -> None:
        self.folder, self.columns, self.end = folder, columns, end

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> int:
        """Write rows to the disk, and return where they end."""

    @abstractmethod
    def finish(self, out: Path) -> None:
        """Leave everything written as one file."""


class _Appending(Writer):
    """Appends to one file; what a write that was cut off has left behind the end is written over."""

    def write(self, rows: Sequence[Row]) -> int:
        """Append, and wait until it is on the disk."""
        with self._file.open("r+b" if self._file.exists() else "x+b") as file:
            file.seek(self.end)
            file.write(self._bytes(rows))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
            self.end = file.tell()
        return self.end

    def finish(self, out: Path) -> None:
        """Move the file into place."""
        self._file.touch()
        os.replace(self._file, out)

    @property
    def _file(self) -> Path:
        return self.folder / "rows"

    @abstractmethod
    def _bytes(self, rows: Sequence[Row]) -> bytes: ...


class _Csv(_Appending):
    """A header, then a line a row; several values are joined by `; `."""

    def _bytes(self, rows: Sequence[Row]) -> bytes:
        import polars as pl

        frame = self.columns.frame(rows)
        joined = frame.with_columns(pl.col(pl.List(pl.String)).list.join("; "))
        joined = joined.with_columns(pl.col(pl.List(pl.Float64)).cast(pl.List(pl.String)).list.join("; "))
        return joined.write_csv(include_header=self.end == 0).encode()


class _JsonLines(_Appending):
    """An object a line, as `predict --json-lines` prints them."""

    def _bytes(self, rows: Sequence[Row]) -> bytes:
        lines = (json.dumps(finite(_object(row)), allow_nan=False, ensure_ascii=False) for row in rows)
        return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


class _Parquet(Writer):
    """A numbered file for each write; `end` counts them."""

    def write(self, rows: Sequence[Row]) -> int:
        """Write a part."""
        part = self._part(self.end)
        self.columns.frame(rows).write_parquet(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        self.end += 1
        return self.end

    def finish(self, out: Path) -> None:
        """Join the parts, row group by row group."""
        import polars as pl

        joined = self.folder / "joined"
        if self.end:
            pl.scan_parquet([self._part(number) for number in range(self.end)]).sink_parquet(joined)
        else:
            pl.DataFrame().write_parquet(joined)
        os.replace(joined, out)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:06}.parquet"


WRITERS: Mapping[str, type[Writer]] = {
    ".csv": _Csv, ".jsonl": _JsonLines, ".ndjson": _JsonLines, ".parquet": _Parquet,
}  # fmt: skip
"""The writer of each kind of file, by how its name ends."""


def error_of(row: Row) -> str | None:
    """Return why an input has no answer; None where it has one."""
    return row.error or None if isinstance(row, Prediction) else str(row["error"])


def _object(row: Row) -> dict[str, Any]:
    return row.as_json() if isinstance(row, Prediction) else _inputs(row) | {"error": row["error"]}


def _text(value: Any) -> str:
    """Write a name that may hold any bytes, such as a path, as text."""
    return str(value).encode(errors="backslashreplace").decode()


def _inputs(row: Row) -> dict[str, Any]:
    if isinstance(row, Prediction):
        return row.input
    return {name: value for name, value in row.items() if name not in ("error", "unknown")}
