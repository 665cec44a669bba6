"""Tables of what is known of users or items, read into lists of numbered features."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from dotexp import ComponentError
from dotexp.sdk.tables import Column, Digest, TextFormat, find_column, open_table

from dotexp_collab.data.feature_params import FeatureTableParams

MOST = 1_000_000
"""Features that a table may have."""

_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)")
_YES = frozenset({"1", "true"})
_NO = frozenset({"0", "false"})
_SHOWN = 5


@dataclass(frozen=True)
class Described:
    """What a table says: the features' names, and for every id the numbers of those that it has."""

    names: tuple[str, ...]
    lists: Mapping[str, tuple[int, ...]]

    def vocabulary(self, known: Sequence[str]) -> dict[str, Any]:
        """Names, and the lists of the known ids in their order, in JSON values; what none of them has is left out."""
        kept = sorted({code for one in known for code in self.lists.get(one, ())})
        codes = {old: new for new, old in enumerate(kept)}
        lists = [[codes[code] for code in self.lists.get(one, ())] for one in known]
        return {"names": [self.names[code] for code in kept], "lists": lists}


def read_features(params: FeatureTableParams, digest: Digest, field: str) -> Described:
    """Read a table; `field` is the parameter that holds it.

    Raises ComponentError: E401 for a missing file, E402 for one that cannot be used, with the fields that are wrong.
    """
    wanted = list(_columns(params))
    frame, unit = _frame(params, [params.id, *(column for column, _ in wanted)], digest, field)
    faults: list[str] = []
    names: dict[str, int] = {}
    lists: list[list[int]] = [[] for _ in range(len(frame))]
    for at, (column, kind) in enumerate(wanted, start=1):
        for row, found in enumerate(_READERS[kind](frame[str(at)].to_list(), str(column), params)):
            if isinstance(found, str):
                faults.append(f"{unit} {frame['line'][row]}: {found}")
            else:
                lists[row] += [names.setdefault(name, len(names)) for name in found]
    _refuse(faults, params, field)
    if len(names) > MOST:
        raise ComponentError(f"{params.path} has {len(names):,} features, more than {MOST:,}", field=field)
    known: dict[str, tuple[int, ...]] = {}
    for one, codes in zip(frame["0"], lists, strict=True):
        if one is not None:
            known.setdefault(one, tuple(dict.fromkeys(codes)))
    return Described(tuple(names), known)


def _frame(
    params: FeatureTableParams, columns: Sequence[Column], digest: Digest, field: str
) -> tuple[pl.DataFrame, str]:
    """The columns as text, `"0"`, `"1"`, …, with the rows' numbers as `line`, and what these count."""
    named = any(isinstance(column, str) for column in columns)
    header = params.header if isinstance(params.header, bool) else named
    form = TextFormat(params.separator, params.quotes, params.encoding, header)
    table = open_table(params.path, field, form, digest)
    numbers = [find_column(table, column, field) for column in columns]
    blocks = [block.frame.with_columns(block.lines.alias("line")) for block in table.blocks(numbers)]
    return pl.concat(blocks), table.unit


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


Found = list[list[str] | str]
"""For every row the names of its features, or what is wrong with it."""


def _categories(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> Found:
    return [[] if cell is None else [f"{column}={cell}"] for cell in cells]


def _flags(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> Found:
    found: Found = []
    for cell in cells:
        said = (cell or "0").lower()
        if said in _YES:
            found.append([column])
        else:
            found.append([] if said in _NO else f"column {column}: `{cell}` is none of 0, 1, true, false")
    return found


def _lists(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> Found:
    return [
        [f"{column}={word.strip()}" for word in (cell or "").split(params.list_separator) if word.strip()]
        for cell in cells
    ]


def _numbers(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> Found:
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


def _years(cells: Sequence[str | None], column: str, params: FeatureTableParams) -> Found:
    found = [None if cell is None else _YEAR.search(cell) for cell in cells]
    return _binned([None if year is None else float(year.group()) for year in found], column, params.bins)


def _binned(values: Sequence[float | None], column: str, bins: int) -> Found:
    """Cut numbers into bins by their ranks; equal numbers share the bin of their middle rank, so some may be empty."""
    there = np.sort([value for value in values if value is not None])

    def place(value: float) -> int:
        middle = np.searchsorted(there, value, "left") + np.searchsorted(there, value, "right")
        return int(bins * middle / (2 * len(there)))

    return [[] if value is None else [f"{column}:{place(value)}"] for value in values]


_READERS = {"categories": _categories, "flags": _flags, "lists": _lists, "numbers": _numbers, "years": _years}


def _refuse(faults: Sequence[str], params: FeatureTableParams, field: str) -> None:
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        listed = "\n".join(f"  {fault}" for fault in [*faults[:_SHOWN], *more])
        raise ComponentError(f"{len(faults)} fields of {params.path} cannot be used\n{listed}", field=field)
