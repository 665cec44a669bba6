"""From columns of numbered ids to the parts that train, validate and test, and the facts about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dotexp import DataFacts
from dotexp.sdk.data import Part, TensorPart, hashed
from numpy.typing import NDArray

from dotexp_collab.data.features import Described
from dotexp_collab.data.ids import Codes
from dotexp_collab.data.rows import Chosen, Rows, chunks, counted, empty, owner_blocks
from dotexp_collab.data.splits import TEST, TRAIN, VALID, Labels
from dotexp_collab.data.subsets import rating_part
from dotexp_collab.data.vocabulary import code_table, present, same_number, written_otherwise

LARGEST_CATALOGUE = 1_000_000
"""Items up to which the vocabulary keeps their titles and counts."""

_MIXER = 0x9E3779B97F4A7C15
"""An odd number whose multiples are spread: it keeps a user apart from an item of the same id."""

_COUNTED = 10**8
"""Rows up to which repeated pairs are counted: it takes a look at all rows for each `_SORTED` of them."""
_SORTED = 1 << 22
_NAMED = {"valid": "validation", "test": "test"}
_LABELS = {"train": TRAIN, "valid": VALID, "test": TEST}


@dataclass(frozen=True)
class RatingsData:
    """Ratings as the engine wants them: batches of (users int64 (B,), items int64 (B,)) and ratings float32 (B,)."""

    facts: DataFacts
    parts: Mapping[str, TensorPart]

    def part(self, name: str) -> Part:
        """Return `train`, `valid` or `test`; raises KeyError where there is none."""
        return self.parts[name]

    def identities(self, part: str) -> NDArray[np.uint64]:
        """Return a number for each rating, by its user's and its item's id; unknown ids are one."""
        users, items = (
            np.concatenate([np.zeros(1, np.uint64), hashed(self.facts.vocabulary[kind])])[codes.numpy()]
            for kind, codes in zip(("users", "items"), self.parts[part].inputs, strict=True)
        )
        mixed: NDArray[np.uint64] = users * np.uint64(_MIXER) + items
        return mixed


@dataclass
class Source:
    """Ratings that were read: `rows`, labelled by `labels`, and parts from files of their own in `others`.

    `users` and `items` are the ids by number; `titles` by id, where there are any; `features` are what is known beside
    the ratings, by the parameter that names it (`user_features`, `item_features`). Assembling empties `rows` and
    `others` as it goes, since both would not fit beside the parts.
    """

    rows: Rows
    labels: Labels
    users: Sequence[str]
    items: Sequence[str]
    fingerprint: str
    others: dict[str, Rows] = field(default_factory=dict)
    titles: Mapping[str, str] | None = None
    features: Mapping[str, Described] = field(default_factory=dict)
    skipped: int | None = None
    notes: tuple[str, ...] = ()
    mapped: bool = False


def assemble(source: Source) -> RatingsData:
    """Code the parts' users and items by the training part's vocabulary, and gather the facts.

    Known ids are coded from 1 in order (of their numbers, if all of them are integers), others 0.
    """
    summary = _summary(source)
    labels = None if source.others and not source.labels.any() else source.labels
    tables, vocabulary = {}, {}
    for kind, texts in (("users", source.users), ("items", source.items)):
        numbers = source.rows.users if kind == "users" else source.rows.items
        vocabulary[kind], tables[kind] = code_table(texts, present(numbers, len(texts), Chosen(labels, TRAIN)))
    notes = [*source.notes, *same_number("user", vocabulary["users"]), *same_number("item", vocabulary["items"])]
    unknown = _unknown(source, labels, tables)
    for name, (users, items) in unknown.items():
        notes += _told(name, "user", users, vocabulary["users"])
        notes += _told(name, "item", items, vocabulary["items"])
    columns = _separated(source, labels, tables)
    parts = {name: rating_part(*column, mapped=source.mapped) for name, column in columns.items()}
    extra, more = _catalogue(source.titles, vocabulary["items"], columns["train"][1])
    for name, kind in (("user_features", "users"), ("item_features", "items")):
        if name in source.features:
            extra[name] = source.features[name].vocabulary(vocabulary[kind])
    facts = _facts(columns, vocabulary, (*notes, *more), source.fingerprint, summary, extra)
    return RatingsData(facts, parts)


def _summary(source: Source) -> dict[str, int]:
    rows = [source.rows, *source.others.values()]
    summary = {"rows": sum(map(len, rows))}
    if summary["rows"] <= _COUNTED:
        summary["duplicates"] = duplicates(rows, len(source.items))
    if source.skipped is not None:
        summary["skipped"] = source.skipped
    return summary


def duplicates(parts: Sequence[Rows], items: int) -> int:
    """Count the rows whose user and item an earlier row has had already."""
    users = max((int(rows.users.max()) for rows in parts if len(rows)), default=-1) + 1
    counts = sum((counted(rows.users, users) for rows in parts), np.zeros(users, np.int64))
    repeated = 0
    for first, past in owner_blocks(counts, _SORTED):
        pairs = np.empty(int(counts[first:past].sum()), np.int64)
        filled = 0
        for rows in parts:
            for part in chunks(len(rows)):
                some = np.flatnonzero((rows.users[part] >= first) & (rows.users[part] < past))
                here = pairs[filled : filled + len(some)]
                np.multiply(rows.users[part][some], np.int64(items), out=here)
                here += rows.items[part][some]
                filled += len(some)
        pairs.sort()
        repeated += int((pairs[1:] == pairs[:-1]).sum())
    return repeated


Unknown = tuple[list[str], list[str]]


def _unknown(source: Source, labels: Labels | None, tables: Mapping[str, Codes]) -> dict[str, Unknown]:
    """Ids, users' and items', that a part has and no training row."""
    held = [(name, rows, Chosen(None, 0)) for name, rows in source.others.items()]
    if labels is not None:
        held += [(name, source.rows, Chosen(labels, code)) for name, code in _LABELS.items() if code != TRAIN]
    found: dict[str, Unknown] = {}
    for name, rows, chosen in sorted(held, key=lambda part: _LABELS[part[0]]):
        columns = (rows.users, source.users, tables["users"]), (rows.items, source.items, tables["items"])
        lists = [_strange(numbers, texts, table, chosen) for numbers, texts, table in columns]
        if name not in found or lists != [[], []]:
            found[name] = (lists[0], lists[1])
    return found


def _strange(numbers: Codes, texts: Sequence[str], table: Codes, chosen: Chosen) -> list[str]:
    there = present(numbers, len(texts), chosen) & (table == 0)
    return [texts[number] for number in np.flatnonzero(there).tolist()]


def _told(name: str, kind: str, unknown: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    if not unknown:
        return
    count = f"{len(unknown)} {kind}{'' if len(unknown) == 1 else 's'}"
    yield (
        f"{count} of the {_NAMED[name]} part {'is' if len(unknown) == 1 else 'are'} unknown: no training row has them"
    )
    yield from written_otherwise(kind, _NAMED[name], unknown, labels)


Column = NDArray[Any]


def _separated(
    source: Source, labels: Labels | None, tables: Mapping[str, Codes]
) -> dict[str, tuple[Column, Column, Column]]:
    """Cut the columns into parts, ids coded, one column after the other so that no more than one is there twice."""
    none = np.empty(0, np.int32)
    chosen = {name: Chosen(labels, label) for name, label in _LABELS.items() if labels is not None or name == "train"}
    counts = {name: rows.count(len(source.rows)) for name, rows in chosen.items()}
    parts: dict[str, list[Column]] = {name: [] for name in _LABELS if counts.get(name) or name in source.others}
    for kind in ("users", "items", "ratings"):
        table = tables.get(kind)
        whole = _taken(source.rows, kind, none)
        for name, rows in chosen.items():
            if counts[name]:
                parts[name].append(_gathered(whole, rows, counts[name], table, source.mapped))
        del whole
        for name, other in source.others.items():
            own = _taken(other, kind, none)
            parts[name].append(_gathered(own, Chosen(None, 0), len(own), table, source.mapped))
    return {name: (columns[0], columns[1], columns[2]) for name, columns in parts.items()}


def _taken(rows: Rows, kind: str, nothing: Column) -> Column:
    """Take a column out of the rows, so that its memory can be given back."""
    if kind == "users":
        taken, rows.users = rows.users, nothing
    elif kind == "items":
        taken, rows.items = rows.items, nothing
    else:
        taken, rows.ratings = rows.ratings, nothing  # type: ignore[assignment]
    return taken


def _gathered(column: Column, chosen: Chosen, count: int, table: Codes | None, mapped: bool) -> Column:
    """Copy a column's chosen rows, through the table of codes if there is one; all of them stay where they are."""
    if chosen.labels is None and table is None:
        return column
    out = column if chosen.labels is None else empty(count, column.dtype, mapped)
    filled = 0
    for part in chunks(len(column)):
        values = chosen.of(column, part)
        out[filled : filled + len(values)] = values if table is None else table[values]
        filled += len(values)
    return out


