"""From columns of numbered ids to the training, validation and test sets, and the facts about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from dotexp import ComponentError, DataFacts
from dotexp.sdk.data import Part, TensorPart, hashed
from dotexp.sdk.set_names import TITLES
from numpy.typing import NDArray

from dotexp_collab.data.columns import Codes, Labelled, Rows, chunks, counted, empty, owner_blocks
from dotexp_collab.data.features import FeatureLists
from dotexp_collab.data.splits import TEST, TRAIN, VALID, Labels
from dotexp_collab.data.subsets import rating_part
from dotexp_collab.data.vocabulary import code_table, id_notes, other_kind, present, show_pairs, written_otherwise

LARGEST_CATALOGUE = 1_000_000
"""Items up to which the vocabulary keeps their titles and counts."""

_MIXER = 0x9E3779B97F4A7C15
"""An odd number whose multiples are spread: it keeps a user apart from an item of the same id."""

_COUNTED = 10**8
"""Rows up to which repeated pairs are counted: it takes a look at all rows for each `_SORTED` of them."""
_SORTED = 1 << 22
_COMPARED, _FEW_PAIRS = 10**6, 10
"""Rows up to which, and of a set from which on, the pairs of a set from a file are compared with the training set's."""
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
    """Ratings that were read: `rows`, labelled by `labels`, and sets from files of their own in `others`.

    `users` and `items` are the ids by number; `titles` by id, where there are any; `features` by the parameter that
    names them (`user_features`, `item_features`); `column_names` are those of the file's header, by role. Assembling
    empties `rows` and `others` as it goes, since both would not fit beside the sets.
    """

    rows: Rows
    labels: Labels
    users: Sequence[str]
    items: Sequence[str]
    fingerprint: str
    others: dict[str, Rows] = field(default_factory=dict)
    titles: Mapping[str, str] | None = None
    features: Mapping[str, FeatureLists] = field(default_factory=dict)
    skipped: int | None = None
    notes: tuple[str, ...] = ()
    guesses: Mapping[str, str] = field(default_factory=dict)
    column_names: Mapping[str, str] = field(default_factory=dict)
    mapped: bool = False


class _Ids(NamedTuple):
    """Ids of a kind in a set: how many there are, and those that no training row has."""

    kind: str
    size: int
    unknown: list[str]


def assemble(source: Source) -> RatingsData:
    """Code users and items by the training set's vocabulary, cut the sets, and gather the facts.

    Ids of the training set are coded from 1 in order (of their numbers, if all of them are integers), others 0. Raises
    ComponentError (E402) where a file joins nothing: features of no user, a validation file of other ids.
    """
    summary = _summary(source)
    labels = None if source.others and not source.labels.any() else source.labels
    tables, vocabulary = {}, {}
    for kind, texts in (("users", source.users), ("items", source.items)):
        numbers = source.rows.users if kind == "users" else source.rows.items
        vocabulary[kind], tables[kind] = code_table(texts, present(numbers, len(texts), Labelled(labels, TRAIN)))
    notes = [*source.notes, *id_notes("user", vocabulary["users"]), *id_notes("item", vocabulary["items"])]
    for name, ids in _unknown(source, labels, tables).items():
        notes += _met(name, ids, vocabulary, from_file=name in source.others)
    columns = _separated(source, labels, tables)
    if summary["rows"] <= _COMPARED:
        notes += _trained_pairs({name: columns[name] for name in source.others}, columns["train"])
    parts = {name: rating_part(*column, mapped=source.mapped) for name, column in columns.items()}
    extra, more = _catalogue(source.titles, vocabulary["items"], columns["train"][1])
    for name, kind in (("user_features", "users"), ("item_features", "items")):
        if name in source.features:
            extra[name] = source.features[name].vocabulary(vocabulary[kind])
            notes += [*source.features[name].notes, *_described(name, source.features[name], vocabulary[kind])]
    if source.column_names:
        extra["columns"] = dict(source.column_names)
    facts = _facts(columns, vocabulary, (*notes, *more), source, summary, extra)
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


def _trained_pairs(held: Mapping[str, tuple[Column, ...]], train: tuple[Column, ...]) -> Iterator[str]:
    """Yield a note for each set of some size, from a file of its own, that holds pairs of the training set."""
    items = 1 + max(int(columns[1].max()) for columns in (train, *held.values()))
    trained = train[0].astype(np.int64) * items + train[1]
    for name, (users, codes, *_) in held.items():
        both = int(np.isin(users.astype(np.int64) * items + codes, trained)[(users > 0) & (codes > 0)].sum())
        if both and len(users) >= _FEW_PAIRS:
            verb = "is" if both == 1 else "are"
            yield f"{both:,} of {len(users):,} pairs in the {TITLES[name]} {verb} in the training set, too"


