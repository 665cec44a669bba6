"""Ratings from files: read, checked, split and coded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from dotexp import ComponentError, DataContext, Use, counted, range_ends
from dotexp.sdk.fields import Header
from dotexp.sdk.names import printable
from dotexp.sdk.set_names import marked_set, names_split
from dotexp.sdk.set_names import role_of as set_named
from dotexp.sdk.tables import (
    Digest,
    HeaderRule,
    RowFaults,
    Table,
    TextFormat,
    find_column,
    is_compressed,
    open_table,
    refuse_rows,
    skipped_rows,
)

from dotexp_collab.data.columns import Rows
from dotexp_collab.data.dataset import RatingsData, Source, assemble
from dotexp_collab.data.features import FeatureLists
from dotexp_collab.data.headers import (
    Role,
    Taken,
    header_guesses,
    is_header,
    require_agreement,
    require_same_header,
    role_of,
    swallowed,
)
from dotexp_collab.data.params import ColumnSplitParams, LeaveLastParams, Memory, NewestParams, OnBad, RatingsParams
from dotexp_collab.data.reading import Catalogue, ColumnNumbers, read_rows
from dotexp_collab.data.sentinels import sentinel_notes
from dotexp_collab.data.splits import HeldOut, split_rows, unused_notes
from dotexp_collab.data.titles import Titles, names_columns, read_titles
from dotexp_collab.data.vocabulary import IdNumbers, show_pairs, written_otherwise

LARGE = 4 * 1024**3
"""Bytes of a file above which its columns are mapped rather than held in memory; of a compressed one, a quarter."""

_LARGEST_RATING = 1e6
_SHOWN = 3
_FEW = 20
"""Rows from which on it is odd that every row has a user, or an item, of its own."""

FeatureReader = Callable[[Digest, str], FeatureLists]
"""Reads features of users or items, given what its bytes are fed to and the parameter to blame."""


@dataclass
class _Files:
    """What is read of all files: rows and faults by the parameter that names the file, ids, titles, notes, guesses."""

    users: IdNumbers = field(default_factory=IdNumbers)
    items: IdNumbers = field(default_factory=IdNumbers)
    rows: dict[str, Rows] = field(default_factory=dict)
    faults: dict[str, RowFaults] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    guesses: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)


def build(params: RatingsParams, context: DataContext) -> RatingsData:
    """Read and split the ratings. Raises ComponentError: E401 for a file that is missing, E402 for one unusable."""
    uses = {"user_features": params.user_features, "item_features": params.item_features}
    return read(params, context.seed, {field: use.build for field, use in uses.items() if use is not None})


def read(
    params: RatingsParams, seed: int, features: Mapping[str, FeatureReader], expected: int | None = None
) -> RatingsData:
    """Read and split ratings, and `features` of users and items by the parameters that name them.

    Raises as `build`. Another number of rows than `expected` is worth a note.
    """
    files = _files(params)
    mapped = is_mapped(params.memory, params.path)
    digest = sha256()
    found = _read(params, files, mapped, digest)
    tables = {field: reader(digest, field) for field, reader in features.items()}
    rows = found.rows.pop("path")
    own_seed = seed if params.split_seed is None else params.split_seed
    labels = split_rows(rows, _held_out(params.valid), _held_out(params.test), own_seed)
    unused = tuple(unused_notes(rows, labels))
    rows.times, rows.marks = None, {}
    faults = list(found.faults.values())
    return assemble(
        Source(
            rows,
            labels,
            found.users.texts,
            found.items.texts,
            digest.hexdigest(),
            others=found.rows,
            titles=found.catalogue.titles if found.catalogue is not None else None,
            features=tables,
            skipped=sum(fault.bad for fault in faults) if params.on_bad is OnBad.skip else None,
            notes=(*_expected(found.faults["path"], expected), *found.notes, *skipped_rows(faults), *unused),
            guesses=found.guesses,
            column_names=found.names,
            mapped=mapped,
        )
    )


def _read(params: RatingsParams, files: Mapping[str, Path], mapped: bool, digest: Digest) -> _Files:
    """Read every file once; raises ComponentError (E402) with all unusable rows, unless they are skipped."""
    found = _Files()
    if "items" in files:
        titles = _titles(params, files["items"], digest)
        found.faults["items"], found.catalogue = titles.faults, Catalogue(titles.titles)
        found.notes += titles.notes
    first: Table | None = None
    for name, path in files.items():
        if name != "items":
            table = open_table(path, name, _form(params), digest, second=name != "path")
            taken = _taken(table, params)
            require_agreement(table, taken)
            found.notes += swallowed(table, taken) if params.header is True else ()
            if first is None:
                first = table
                decided = not callable(_form(params).header)
                found.guesses.update(header_guesses(table, taken, decided))
                if table.header is not None:
                    found.names = {one.role: table.header[one.number] for one in taken if one.field == one.role}
            else:
                require_same_header(first, table, taken)
            _read_table(table, params, taken, found, mapped)
            if name == "path":
                found.notes += _unused_split(params, table, taken)
    _require_usable(params, files, found)
    found.notes += _suspicions(found)
    return found


def _read_table(table: Table, params: RatingsParams, taken: Sequence[Taken], found: _Files, mapped: bool) -> None:
    numbers = {one.role: one.number for one in taken}
    marks = {one.column: one.number for one in taken if one.role is Role.mark and not table.second}
    time = None if table.second else numbers.get(Role.time)
    columns = ColumnNumbers(numbers[Role.user], numbers[Role.item], numbers[Role.rating], time, marks)
    rows, faults = read_rows(table, columns, found.users, found.items, found.catalogue, mapped)
    found.rows[table.field], found.faults[table.field] = rows, faults
    found.notes += table.notes
    if faults.bad and table.hint:
        found.hints.append(table.hint)
    _refuse_sizes(table, rows)


def _unused_split(params: RatingsParams, table: Table, taken: Sequence[Taken]) -> Iterator[str]:
    """Yield a note for each column that marks rows as of a set of the data, and that the spec does not use."""
    numbers = {one.number for one in taken}
    for number, name in enumerate(table.header or ()):
        if number in numbers or not names_split(name) or role_of(name) in (Role.user, Role.item):
            continue
        roles: Counter[str] = Counter()
        for block in open_table(table.path, table.field, _form(params)).blocks([number]):
            counts = block.frame["0"].drop_nulls().value_counts()
            if len(counts) > _FEW:
                break
            for cell, count in counts.iter_rows():
                roles[marked_set(cell, name) or ""] += count
        if marked := [role for role in ("valid", "test") if roles[role]]:
            rows = " and ".join(f"{counted(roles[role], 'row')} as {role}" for role in marked)
            way = ", ".join(f'{role} = column("{name}")' for role in marked)
            yield f"the column `{name}` marks {rows}, and the spec does not use it: {way}"


def _require_usable(params: RatingsParams, files: Mapping[str, Path], found: _Files) -> None:
    """Raise ComponentError (E402) where a file has unusable rows, or no other, or no item has a title."""
    if params.on_bad is OnBad.error:
        help = "; ".join(dict.fromkeys(["on_bad = skip leaves such rows out, and counts them", *found.hints]))
        refuse_rows(list(found.faults.values()), help)
    catalogue = found.catalogue
    if catalogue is not None and catalogue.missing:
        pairs = written_otherwise(list(catalogue.missing), list(catalogue.titles))
        alike = f"ids are written otherwise: {show_pairs(pairs)}" if pairs else ""
        if not catalogue.met:
            help = alike or _examples(catalogue)
            raise ComponentError(f"no item of {params.path} is in {params.items}", field="items", help=help)
        found.notes.append(_untitled(params, catalogue, len(found.items), alike))
    for name, rows in found.rows.items():
        if not len(rows):
            raise ComponentError(f"{files[name]} has no row that can be used", field=name)


def _untitled(params: RatingsParams, catalogue: Catalogue, items: int, alike: str) -> str:
    missing = len(catalogue.missing)
    many = f"{missing:,} of {items:,} items {'is' if missing == 1 else 'are'} not in {params.items}"
    first = ", ".join(f"`{printable(item)}`" for item in list(catalogue.missing)[:_SHOWN])
    return f"{many} and {'has' if missing == 1 else 'have'} no title ({first}{', …' * (missing > _SHOWN)})" + (
        f": {alike}" if alike else ""
    )


def _examples(catalogue: Catalogue) -> str:
    rated, titled = next(iter(catalogue.missing)), next(iter(catalogue.titles), None)
    return f"a rated item is `{rated}`, an item with a title `{titled}`: does item_id name the right column?"


def _refuse_sizes(table: Table, rows: Rows) -> None:
    """Raise ComponentError (E402) where the first row counts the others, as the size line of a matrix does."""
    count = len(rows) - 1
    if count >= _FEW and rows.ratings[0] == count and rows.ratings[0] > rows.ratings[1:].max():
        message = f"the first row of {table.path} is no rating: it says how many rows follow, {count:,}"
        raise ComponentError(message, field=table.field, help="header = true leaves the first row out")


def _suspicions(found: _Files) -> Iterator[str]:
    """Yield notes on columns that hold something else than they are taken for."""
    for kind, ids in (("user", found.users), ("item", found.items)):
        rows = sum(map(len, found.rows.values()))
        if len(ids) == rows >= _FEW:
            yield f"each of the {rows:,} rows has a {kind} of its own: is the {kind} column the right one?"
        for text in ids.twins:
            yield f"the {kind} `{text}` is written in two Unicode forms, which are taken for one {kind}"
    ratings = found.rows["path"].ratings
    for kind, ids in (("user", found.users), ("item", found.items)):
        if (
            len(ratings) >= _FEW
            and _like_ratings(ids.texts)
            and ratings.min() >= 0
            and ratings.max() > 10 * max(len(ids), 10)
        ):
            low, high = range_ends(float(ratings.min()), float(ratings.max()))
            yield (
                f"the {kind} column holds {len(ids)} numbers up to 10 alone, and the rating column {low} to {high}: "
                "are these the right columns?"
            )
    yield from sentinel_notes(ratings)
    if max(abs(ratings.min()), abs(ratings.max())) > _LARGEST_RATING:
        low, high = (f"{end:.10g}" for end in (ratings.min(), ratings.max()))
        said = f"ratings run from {low} to {high}" if low != high else f"all ratings are about {low}"
        yield f"{said}: is the rating column the right one?"


def _like_ratings(ids: Sequence[str]) -> bool:
    """Return whether ids are few and such as people rate by: whole or half numbers from 0 to 10."""
    try:
        return len(ids) <= 21 and all((2 * float(one)).is_integer() and 0 <= float(one) <= 10 for one in ids)
    except ValueError:
        return False


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
    files = {name: path for name, path in named.items() if isinstance(path, Path)}
    missing = [name for name, path in files.items() if not os.path.exists(path)]
    if missing:
        message = "\n".join(f"there is no file {files[name]}" for name in missing)
        raise ComponentError(message, field=missing[0], code="E401")
    for name, path in files.items():
        is_compressed(path, name)  # opens it, and so refuses a folder or a pipe
    return files


def _titles(params: RatingsParams, path: Path, digest: Digest) -> Titles:
    header: bool | HeaderRule = True
    if isinstance(params.item_id, int) and isinstance(params.title, int):
        header = partial(names_columns, params.item_id)
    form = TextFormat(
        params.items_separator,
        params.quotes,
        params.items_encoding,
        header,
        "items_encoding",
        separator_field="items_separator",
    )
    return read_titles(path, "items", form, (params.item_id, params.title), digest)


def _form(params: RatingsParams) -> TextFormat:
    header: bool | HeaderRule = params.header if isinstance(params.header, bool) else True
    if params.header is Header.auto:
        numbers = [column for column in (params.user, params.item, params.rating) if isinstance(column, int)]
        header = partial(is_header, numbers) if len(numbers) == 3 else True
    return TextFormat(params.separator, params.quotes, params.encoding, header)


def _taken(table: Table, params: RatingsParams) -> list[Taken]:
    """Find the columns; those that splits look at, too, in the file that is split."""
    taken = [
        Taken(role, role.value, column := getattr(params, role), find_column(table, column, role))
        for role in (Role.user, Role.item, Role.rating)
    ]
    if len({one.number for one in taken}) < 3:
        raise ComponentError(f"user, item and rating are three columns of {table.path}, and two of these are the same")
    splits = {} if table.second else _splits(params)
    if params.time is not None and any(isinstance(split, NewestParams | LeaveLastParams) for split in splits.values()):
        taken.append(Taken(Role.time, "time", params.time, find_column(table, params.time, "time")))
    for name, split in splits.items():
        if isinstance(split, ColumnSplitParams):
            number = find_column(table, split.column, name)
            if table.header is not None and set_named(table.header[number]) == "train":
                message = f"the column `{table.header[number]}` marks the training set, and `{name}` takes marked rows"
                raise ComponentError(message, name, "give a column that marks the rows to hold out")
            taken.append(Taken(Role.mark, name, split.column, number))
    return taken


def _splits(params: RatingsParams) -> dict[str, Any]:
    held_out = {"valid": params.valid, "test": params.test}
    return {field: way.params for field, way in held_out.items() if isinstance(way, Use)}


def _held_out(value: Any) -> HeldOut:
    return None if isinstance(value, Path) else value
