"""A table, whatever file it comes from: blocks of rows, and columns by name or number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from dotexp.language.diagnostics import ComponentError

Column = int | str
"""A column: its number from 0, or its name."""

HeaderRule = Callable[[Sequence[Sequence[str]]], bool]
"""Decides by the first rows of a text file, fields stripped, whether the first of them names the columns."""

_LISTED = 30


@dataclass(frozen=True)
class TextFormat:
    """How a text file is written.

    `encoding_field`, `quotes_field` and `separator_field` are the parameters that say so, for messages;
    "" where there is none.
    """

    separator: str = ","
    quotes: bool = True
    encoding: str = "utf-8"
    header: bool | HeaderRule = True
    encoding_field: str = "encoding"
    quotes_field: str = "quotes"
    separator_field: str = "separator"


class Block(NamedTuple):
    """Rows of a table.

    `frame` has the requested columns as stripped text, named `"0"`, `"1"`, … in the order of the request, null for an
    empty field. Its last columns are `"over"`, the text of the first field beyond the table's width, null where a row
    has no such field, and `"short"`, whether a row ends before the table's last field. `lines` are the rows' places in
    the file, from 1.
    """

    frame: pl.DataFrame
    lines: pl.Series


class Table(Protocol):
    """A file of rows. `field` is the parameter that named it, `unit` what `Block.lines` counts: `line` or `row`.

    `header` holds the names of the columns, None where the file does not name them; `hint` is advice for a missing
    column, or empty. `second` marks a file in the form of another one: a missing column is then the fault of `field`,
    not of the parameter that names the column. `first` holds the fields of the first row, names or not; `notes` say
    what stands before it and is not read.
    """

    path: Path
    field: str
    unit: str
    width: int
    header: tuple[str, ...] | None
    first: tuple[str, ...]
    hint: str
    notes: tuple[str, ...]
    second: bool

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Yield the rows of some columns, block by block, once. Raises ComponentError (E402) for an unreadable file."""
        ...


def find_column(table: Table, wanted: Column, field: str) -> int:
    """Return a column's number, given the parameter that names the column; raises ComponentError (E402) for none."""
    field = table.field if table.second else field
    if isinstance(wanted, int):
        if wanted < table.width:
            return wanted
        raise ComponentError(f"{table.path} has no column {wanted}", field=field, help=_columns(table))
    if table.header is None:
        message = f"{table.path} has no header that could name a column `{wanted}`"
        raise ComponentError(message, field=field, help=f"give the column's number: {_columns(table)}")
    if (found := table.header.count(wanted)) != 1:
        message = f"{table.path} has {f'{found} columns' if found else 'no column'} called `{wanted}`"
        raise ComponentError(message, field=field, help=_columns(table))
    return table.header.index(wanted)


def _columns(table: Table) -> str:
    names = [str(number) for number in range(table.width)] if table.header is None else table.header
    said = f"its columns are {', '.join(names)}" if len(names) <= _LISTED else f"it has {len(names)} columns"
    return f"{said}; {table.hint}" if table.hint else said
