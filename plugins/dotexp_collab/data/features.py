"""Features of users or items, read from a table into lists of numbered features."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from dotexp import ComponentError
from dotexp.sdk.names import composed
from dotexp.sdk.tables import (
    Column,
    Digest,
    HeaderRule,
    RowFaults,
    Table,
    TextFormat,
    find_column,
    open_table,
    refuse_rows,
)

from dotexp_collab.data.headers import Role, Taken, require_agreement, role_of
from dotexp_collab.data.params import FeatureTableParams

MOST = 1_000_000
"""Features that a table may have."""

_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)")
_YES = frozenset({"1", "true", "yes"})
_NO = frozenset({"0", "false", "no"})
_SHOWN = 3


@dataclass(frozen=True)
class FeatureLists:
    """A table of features: their names, and for every id the numbers of those that it has."""

    names: tuple[str, ...]
    lists: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()

    def vocabulary(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the names, and the lists of some ids in their order, as JSON values; unused features are left out."""
        kept = sorted({code for one in ids for code in self.lists.get(one, ())})
        codes = {old: new for new, old in enumerate(kept)}
        lists = [[codes[code] for code in self.lists.get(one, ())] for one in ids]
        return {"names": [self.names[code] for code in kept], "lists": lists}


def read_features(params: FeatureTableParams, digest: Digest, field: str) -> FeatureLists:
    """Read a table; `field` is the parameter that holds it: `user_features` or `item_features`.

    Raises ComponentError: E401 for a missing file, E402 for one that cannot be used, with the rows that are wrong.
    """
    wanted = list(_columns(params))
    table = _table(params, digest, field)
    numbers = [find_column(table, column, field) for column in (params.id, *(column for column, _ in wanted))]
    role = Role.user if field.startswith("user") else Role.item
    require_agreement(table, [Taken(role, "id", params.id, numbers[0])], field)
    blocks = [block.frame.with_columns(block.lines.alias("line")) for block in table.blocks(numbers)]
    frame = pl.concat(blocks)
    names: dict[str, int] = {}
    lists: list[list[int]] = [[] for _ in range(len(frame))]
    reasons: dict[int, list[str]] = {
        row: [f"more than {table.width} fields: is there a separator in one?"]
        for row in frame["over"].is_not_null().arg_true()
    }
    reasons |= {row: [f"fewer than {table.width} fields"] for row in frame["short"].arg_true()}
    for at, (column, kind) in enumerate(wanted, start=1):
        for row, found in enumerate(_READERS[kind](frame[str(at)].to_list(), str(column), params)):
            if isinstance(found, str):
                reasons.setdefault(row, []).append(found)
            else:
                lists[row] += [names.setdefault(name, len(names)) for name in found]
    _refuse(table, frame["line"], reasons)
    if len(names) > MOST:
        raise ComponentError(f"{params.path} has {len(names):,} features, more than {MOST:,}", field=field)
    by_id, several = _by_id(frame["0"].to_list(), lists)
    return FeatureLists(tuple(names), by_id, (*table.notes, *_several_rows(params, role, several)))


def _table(params: FeatureTableParams, digest: Digest, field: str) -> Table:
    columns = [params.id, *(column for column, _ in _columns(params))]
    header: bool | HeaderRule = True
    if isinstance(params.header, bool):
        header = params.header
    elif isinstance(params.id, int) and not any(isinstance(column, str) for column in columns):
        header = partial(_is_header, params.id)
    return open_table(params.path, field, TextFormat(params.separator, params.quotes, params.encoding, header), digest)


def _is_header(id: int, rows: Sequence[Sequence[str]]) -> bool:
    """Decide whether the first of some rows names the columns: it calls the id as ids of users or items are called."""
    return id < len(rows[0]) and role_of(rows[0][id]) in (Role.user, Role.item)


def _by_id(ids: Sequence[str | None], lists: Sequence[Sequence[int]]) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """The features of every id, by its first row, and the ids whose other rows say something else."""
    found: dict[str, tuple[int, ...]] = {}
    several: dict[str, None] = {}
    for one, codes in zip(ids, lists, strict=True):
        if one is not None:
            distinct = tuple(dict.fromkeys(codes))
            if set(found.setdefault(composed(one), distinct)) != set(distinct):
                several[composed(one)] = None
    return found, list(several)


def _several_rows(params: FeatureTableParams, role: Role, several: Sequence[str]) -> Iterator[str]:
    if several:
        first = ", ".join(f"`{one}`" for one in several[:_SHOWN])
        there = f"1 {role} has" if len(several) == 1 else f"{len(several):,} {role}s have"
        yield f"{there} more than one row in {params.path}, with different features, and the first counts: {first}"


def _refuse(table: Table, lines: pl.Series, reasons: Mapping[int, Sequence[str]]) -> None:
    if reasons:
        faults = RowFaults(str(table.path), table.field, table.unit)
        why = [", ".join(reasons[row]) if row in reasons else None for row in range(len(lines))]
        faults.see(lines, pl.Series(why, dtype=pl.String))
        refuse_rows([faults], table.hint)


def _columns(params: FeatureTableParams) -> Iterator[tuple[Column, str]]:
    for kind, columns in (
        ("categories", params.categories),
        ("flags", params.flags),
        ("lists", params.lists),
        ("numbers", params.numbers),
        ("years", params.years),
    ):
        for column in columns:
            yield column, kind


RowFeatures = list[list[str] | str]
"""For every row the names of its features, or its fault."""


def _categories(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> RowFeatures:
    return [[] if cell is None else [f"{column}={cell}"] for cell in cells]


def _flags(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> RowFeatures:
    found: RowFeatures = []
    for cell in cells:
        said = (cell or "0").lower()
        if said in _YES:
            found.append([column])
        else:
            found.append([] if said in _NO else f"column {column}: `{cell}` is none of 0, 1, true, false")
    return found


def _lists(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> RowFeatures:
    return [
        [f"{column}={word.strip()}" for word in (cell or "").split(params.list_separator) if word.strip()]
        for cell in cells
    ]


def _numbers(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> RowFeatures:
    values: list[float | None] = []
    wrong: dict[int, str] = {}
    for row, cell in enumerate(cells):
        try:
            value = None if cell is None else float(cell)
        except ValueError:
            value = float("nan")
        if value is not None and not np.isfinite(value):
            wrong[row] = f"column {column}: `{cell}` is not a finite number"
            value = None
        values.append(value)
    found = _binned(values, column, params.bins)
    return [wrong.get(row, names) for row, names in enumerate(found)]


def _years(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> RowFeatures:
    found = [None if cell is None else _YEAR.search(cell) for cell in cells]
    return _binned([None if year is None else float(year.group()) for year in found], column, params.bins)


def _binned(values: Sequence[float | None], column: str, bins: int) -> RowFeatures:
    """Put numbers into bins by their ranks; equal numbers share the bin of their middle rank, so some may be empty."""
    there = np.sort([value for value in values if value is not None])

    def place(value: float) -> int:
        middle = np.searchsorted(there, value, "left") + np.searchsorted(there, value, "right")
        return int(bins * middle / (2 * len(there)))

    return [[] if value is None else [f"{column}:{place(value)}"] for value in values]


_READERS = {"categories": _categories, "flags": _flags, "lists": _lists, "numbers": _numbers, "years": _years}
