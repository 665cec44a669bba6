"""Text files of rows, read in blocks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from dotexp.language.diagnostics import ComponentError
from dotexp.sdk.tables import files
from dotexp.sdk.tables.columns import Block, TextFormat
from dotexp.sdk.tables.files import Digest

_SEPARATORS = ("\t", "::", ";", "|", ",", " ")
_UNIT = "\x1f"
"""Replaces a separator of two characters: Polars and csv take one."""
_SAMPLE = 200
"""Rows by which the header is decided."""


class TextTable:
    """A text file, plain or gzip; the first row that is not blank says how many fields a row has.

    Quotes are those of the csv module: a field is quoted if its first character is a quote; any other quote is a
    character like another. Rows end where that reader ends them.
    """

    unit = "line"

    def __init__(self, path: Path, field: str, form: TextFormat, digest: Digest, second: bool) -> None:
        self.path = path
        self.field = field
        self.second = second
        self._form = form
        self._separator = form.separator if len(form.separator.encode()) == 1 else _UNIT
        self._source = _Source(self._decoded(digest))
        self._lines = 0
        self.notes: tuple[str, ...] = ()
        rows = self._sample()
        if not rows:
            raise ComponentError(f"{path} is empty", field=field)
        self.width = len(rows[0])
        self.hint = _other_separator([self._separator.join(row) for row in rows], self.width, form)
        sample = [[cell.strip() for cell in row] for row in rows]
        sample[0][0] = sample[0][0].removeprefix("#").lstrip()
        named = form.header if isinstance(form.header, bool) else form.header(sample)
        self.first = tuple(cell.strip() for cell in rows[0])
        self.header = tuple(sample[0]) if named else None

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Yield the rows of some columns, once. Raises ComponentError (E402) for an unreadable file."""
        skipping = self.header is not None
        found = False
        while text := self._source.next():
            block = self._block(text, columns)
            if skipping and len(block.lines):
                block, skipping = Block(block.frame[1:], block.lines[1:]), False
            if len(block.lines):
                found = True
                yield block
        if not found:
            raise ComponentError(f"{self.path} has a header and no rows", field=self.field)

    def _decoded(self, digest: Digest) -> Iterator[str]:
        """Decode the file, a separator of two characters replaced by one."""
        form = self._form
        texts = files.decoded_lines(self.path, self.field, form.encoding, form.encoding_field, digest)
        if self._separator == form.separator:
            yield from texts
            return
        for text in texts:
            if _UNIT in text:
                raise ComponentError(f"{self.path} has the control character U+001F in it", field=self.field)
            yield text.replace(form.separator, _UNIT)

    def _sample(self) -> list[list[str]]:
        """Read the first rows that are not blank, and leave them to be read again; blank lines before them are past."""
        first = True
        while text := self._source.next():
            text, first = self._after_preamble(text) if first else text, False
            lines = _Lines(text, self._source)
            rows: list[list[str]] = []
            try:
                for row in lines.rows(self._separator, self._form.quotes):
                    rows += [row] if any(cell.strip() for cell in row) else []
                    if len(rows) == _SAMPLE:
                        break
            except csv.Error:  # `blocks` says which line is wrong
                rows = rows or [lines.text.lstrip().split("\n", 1)[0].split(self._separator)]
            if rows:
                self._source.put_back(lines.text)
                return rows
            self._lines += lines.number
        return []

    def _after_preamble(self, text: str) -> str:
        """Skip what stands before the table: `sep=;`, which Excel reads, comments, a Matrix Market file's sizes.

        A line that begins with % is a comment; one that begins with # is, unless it has as many fields as the next.
        """
        line, _, rest = text.partition("\n")
        if line[:4].lower() == "sep=" and len(line.strip("\r ")) <= 5:
            self._require_separator(line.strip("\r ")[4:])
            self._lines += 1
            return rest
        market = line.split() if line.lower().startswith("%%matrixmarket") else []
        if "array" in market:
            message = f"{self.path} is a dense Matrix Market file, not a list of entries"
            raise ComponentError(message, field=self.field, help="write its entries as CSV")
        skipped = 0
        while line.startswith("%") or (line.startswith("#") and self._fields(line) != self._fields(rest)):
            skipped += 1
            text = rest or self._source.next()
            line, _, rest = text.partition("\n")
        if market:
            skipped, text = skipped + 1, rest
        if skipped:
            what = "the header of Matrix Market" if market else "comments, which begin with % or #"
            lines = f"the first {skipped} lines" if skipped > 1 else "the first line"
            self.notes = (f"{self.path}: {lines} not read as data: {what}",)
        self._lines += skipped
        return text

    def _fields(self, text: str) -> int:
        return text.partition("\n")[0].count(self._separator)

    def _require_separator(self, named: str) -> None:
        """Raise ComponentError (E402) where a file names another separator than the one it is to be read with."""
        if named and named != self._separator:
            message = f"{self.path}, line 1: `sep={named}` says that the separator is another one"
            parameter = self._form.separator_field
            help = f"{parameter} = {json.dumps(named)}" if parameter else ""
            raise ComponentError(message, field=self.field, help=help)

    def _block(self, text: str, columns: Sequence[int]) -> Block:
        quoted = self._form.quotes and '"' in text
        frame, lines = self._quoted(text) if quoted else self._plain(text)
        wanted = [_stripped(pl.col(str(column))).alias(str(at)) for at, column in enumerate(columns)]
        chosen = frame.select(*wanted, _stripped(pl.col("over")), "short")
        blank = chosen.select(blank=pl.all_horizontal(pl.exclude("short").is_null()))["blank"]
        if blank.any():  # a row is blank only if its other fields are, too
            blank &= frame.select(blank=pl.all_horizontal(_stripped(pl.exclude("short")).is_null()))["blank"]
            chosen, lines = chosen.filter(~blank), lines.filter(~blank)
        return Block(chosen, lines)

    def _plain(self, text: str) -> tuple[pl.DataFrame, pl.Series]:
        """Read text without quotes: a row a line. An added first line tells Polars how many columns there are."""
        names = [*(str(number) for number in range(self.width)), "over"]
        frame = pl.read_csv(
            f"{self._separator.join(names)}\n{text}".encode(),
            separator=self._separator,
            quote_char=None,
            infer_schema=False,
            truncate_ragged_lines=True,
        )
        first = self._lines + 1
        self._lines += text.count("\n")
        short = frame[str(self.width - 1)].is_null()
        if short.any():  # a field that is empty and one that is not there are both null
            lines = pl.Series(text.split("\n")[: len(frame)])
            short &= lines.str.count_matches(self._separator, literal=True) < self.width - 1
        frame = frame.with_columns(short=short)
        return frame, pl.int_range(first, first + len(frame), eager=True)

    def _quoted(self, text: str) -> tuple[pl.DataFrame, pl.Series]:
        """Read text with quotes, by the csv module; a row that is open at the end of the text is read to its end."""
        rows: list[list[str]] = []
        starts: list[int] = []
        lines = _Lines(text, self._source, self._lines)
        try:
            starts.append(lines.number + 1)
            for row in lines.rows(self._separator, True):
                rows.append(row)
                starts.append(lines.number + 1)
                if lines.extended:
                    self._source.put_back(lines.rest())
                    break
        except csv.Error as error:
            raise self._unclosed(starts[-1], str(error)) from None
        self._lines = lines.number
        columns: dict[str, Sequence[str | None]] = {
            str(at): [row[at] if at < len(row) else None for row in rows] for at in range(self.width)
        }
        columns["over"] = [row[self.width] if self.width < len(row) else None for row in rows]
        frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        frame = frame.with_columns(short=pl.Series([len(row) < self.width for row in rows], dtype=pl.Boolean))
        return frame, pl.Series(starts[: len(rows)], dtype=pl.Int64)

    def _unclosed(self, line: int, said: str) -> ComponentError:
        message = f"{self.path}, line {line}: quotes that do not enclose a whole field: {said}"
        parameter = self._form.quotes_field
        help = f"{parameter} = false takes a quote as a character like another" if parameter else ""
        return ComponentError(message, field=self.field, help=help)


