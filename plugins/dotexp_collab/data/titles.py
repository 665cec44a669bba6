"""Titles of items, from a file with a row for each item."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from dotexp.sdk.tables import Column, Digest, RowFaults, TextFormat, find_column, open_table


def read_titles(
    path: Path, field: str, form: TextFormat, columns: tuple[Column, Column], digest: Digest
) -> tuple[dict[str, str], RowFaults]:
    """Read the title of every id ("" where it has none), of several rows of an id the first, and what is wrong.

    `columns` are the id's and the title's. Raises ComponentError: E401 for a missing file, E402 for one that is no
    table or lacks a column.
    """
    table = open_table(path, field, form, digest)
    at = [find_column(table, column, name) for column, name in zip(columns, ("item_id", "title"), strict=True)]
    faults = RowFaults(str(path), field, table.unit)
    titles: dict[str, str] = {}
    for block in table.blocks(at):
        missing = block.frame["0"].is_null()
        reasons = pl.DataFrame({"missing": missing}).select(pl.when("missing").then(pl.lit("no id")))
        faults.see(block.lines, reasons.to_series() if missing.any() else None)
        good = block.frame.filter(~missing)
        for item, title in zip(good["0"], good["1"].fill_null(""), strict=True):
            titles.setdefault(item, title)
    return titles, faults
