"""Parquet files, read in blocks of rows as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from dotexp.language.diagnostics import ComponentError
from dotexp.sdk.tables.columns import Block

_READ = 1 << 20
"""Rows read at once: about a row group, which Polars reads whole."""
_ROWS = 1 << 17
"""Rows of a block: as text they take several times the memory."""


class ParquetTable:
    """A Parquet file; its columns have names, and numbers by their order. A row's place is its number, from 1."""

    unit = "row"
    hint = ""
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, field: str, second: bool) -> None:
        self.path = path
        self.field = field
        self.second = second
        try:
            self._scan = pl.scan_parquet(path, glob=False)
            schema = self._scan.collect_schema()
            self.rows = int(self._scan.select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._damaged(error) from None
        self._types = schema.dtypes()
        self._names = schema.names()
        self.first = tuple(self._names)
        self.header: tuple[str, ...] | None = self.first
        self.width = len(schema)
        if not self.rows:
            raise ComponentError(f"{path} has no rows", field=field)

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Yield the rows of some columns. Raises ComponentError (E402) for a damaged file or a column of no text."""
        for column in columns:
            if self._types[column].is_nested() or self._types[column] == pl.Binary:
                held = f"column {self._names[column]} of {self.path} holds {self._types[column]}"
                raise ComponentError(f"{held}: no text, number or date", field=self.field)
        wanted = [self._text(column).alias(str(at)) for at, column in enumerate(columns)]
        ends = pl.lit(None, dtype=pl.String).alias("over"), pl.lit(False).alias("short")
        for start in range(0, self.rows, _READ):
            try:
                distinct = list({self._names[column]: None for column in columns})
                read = self._scan.select(distinct).slice(start, _READ).collect()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise self._damaged(error) from None
            for at in range(0, len(read), _ROWS):
                frame = read[at : at + _ROWS].select(*wanted, *ends)
                first = start + at + 1
                yield Block(frame, pl.int_range(first, first + len(frame), eager=True))

    def _text(self, column: int) -> pl.Expr:
        """A column as text, whatever its type; a whole number without a decimal point, NaN as an empty field."""
        dtype = self._types[column]
        value = pl.col(self._names[column])
        if dtype.is_float():
            value = value.fill_nan(None)
            whole = (value == value.floor()) & (value.abs() < 2**53)
            value = (
                pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
            )
        text = value.cast(pl.String).str.strip_chars()
        return pl.when(text.str.len_bytes() > 0).then(text)

    def _damaged(self, error: Exception) -> ComponentError:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return ComponentError(f"{self.path} is a Parquet file that cannot be read: {said}", field=self.field)