def _unknown(source: Source, labels: Labels | None, tables: Mapping[str, Codes]) -> dict[str, list[_Ids]]:
    """The ids of every held-out set, users and items, and which of them no training row has."""
    held = [(name, rows, Labelled(None, 0)) for name, rows in source.others.items()]
    if labels is not None:
        held += [(name, source.rows, Labelled(labels, code)) for name, code in _LABELS.items() if code != TRAIN]
    found: dict[str, list[_Ids]] = {}
    for name, rows, chosen in sorted(held, key=lambda part: _LABELS[part[0]]):
        users = _ids("user", rows.users, source.users, tables["users"], chosen)
        items = _ids("item", rows.items, source.items, tables["items"], chosen)
        if users.size:
            found[name] = [users, items]
    return found


def _ids(kind: str, numbers: Codes, texts: Sequence[str], table: Codes, chosen: Labelled) -> _Ids:
    there = present(numbers, len(texts), chosen)
    unknown = [texts[number] for number in np.flatnonzero(there & (table == 0)).tolist()]
    return _Ids(kind, int(there.sum()), unknown)


def _met(name: str, found: Sequence[_Ids], vocabulary: Mapping[str, Sequence[str]], from_file: bool) -> Iterator[str]:
    """Yield notes on the ids of a set that training does not have.

    Raises ComponentError (E402) for a file that has no user and no item in common with training, or none of a kind
    while they look alike: its ids are written otherwise.
    """
    strangers = 0
    for kind, size, unknown in found:
        if not unknown:
            continue
        labels = vocabulary[f"{kind}s"]
        pairs = written_otherwise(unknown, labels)
        alike = f"{len(pairs)} of these look like one that is, written otherwise: {show_pairs(pairs)}" if pairs else ""
        if other_kind(unknown, labels):
            alike = f"{kind} ids are `{labels[0]}` and the like in training, `{unknown[0]}` and the like here"
        strangers += len(unknown) == size
        if from_file and len(unknown) == size and (pairs or strangers == len(found)):
            what = f"no {kind}" if strangers < len(found) else "no user and no item"
            help = alike or f"do both files name the same {kind}s? `{labels[0]}` in training, `{unknown[0]}` here"
            raise ComponentError(f"{what} of the {_NAMED[name]} file is in the training set", field=name, help=help)
        many = f"{len(unknown):,} of {size:,} {kind}s in the {_NAMED[name]} set"
        yield f"{many} {'is' if len(unknown) == 1 else 'are'} not in the training set" + (f": {alike}" if alike else "")


def _described(field: str, features: FeatureLists, ids: Sequence[str]) -> Iterator[str]:
    """Yield a note where some ids have no row in a table of features; raises ComponentError (E402) where none has."""
    kind = field.partition("_")[0]
    met = sum(one in features.lists for one in ids)
    if not met:
        pairs = written_otherwise(list(features.lists), ids)
        there = next(iter(features.lists), "")
        help = f"ids are written otherwise: {show_pairs(pairs)}" if pairs else f"ids there: `{there}`, here: `{ids[0]}`"
        raise ComponentError(f"the table of {field} has a row for none of the {len(ids):,} {kind}s", field, help)
    if met < len(ids):
        rest = len(ids) - met
        yield f"{rest:,} of {len(ids):,} {kind}s {'has' if rest == 1 else 'have'} no row in the table of {field}"


Column = NDArray[Any]


def _separated(
    source: Source, labels: Labels | None, tables: Mapping[str, Codes]
) -> dict[str, tuple[Column, Column, Column]]:
    """Cut the columns into parts, ids coded, one column after the other so that no more than one is there twice."""
    none = np.empty(0, np.int32)
    chosen = {name: Labelled(labels, label) for name, label in _LABELS.items() if labels is not None or name == "train"}
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
            parts[name].append(_gathered(own, Labelled(None, 0), len(own), table, source.mapped))
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


def _gathered(column: Column, chosen: Labelled, count: int, table: Codes | None, mapped: bool) -> Column:
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
    source: Source,
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
        fingerprint=source.fingerprint,
        notes=notes,
        summary=summary,
        guesses=source.guesses,
        vocabulary={**vocabulary, **extra},
    )