class _Source:
    """Blocks of text, of which some can be put back to be read again."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._back = ""

    def next(self) -> str:
        """Return the next block of whole lines, "" at the end."""
        text, self._back = self._back, ""
        return text or next(self._texts, "")

    def put_back(self, text: str) -> None:
        """Put text back; it is the next block."""
        self._back = text + self._back


class _Lines:
    """Lines of a text for the csv reader, which may read on into the next blocks to finish a row.

    `number` is the number of the last line taken; `extended` says that a next block was needed.
    """

    def __init__(self, text: str, source: _Source, number: int = 0) -> None:
        self.text = text
        self.number = number
        self.extended = False
        self._source = source
        self._at = 0

    def rows(self, separator: str, quotes: bool) -> Iterator[list[str]]:
        """Yield the text's rows. Raises csv.Error."""
        if quotes:
            reader = csv.reader(self, delimiter=separator, strict=True)
        else:
            reader = csv.reader(self, delimiter=separator, quoting=csv.QUOTE_NONE)
        while self._at < len(self.text):
            yield next(reader)

    def rest(self) -> str:
        """Return the lines that no row has taken."""
        return self.text[self._at :]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._at == len(self.text):
            more = self._source.next()
            if not more:
                raise StopIteration
            self.text += more
            self.extended = True
        end = self.text.find("\n", self._at) + 1 or len(self.text)
        line = self.text[self._at : end]
        self._at = end
        self.number += 1
        return line


def _stripped(column: pl.Expr) -> pl.Expr:
    text = column.str.strip_chars()
    return pl.when(text.str.len_bytes() > 0).then(text)


def _other_separator(lines: Sequence[str], width: int, form: TextFormat) -> str:
    """Return advice about the separator where another one cuts the first lines into the same number of more fields."""
    for other in _SEPARATORS:
        counts = {line.count(other) + 1 for line in lines}
        if form.separator_field and other != form.separator and len(counts) == 1 and max(counts) > width:
            return f"is the separator another one? {form.separator_field} = {json.dumps(other)}"
    return ""
