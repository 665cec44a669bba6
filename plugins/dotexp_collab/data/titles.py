"""Titles of items, from a file with a row for each item."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from dotexp.sdk.names import composed
from dotexp.sdk.tables import Column, Digest, RowFaults, TextFormat, find_column, open_table

from dotexp_collab.data.headers import Role, is_number, role_of

_SHOWN = 3


def names_columns(column: int, rows: Sequence[Sequence[str]]) -> bool:
    """Decide whether the first row of a file of titles is a header: by what stands in the column of the ids.

    It is where an id is called as ids of items are, or is no number while all further down are numbers.
    """
    ids = [row[column] for row in rows if column < len(row)]
    if not ids:
        return False
    first, *rest = ids
    return role_of(first) is Role.item or (bool(rest) and not is_number(first) and all(map(is_number, rest)))


class Titles(NamedTuple):
    """Titles by id, "" for an item without one, the faults of rows that cannot be used, and notes."""

    titles: dict[str, str]
    faults: RowFaults
    notes: tuple[str, ...]


def read_titles(path: Path, field: str, form: TextFormat, columns: tuple[Column, Column], digest: Digest) -> Titles:
    """Read the title of every id; where rows give an id several titles, the first counts.

    `columns` are the id's and the title's. Raises ComponentError: E401 for a missing file, E402 for one that is no
    table or lacks a column.
    """
    table = open_table(path, field, form, digest)
    at = [find_column(table, column, name) for column, name in zip(columns, ("item_id", "title"), strict=True)]
    faults = RowFaults(str(path), field, table.unit)
    titles: dict[str, str] = {}
    several: dict[str, str] = {}
    for block in table.blocks(at):
        why = block.frame.select(
            pl.when(pl.col("over").is_not_null())
            .then(pl.lit(f"more than {table.width} fields: is there a separator in the title?"))
            .when(pl.col("0").is_null())
            .then(pl.lit("no id"))
            .when("short")
            .then(pl.lit(f"fewer than {table.width} fields"))
        ).to_series()
        faults.see(block.lines, why if why.null_count() < len(why) else None)
        good = block.frame.filter(why.is_null())
        for item, title in zip(good["0"], good["1"].fill_null(""), strict=True):
            if titles.setdefault(composed(item), composed(title)) != composed(title):
                several.setdefault(composed(item), title)
    return Titles(titles, faults, (*table.notes, *_several(path, titles, several)))


def _several(path: Path, titles: dict[str, str], several: dict[str, str]) -> tuple[str, ...]:
    if not several:
        return ()
    first = "; ".join(f"`{item}`: `{titles[item]}`, `{other}`" for item, other in list(several.items())[:_SHOWN])
    there = "1 item has" if len(several) == 1 else f"{len(several):,} items have"
    return (f"{there} more than one title in {path}, and the first counts ({first})",)
