"""Parquet files of ratings, read in blocks of rows as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from dotexp import ComponentError

from dotexp_collab.data.columns import Block

_READ = 1 << 20
"""Rows that are read at once: about a row group, which is read whole anyhow."""
_ROWS = 1 << 17
"""Rows of a block: as text they take several times the memory."""


class ParquetTable:
    """A Parquet file; its columns have names, and numbers by their order. A row's number is its place, from 1."""

    unit = "row"
    hint = ""

    def __init__(self, path: Path, field: str) -> None:
        self.path = path
        self.field = field
        try:
            self._scan = pl.scan_parquet(path, glob=False)
            schema = self._scan.collect_schema()
            self._rows = int(self._scan.select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._damaged(error) from None
        self._types = schema.dtypes()
        self.header: tuple[str, ...] | None = tuple(schema.names())
        self.width = len(schema)
        if not self._rows:
            raise ComponentError(f"{path} has no rows", field=field)

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Yield the rows of some columns, once. Raises ComponentError (E402) for a damaged file, and for odd types."""
        names = self.header or ()
        for column in columns:
            if self._types[column].is_nested() or self._types[column] == pl.Binary:
                message = f"column {names[column]} of {self.path} holds {self._types[column]}: no text, number or date"
                raise ComponentError(message, field=self.field)
        wanted = [self._text(column).alias(str(at)) for at, column in enumerate(columns)]
        over = pl.lit(None, dtype=pl.String).alias("over")
        for start in range(0, self._rows, _READ):
            try:
                read = self._scan.select(list({names[c]: None for c in columns})).slice(start, _READ).collect()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise self._damaged(error) from None
            for at in range(0, len(read), _ROWS):
                frame = read[at : at + _ROWS].select(*wanted, over)
                first = start + at + 1
                yield Block(frame, pl.int_range(first, first + len(frame), eager=True))

    def _text(self, column: int) -> pl.Expr:
        """A column as text, a whole number without a point, whatever its type."""
        dtype = self._types[column]
        value = pl.col((self.header or ())[column])
        if dtype.is_float():
            whole = (value == value.floor()) & (value.abs() < 2**53)
            value = (
                pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
            )
        text = value.cast(pl.String).str.strip_chars()
        return pl.when(text.str.len_bytes() > 0).then(text)

    def _damaged(self, error: Exception) -> ComponentError:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return ComponentError(f"{self.path} is a Parquet file that cannot be read: {said}", field=self.field)
