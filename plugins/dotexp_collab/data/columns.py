"""What a table of ratings or titles is, whatever its file: blocks of rows, and columns by name or number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl
from dotexp import ComponentError

Name = int | str
"""A column: its number from 0, or its name."""

_LISTED = 30


class Block(NamedTuple):
    """Rows of a table: `frame` has the columns asked for as stripped text, `"0"`, `"1"`, … in the order of the asking.

    Its last column, `"over"`, is what stands behind as many fields as a row has; null stands for nothing. `lines` are
    the rows' numbers in the file, from 1.
    """

    frame: pl.DataFrame
    lines: pl.Series


class Table(Protocol):
    """A file of rows; `field` is the parameter that named it, `unit` what its rows' numbers count.

    `hint` is what may help where a column is missing, or nothing.
    """

    path: Path
    field: str
    unit: str
    width: int
    header: tuple[str, ...] | None
    hint: str

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Yield the rows of some columns, block by block, once. Raises ComponentError (E402) for what is no table."""
        ...


def column_number(table: Table, wanted: Name, field: str) -> int:
    """Find a column's number; raises ComponentError (E402), naming `field`, where there is no such column."""
    blamed = table.field if table.field in ("valid", "test") else field
    if isinstance(wanted, int):
        if wanted < table.width:
            return wanted
        raise ComponentError(f"{table.path} has no column {wanted}", field=blamed, help=_columns(table))
    if table.header is None:
        message = f"{table.path} has no header that could name a column `{wanted}`"
        raise ComponentError(message, field=blamed, help=f"give the column's number: {_columns(table)}")
    if (found := table.header.count(wanted)) != 1:
        message = f"{table.path} has {f'{found} columns' if found else 'no column'} called `{wanted}`"
        raise ComponentError(message, field=blamed, help=_columns(table))
    return table.header.index(wanted)


def _columns(table: Table) -> str:
    names = [str(number) for number in range(table.width)] if table.header is None else table.header
    said = f"its columns are {', '.join(names)}" if len(names) <= _LISTED else f"it has {len(names)} columns"
    return f"{said}; {table.hint}" if table.hint else said
