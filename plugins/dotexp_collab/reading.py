"""Text files of ratings, read into columns of stripped text; a field that is empty or missing is null."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from dotexp import ComponentError

from dotexp_collab.params import Header, RatingsParams

if TYPE_CHECKING:
    import _csv

_GZIP = b"\x1f\x8b"
_UNIT = "\x1f"
"""Stands for a separator of more than one byte: the reader of columns takes one byte."""
_LEAD = 1 << 20
_SHOWN = 10
_LISTED = 30
LARGEST = 4 * 1024**3
"""Bytes of a file of ratings, unpacked: 32 million ratings of MovieLens are less than one quarter of it."""


@dataclass(frozen=True)
class Table:
    """A file's rows, blank ones left out.

    `frame` has the fields by number, `"0"`, `"1"`, …, and as its last column, `"over"`, what stands after as many
    fields as the first line has; `lines` are the rows' line numbers, from 1; `header` the columns' names, if any.
    `field` is the parameter that named the file.
    """

    name: str
    field: str
    frame: pl.DataFrame
    lines: pl.Series
    header: tuple[str, ...] | None
    width: int

    def column(self, wanted: int | str, field: str) -> pl.Series:
        """Return a column by number or name; raises as `index`."""
        return self.frame[str(self.index(wanted, field))]

    def index(self, wanted: int | str, field: str) -> int:
        """Find a column's number; raises ComponentError (E402), naming `field`, where there is no such column."""
        blamed = field if self.field == "path" else self.field
        if isinstance(wanted, int):
            if wanted < self.width:
                return wanted
            raise ComponentError(f"{self.name} has no column {wanted}", field=blamed, help=self._columns())
        if self.header is None:
            message = f"{self.name} has no header that could name a column `{wanted}`"
            raise ComponentError(message, field=blamed, help=f"give the column's number: {self._columns()}")
        if (found := self.header.count(wanted)) != 1:
            message = f"{self.name} has {f'{found} columns' if found else 'no column'} called `{wanted}`"
            raise ComponentError(message, field=blamed, help=self._columns())
        return self.header.index(wanted)

    def refuse(self, reasons: pl.DataFrame) -> None:
        """Raise ComponentError (E402) for the rows of which one of the `reasons` (text, null where none) holds."""
        why = reasons.select(pl.concat_str(pl.all(), separator=", ", ignore_nulls=True).alias("why"))["why"]
        bad = (why != "").fill_null(False)
        if not (total := bad.sum()):
            return
        first = zip(self.lines.filter(bad).head(_SHOWN), why.filter(bad).head(_SHOWN), strict=True)
        listed = [f"line {line}: {reason}" for line, reason in first]
        more = [f"and {total - len(listed)} more"] if total > len(listed) else []
        raise ComponentError(
            f"{total} of {len(why)} rows of {self.name} cannot be used\n" + "\n".join(f"  {x}" for x in listed + more),
            field=self.field,
        )

    def _columns(self) -> str:
        names = [str(number) for number in range(self.width)] if self.header is None else self.header
        return f"its columns are {', '.join(names)}" if len(names) <= _LISTED else f"it has {len(names)} columns"


def read_bytes(path: Path, field: str) -> bytes:
    """Read a file whole; raises ComponentError (E401), naming `field`, where it cannot be, E402 for too large a one."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device may never end
            raise ComponentError(f"{path} is not a file", field=field, code="E401")
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        _require_moderate(raw, str(path), field)
        return raw
    except FileNotFoundError:
        message = f"there is no file {path}"
    except IsADirectoryError:
        message = f"{path} is a folder, not a file of ratings"
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
    raise ComponentError(message, field=field, code="E401")


def read_table(raw: bytes, name: str, field: str, params: RatingsParams) -> Table:
    """Read a file's bytes, plain or gzip, as a table; raises ComponentError (E402) for what is none."""
    text = _decoded(_unpacked(raw, name, field), name, field, params)
    separator = params.separator
    if len(separator.encode()) > 1:
        text, separator = _with_short_separator(text, separator, name, field)
    first = _first_row(text, separator, params.quotes)
    if not first:
        raise ComponentError(f"{name} is empty", field=field)
    if params.quotes and '"' in text:
        frame, lines = _quoted(text, separator, len(first), name, field)
    else:
        frame, lines = _plain(text, separator, len(first))
    frame = frame.with_columns(pl.all().str.strip_chars()).with_columns(pl.all().replace("", None))
    filled = frame.select(filled=pl.any_horizontal(pl.all().is_not_null()))["filled"]
    frame, lines = (frame, lines) if filled.all() else (frame.filter(filled), lines.filter(filled))
    header = tuple(cell.strip() for cell in first) if _has_header(first, params) else None
    if header is not None:
        frame, lines = frame[1:], lines[1:]
    if not len(lines):
        raise ComponentError(f"{name} has a header and no rows", field=field)
    return Table(name, field, frame, lines, header, len(first))


