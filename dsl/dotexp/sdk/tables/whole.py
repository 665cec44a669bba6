"""Tables opened by their path, and tables held in memory whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dotexp.language.diagnostics import ComponentError
from dotexp.sdk.tables.columns import Column, Table, TextFormat, find_column
from dotexp.sdk.tables.faults import RowFaults, refuse_rows
from dotexp.sdk.tables.files import (
    Digest,
    NoDigest,
    decoded_lines,
    digest_file,
    is_parquet,
    open_file,
    require_moderate,
)
from dotexp.sdk.tables.parquet import ParquetTable
from dotexp.sdk.tables.text import TextTable

LARGEST_WHOLE = 1 << 30
"""Bytes of a text file that is held in memory: about ten million rows."""


def open_table(path: Path, field: str, form: TextFormat, digest: Digest | None = None, second: bool = False) -> Table:
    """Open a text file or a Parquet file, and feed its bytes to `digest`: a text file's as `blocks` reads them.

    `second` marks a file in the form of another one, as `Table` says. Raises ComponentError, naming `field`: E401
    where there is no such file, E402 where it is no table.
    """
    if is_parquet(path, field):
        if digest is not None:
            digest_file(path, field, digest)
        return ParquetTable(path, field, second)
    if path.suffix.lower() == ".parquet":
        raise ComponentError(f"{path} is not a Parquet file", field=field)
    return TextTable(path, field, form, digest or NoDigest(), second)


class WholeTable:
    """A table in memory, columns as stripped text; `places` says where each row stands (`line 7`)."""

    def __init__(self, table: Table) -> None:
        self.path = table.path
        self.field = table.field
        self.header = table.header
        self.first = table.first
        self.notes = table.notes
        self._table = table
        # a Parquet file's other columns may hold the images themselves, and are not read
        if isinstance(table, ParquetTable):
            self._frame: pl.DataFrame | None = None
            self._lines = pl.int_range(1, table.rows + 1, eager=True)
            return
        blocks = list(table.blocks(range(table.width)))
        self._frame = pl.concat([block.frame for block in blocks])
        self._lines = pl.concat([block.lines for block in blocks])
        wrong = [(row, f"more than {table.width} fields") for row in self._frame["over"].is_not_null().arg_true()]
        wrong += [(row, f"fewer than {table.width} fields") for row in self._frame["short"].arg_true()]
        self.refuse(wrong)

    def __len__(self) -> int:
        return len(self._lines)

    def place(self, row: int) -> str:
        """Return where a row stands in the file: `line 7`."""
        return f"{self._table.unit} {self._lines[row]}"

    def has(self, name: object) -> bool:
        """Return whether a column has this name."""
        return self.header is not None and name in self.header

    def column(self, wanted: Column, field: str) -> Sequence[str]:
        """Return a column's fields, "" for an empty one; raises ComponentError (E402) where there is no such column."""
        number = find_column(self._table, wanted, field)
        if self._frame is not None:
            return self._frame[str(number)].fill_null("").to_list()
        return [cell for block in self._table.blocks([number]) for cell in block.frame["0"].fill_null("")]

    def refuse(self, faults: Sequence[tuple[int, str]], help: str = "") -> None:
        """Raise ComponentError (E402) for unusable rows, given by their positions and reasons, if there are any."""
        if not faults:
            return
        reasons: dict[int, list[str]] = {}
        for row, reason in faults:
            reasons.setdefault(row, []).append(reason)
        found = RowFaults(str(self.path), self.field, self._table.unit)
        why = pl.Series(
            [", ".join(reasons[row]) if row in reasons else None for row in range(len(self))], dtype=pl.String
        )
        found.see(self._lines, why)
        refuse_rows([found], help)


def read_table(path: Path, field: str, form: TextFormat, second: bool = False) -> WholeTable:
    """Read a table into memory; `second` and errors are as for `open_table`."""
    with open_file(path, field):
        require_moderate(path.stat().st_size, path, field, LARGEST_WHOLE)
    return WholeTable(open_table(path, field, form, second=second))


def read_lines(path: Path, field: str, encoding: str, encoding_field: str = "encoding") -> list[str]:
    """Read the lines of a text file; raises ComponentError: E401 where it cannot be read, E402 where it is no text."""
    with open_file(path, field):
        require_moderate(path.stat().st_size, path, field, LARGEST_WHOLE)
    return "".join(decoded_lines(path, field, encoding, encoding_field, NoDigest())).splitlines()
