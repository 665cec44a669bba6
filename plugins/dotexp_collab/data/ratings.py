"""Ratings from files: read, checked, split and coded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from dotexp import ComponentError, DataContext, Use
from dotexp.sdk.tables import (
    Column,
    Digest,
    RowFaults,
    Table,
    TextFormat,
    find_column,
    is_compressed,
    open_table,
    refuse_rows,
    skipped_rows,
)

from dotexp_collab.data.dataset import RatingsData, Source, assemble
from dotexp_collab.data.features import Described
from dotexp_collab.data.ids import Ids
from dotexp_collab.data.params import ColumnSplitParams, LeaveLastParams, Memory, NewestParams, OnBad, RatingsParams
from dotexp_collab.data.rows import Rows, Wanted, read_rows
from dotexp_collab.data.splits import Way, split_rows
from dotexp_collab.data.titles import read_titles

LARGE = 4 * 1024**3
"""Bytes of a file above which its columns are mapped rather than held in memory; of a packed one, a quarter."""

Reader = Callable[[Digest, str], Described]
"""Reads what is known of users or items, given what its bytes are fed to and the parameter to blame."""


class _Read(NamedTuple):
    """What was read: the rows and what is wrong with others, by the parameter that names the file; ids and titles."""

    tables: dict[str, Rows]
    faults: Mapping[str, RowFaults]
    users: Sequence[str]
    items: Sequence[str]
    titles: Mapping[str, str] | None


def build(params: RatingsParams, context: DataContext) -> RatingsData:
    """Read and split the ratings. Raises ComponentError: E401 for a file that is missing, E402 for one unusable."""
    uses = {"user_features": params.user_features, "item_features": params.item_features}
    return read(params, context.seed, {field: use.build for field, use in uses.items() if use is not None})


def read(params: RatingsParams, seed: int, features: Mapping[str, Reader], expected: int | None = None) -> RatingsData:
    """Read and split ratings, and `features` of users and items by the parameters that name them.

    Raises as `build`. Another number of rows than `expected` is worth a note.
    """
    files = _files(params)
    mapped = is_mapped(params.memory, params.path)
    digest = sha256()
    found = _read(params, files, mapped, digest)
    described = {field: reader(digest, field) for field, reader in features.items()}
    rows = found.tables.pop("path")
    own_seed = seed if params.split_seed is None else params.split_seed
    labels = split_rows(rows, _way(params.valid), _way(params.test), own_seed)
    rows.times, rows.flags = None, {}
    faults = list(found.faults.values())
    return assemble(
        Source(
            rows,
            labels,
            found.users,
            found.items,
            digest.hexdigest(),
            others=found.tables,
            titles=found.titles,
            features=described,
            skipped=sum(fault.bad for fault in faults) if params.on_bad is OnBad.skip else None,
            notes=(*_expected(found.faults["path"], expected), *skipped_rows(faults)),
            mapped=mapped,
        )
    )


def _read(params: RatingsParams, files: Mapping[str, Path], mapped: bool, digest: Digest) -> _Read:
    """Read every file once; raises ComponentError (E402) with all rows that cannot be used, unless they are skipped."""
    users, items = Ids(), Ids()
    titles: Mapping[str, str] | None = None
    tables: dict[str, Rows] = {}
    faults: dict[str, RowFaults] = {}
    if "items" in files:
        titles, faults["items"] = _titles(params, files["items"], digest)
    for field, path in files.items():
        if field != "items":
            table = open_table(path, field, _form(params), digest, second=field != "path")
            wanted = _wanted(table, params, field == "path")
            tables[field], faults[field] = read_rows(table, wanted, users, items, titles, mapped)
    if params.on_bad is OnBad.error:
        refuse_rows(list(faults.values()), "on_bad = skip leaves such rows out, and counts them")
    for field, rows in tables.items():
        if not len(rows):
            raise ComponentError(f"{files[field]} has no row that can be used", field=field)
    return _Read(tables, faults, users.texts, items.texts, titles)


def _expected(faults: RowFaults, rows: int | None) -> Iterator[str]:
    if rows is not None and faults.rows != rows:
        yield f"{faults.name} has {faults.rows:,} rows, and {rows:,} were published: is it whole?"


def is_mapped(memory: Memory, path: Path) -> bool:
    """Decide whether a file's columns are mapped; `auto` goes by its size alone, so that a run's order does too."""
    if memory is not Memory.auto:
        return memory is Memory.mapped
    size = path.stat().st_size
    return size > (LARGE // 4 if is_compressed(path, "path") else LARGE)


def _files(params: RatingsParams) -> dict[str, Path]:
    """The files by the parameters that name them; raises ComponentError (E401) with all that are missing."""
    named = {"path": params.path, "valid": params.valid, "test": params.test, "items": params.items}
    files = {field: path for field, path in named.items() if isinstance(path, Path)}
    missing = [field for field, path in files.items() if not os.path.exists(path)]
    if missing:
        message = "\n".join(f"there is no file {files[field]}" for field in missing)
        raise ComponentError(message, field=missing[0], code="E401")
    for field, path in files.items():
        is_compressed(path, field)  # opens it, and so tells of a folder or a pipe
    return files


def _titles(params: RatingsParams, path: Path, digest: Digest) -> tuple[dict[str, str], RowFaults]:
    named = isinstance(params.item_id, str) or isinstance(params.title, str)
    form = TextFormat(params.items_separator, params.quotes, params.items_encoding, named, "items_encoding")
    return read_titles(path, "items", form, (params.item_id, params.title), digest)


def _form(params: RatingsParams) -> TextFormat:
    chosen = params.user, params.item, params.rating
    named = any(isinstance(column, str) for column in chosen)
    header = params.header if isinstance(params.header, bool) else named or partial(_is_header, chosen)
    return TextFormat(params.separator, params.quotes, params.encoding, header)


def _is_header(chosen: Sequence[Column], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether none of the chosen fields of the first row is a number."""
    cells = [rows[0][column] for column in chosen if isinstance(column, int) and column < len(rows[0])]
    return len(cells) == len(chosen) and all(cell and not _is_number(cell) for cell in cells)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _wanted(table: Table, params: RatingsParams, splits: bool) -> Wanted:
    """Find the columns' numbers; those that the splits look at, too, in the file that is split."""
    chosen = {field: find_column(table, getattr(params, field), field) for field in ("user", "item", "rating")}
    if len(set(chosen.values())) < 3:
        raise ComponentError(f"user, item and rating are three columns of {table.path}, and two of these are the same")
    ways = {field: way for field, way in _splits(params).items() if splits}
    timed = any(isinstance(way, NewestParams | LeaveLastParams) for way in ways.values())
    time = find_column(table, params.time, "time") if timed and params.time is not None else None
    flags: Mapping[Column, int] = {
        way.column: find_column(table, way.column, field)
        for field, way in ways.items()
        if isinstance(way, ColumnSplitParams)
    }
    return Wanted(**chosen, time=time, flags=flags)


def _splits(params: RatingsParams) -> dict[str, Any]:
    return {field: way.params for field, way in _held(params) if isinstance(way, Use)}


def _held(params: RatingsParams) -> Iterator[tuple[str, Any]]:
    yield "valid", params.valid
    yield "test", params.test


def _way(held: Any) -> Way:
    return None if isinstance(held, Path) else held