def _unpacked(raw: bytes, name: str, field: str) -> bytes:
    if not raw.startswith(_GZIP):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            unpacked = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ComponentError(f"{name} is a gzip file that does not unpack: {error}", field=field) from None
    _require_moderate(unpacked, name, field)
    return unpacked


def _require_moderate(raw: bytes, name: str, field: str) -> None:
    if len(raw) > LARGEST:
        raise ComponentError(f"{name} has more than {LARGEST:,} bytes", field=field)


def _decoded(raw: bytes, name: str, field: str, params: RatingsParams) -> str:
    try:
        return raw.decode(params.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ComponentError(
            f"{name}, line {line}: not {params.encoding} text",
            field=field,
            help="name the file's encoding: encoding = latin-1 is common in old files, and takes every byte"
            if params.encoding != "latin-1"
            else "",
        ) from None


def _with_short_separator(text: str, separator: str, name: str, field: str) -> tuple[str, str]:
    if _UNIT in text:
        raise ComponentError(f"{name} has the control character U+001F in it", field=field)
    return text.replace(separator, _UNIT), _UNIT


def _reader(text: str, separator: str, quotes: bool) -> _csv.Reader:
    lines = io.StringIO(text, newline="")
    if quotes:
        return csv.reader(lines, delimiter=separator, strict=True)
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)


def _first_row(text: str, separator: str, quotes: bool) -> list[str]:
    try:
        rows = _reader(text[:_LEAD], separator, quotes)
        return next((row for row in rows if any(cell.strip() for cell in row)), [])
    except csv.Error:
        return text.lstrip().split("\n", 1)[0].split(separator)


def _plain(text: str, separator: str, width: int) -> tuple[pl.DataFrame, pl.Series]:
    """Read text without quotes: a row a line. A first line of our own says how many columns there are."""
    names = [*(str(number) for number in range(width)), "over"]
    frame = pl.read_csv(
        f"{separator.join(names)}\n{text}".encode(),
        separator=separator,
        quote_char=None,
        infer_schema=False,
        truncate_ragged_lines=True,
    )
    return frame, pl.int_range(1, len(frame) + 1, eager=True)


def _quoted(text: str, separator: str, width: int, name: str, field: str) -> tuple[pl.DataFrame, pl.Series]:
    """Read text with quotes, by the standard library: it counts lines where a field goes over several."""
    reader = _reader(text, separator, True)
    rows: list[list[str]] = []
    ends = [0]
    try:
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
    except csv.Error as error:
        raise ComponentError(
            f"{name}, line {ends[-1] + 1}: quotes that do not enclose a whole field: {error}",
            field=field,
            help="quotes = false takes a quote as a character like another",
        ) from None
    columns: dict[str, Sequence[str | None]] = {
        str(at): [row[at] if at < len(row) else None for row in rows] for at in range(width)
    }
    columns["over"] = [row[width] if width < len(row) else None for row in rows]
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), pl.Series(ends[:-1]) + 1


def _has_header(first: Sequence[str], params: RatingsParams) -> bool:
    if params.header is not Header.auto:
        return bool(params.header)
    chosen = (params.user, params.item, params.rating)
    if any(isinstance(column, str) for column in chosen):
        return True
    cells = [first[column].strip() for column in chosen if isinstance(column, int) and column < len(first)]
    return len(cells) == len(chosen) and all(cell and not _is_number(cell) for cell in cells)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
