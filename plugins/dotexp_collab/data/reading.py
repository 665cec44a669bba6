"""Text files of ratings or titles, read in blocks of rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from dotexp import ComponentError

from dotexp_collab.data.columns import Block, Name, Table
from dotexp_collab.data.params import Header
from dotexp_collab.data.parquet import ParquetTable
from dotexp_collab.data.sources import Digest, Form, digest_file, is_parquet, text_blocks

if TYPE_CHECKING:
    import _csv

_SEPARATORS = ("\t", "::", ";", "|", ",")
_UNIT = "\x1f"
"""Stands for a separator of more than one byte: the reader of columns takes one byte."""


def open_table(path: Path, field: str, form: Form, chosen: Sequence[Name], digest: Digest) -> Table:
    """Open a file of which `chosen` are the columns that a header is looked for in, and feed its bytes to `digest`.

    Raises ComponentError, naming `field`: E401 where there is no such file, E402 where it is no table.
    """
    if is_parquet(path, field):
        digest_file(path, field, digest)
        return ParquetTable(path, field)
    return TextTable(path, field, form, chosen, digest)


class TextTable:
    """A text file, plain or gzip, a row a line; its first row that is not blank says how many fields a row has."""

    unit = "line"

    def __init__(self, path: Path, field: str, form: Form, chosen: Sequence[Name], digest: Digest) -> None:
        self.path = path
        self.field = field
        self._form = form
        self._separator = form.separator
        self._pieces = self._short(text_blocks(path, field, form, digest))
        self._lines = 0
        self._text, first = self._begin()
        self.width = len(first)
        self.hint = _other_separator(first, form.separator)
        self.header = tuple(cell.strip() for cell in first) if _has_header(first, form.header, chosen) else None

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Yield the rows of some columns, once. Raises ComponentError (E402) for what is no table."""
        skipping = self.header is not None
        found = False
        while True:
            block = self._block(self._text, columns)
            if skipping and len(block.lines):
                block, skipping = Block(block.frame[1:], block.lines[1:]), False
            if len(block.lines):
                found = True
                yield block
            self._lines += self._text.count("\n")
            if (text := next(self._pieces, None)) is None:
                break
            self._text = text
        if not found:
            raise ComponentError(f"{self.path} has a header and no rows", field=self.field)

    def _begin(self) -> tuple[str, list[str]]:
        """Read on to the first row that is not blank."""
        for text in self._pieces:
            if first := _first_row(text, self._separator, self._form.quotes):
                return text, first
            self._lines += text.count("\n")
        raise ComponentError(f"{self.path} is empty", field=self.field)

    def _short(self, texts: Iterator[str]) -> Iterator[str]:
        """Put one byte in place of a longer separator."""
        if len(self._separator.encode()) == 1:
            yield from texts
            return
        separator, self._separator = self._separator, _UNIT
        for text in texts:
            if _UNIT in text:
                raise ComponentError(f"{self.path} has the control character U+001F in it", field=self.field)
            yield text.replace(separator, _UNIT)

    def _block(self, text: str, columns: Sequence[int]) -> Block:
        quoted = self._form.quotes and '"' in text
        frame, lines = self._quoted(text) if quoted else self._plain(text)
        wanted = [_stripped(pl.col(str(column))).alias(str(at)) for at, column in enumerate(columns)]
        chosen = frame.select(*wanted, _stripped(pl.col("over")))
        blank = chosen.select(blank=pl.all_horizontal(pl.all().is_null()))["blank"]
        if blank.any():  # a look at the fields that are not wanted, too: a row may be blank but for them
            blank &= frame.select(blank=pl.all_horizontal(_stripped(pl.all()).is_null()))["blank"]
            chosen, lines = chosen.filter(~blank), lines.filter(~blank)
        return Block(chosen, lines)

    def _plain(self, text: str) -> tuple[pl.DataFrame, pl.Series]:
        """Read text without quotes: a row a line. A first line of our own says how many columns there are."""
        names = [*(str(number) for number in range(self.width)), "over"]
        frame = pl.read_csv(
            f"{self._separator.join(names)}\n{text}".encode(),
            separator=self._separator,
            quote_char=None,
            infer_schema=False,
            truncate_ragged_lines=True,
        )
        return frame, pl.int_range(self._lines + 1, self._lines + len(frame) + 1, eager=True)

    def _quoted(self, text: str) -> tuple[pl.DataFrame, pl.Series]:
        """Read text with quotes, by the standard library: it counts lines where a field goes over several."""
        reader = _reader(text, self._separator, True)
        rows: list[list[str]] = []
        ends = [0]
        try:
            for row in reader:
                rows.append(row)
                ends.append(reader.line_num)
        except csv.Error as error:
            raise ComponentError(
                f"{self.path}, line {self._lines + ends[-1] + 1}: quotes that do not enclose a whole field: {error}",
                field=self.field,
                help="quotes = false takes a quote as a character like another",
            ) from None
        columns: dict[str, Sequence[str | None]] = {
            str(at): [row[at] if at < len(row) else None for row in rows] for at in range(self.width)
        }
        columns["over"] = [row[self.width] if self.width < len(row) else None for row in rows]
        lines = pl.Series(ends[:-1], dtype=pl.Int64) + (self._lines + 1)
        return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), lines


def _stripped(column: pl.Expr) -> pl.Expr:
    text = column.str.strip_chars()
    return pl.when(text.str.len_bytes() > 0).then(text)


def _reader(text: str, separator: str, quotes: bool) -> _csv.Reader:
    lines = io.StringIO(text, newline="")
    if quotes:
        return csv.reader(lines, delimiter=separator, strict=True)
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)


def _first_row(text: str, separator: str, quotes: bool) -> list[str]:
    try:
        rows = _reader(text, separator, quotes)
        return next((row for row in rows if any(cell.strip() for cell in row)), [])
    except csv.Error:
        return text.lstrip().split("\n", 1)[0].split(separator)


def _has_header(first: Sequence[str], header: Header | bool, chosen: Sequence[Name]) -> bool:
    if header is not Header.auto:
        return bool(header)
    if any(isinstance(column, str) for column in chosen):
        return True
    cells = [first[column].strip() for column in chosen if isinstance(column, int) and column < len(first)]
    return bool(cells) and len(cells) == len(chosen) and all(cell and not _is_number(cell) for cell in cells)


def _other_separator(first: Sequence[str], separator: str) -> str:
    """Say which separator a first line of one field may have been written with."""
    found = [other for other in _SEPARATORS if len(first) == 1 and other != separator and other in first[0]]
    return f"is the separator another one? separator = {json.dumps(found[0])}" if found else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