def _catalogue(
    titles: Mapping[str, str] | None, items: Sequence[str], codes: Codes
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The titles, by id, and the counts of training ratings, by code, of the items that training knows."""
    if len(items) > LARGEST_CATALOGUE:
        what = "titles and counts of ratings" if titles is not None else "counts of ratings"
        return {}, (f"{len(items):,} items are more than {LARGEST_CATALOGUE:,}: their {what} are not kept",)
    extra: dict[str, Any] = {"item_counts": counted(codes, len(items) + 1)[1:].tolist()}
    if titles is not None:
        extra["titles"] = {item: titles[item] for item in items if titles.get(item)}
    return extra, ()


def _facts(
    columns: Mapping[str, tuple[Column, Column, Column]],
    vocabulary: Mapping[str, Sequence[str]],
    notes: tuple[str, ...],
    fingerprint: str,
    summary: Mapping[str, int],
    extra: Mapping[str, Any],
) -> DataFacts:
    ratings = columns["train"][2]
    return DataFacts(
        task="ratings",
        train=len(ratings),
        valid=len(columns["valid"][2]),
        test=len(columns["test"][2]) if "test" in columns else 0,
        entities={name: len(vocabulary[name]) for name in ("users", "items")},
        range=(float(ratings.min()), float(ratings.max())),
        fingerprint=fingerprint,
        notes=notes,
        summary=summary,
        vocabulary={**vocabulary, **extra},
    )
