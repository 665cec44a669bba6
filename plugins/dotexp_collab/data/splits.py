"""Which rows train, which validate and which test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from dotexp import ComponentError, Use
from dotexp.sdk.seeds import derive
from dotexp.sdk.splits import held_out_count
from numpy.typing import NDArray

from dotexp_collab.data import reading
from dotexp_collab.data.columns import Codes, Flags, Labelled, Rows, counted, owner_blocks
from dotexp_collab.data.params import ColumnSplitParams, FoldParams, LeaveLastParams, NewestParams

Labels = NDArray[np.uint8]
HeldOut = float | int | Use | None
"""How a set is held out: a fraction, a count, a split; None for one that is not, or is in a file of its own."""

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, 3
"""Labels of rows; an unused row is marked for a set that the spec does not ask for."""

_CODES = {"valid": VALID, "test": TEST}
_MARKS = {"valid": reading.VALID, "test": reading.TEST}
_PARAMETERS = {reading.VALID: "valid", reading.TEST: "test"}
_NAMES = {reading.VALID: "validation", reading.TEST: "test"}
_WHOLE = 1 << 22
"""Rows of which a permutation is drawn whole; of more, the held-out rows are drawn block by block."""
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Splittable:
    """What a split looks at: the rows, which of them are still free, and the seed; `field` is the set's parameter.

    `used` is the number of rows that a fraction is of; None: all rows.
    """

    rows: Rows
    free: Flags
    seed: int
    field: str
    used: int | None = None


def flagged(params: ColumnSplitParams, look: Splittable) -> Flags:
    """Return for every row whether its column holds 1 or true, or the name of the set."""
    marks = look.rows.marks[params.column]
    flags: Flags = (marks == reading.YES) | (marks == _MARKS[look.field])
    return flags


def newest(params: NewestParams, look: Splittable) -> Flags:
    """Return which free rows are the newest; of the same time, those that come last. A fraction is of all rows."""
    times = _times(look)
    free = int(look.free.sum())
    count = held_out_count(params.part, len(times) if look.used is None else look.used, look.field, free)
    sorting = times[look.free]
    sorting.partition(free - count)
    oldest = sorting[free - count]  # of those that are held out
    del sorting
    held: Flags = look.free & (times > oldest)
    equal = np.flatnonzero(look.free & (times == oldest))
    held[equal[len(equal) - (count - int(held.sum())) :]] = True
    return held


def leave_last(params: LeaveLastParams, look: Splittable) -> Flags:
    """Return which free rows are their users' last; a user who has no more than as many keeps them."""
    times, users = _times(look), look.rows.users
    held = np.zeros(len(times), np.bool_)
    counts = counted(users, int(users.max()) + 1)
    for first, past in owner_blocks(counts, _BLOCK):  # sorting takes more memory than the rows
        some = np.flatnonzero(look.free & (users >= first) & (users < past))
        held[some[_last_of_each(users[some], times[some], params.ratings)]] = True
    return held


def _last_of_each(users: Codes, times: NDArray[np.float64], ratings: int) -> NDArray[np.intp]:
    """Positions of every user's last rows, none of a user who has no more than as many."""
    order = np.lexsort((times, users))
    by_user = users[order]
    ends = np.flatnonzero(np.append(by_user[1:] != by_user[:-1], len(by_user) > 0)) + 1
    sizes = np.diff(ends, prepend=0)
    left = np.repeat(ends, sizes) - np.arange(len(order))  # rows of the user from this one on
    last: NDArray[np.intp] = order[(left <= ratings) & (np.repeat(sizes, sizes) > ratings)]
    return last


def fold(params: FoldParams, look: Splittable) -> Flags:
    """Return which rows are in part n of k: every row is in one, and no two parts differ by more than a row."""
    count = len(look.rows)
    if count < params.k:
        raise ComponentError(f"{count} rows are fewer than {params.k} parts", field=look.field)
    order = np.random.default_rng(derive(look.seed, "fold", params.k)).permutation(count)
    held = np.zeros(count, np.bool_)
    held[order[params.n - 1 :: params.k]] = True
    return held


def split_rows(rows: Rows, valid: HeldOut, test: HeldOut, seed: int) -> Labels:
    """Label each row TRAIN, VALID, TEST or UNUSED.

    A split that names its rows whatever else is held out (`column`, `fold`) comes first, then one by time, for `test`
    before `valid`, then a random one: asking for a random test set never moves a row from or to the validation set.
    Rows that a column marks for a set which is not asked for are in no set. A fraction is of all rows that are used.
    Raises ComponentError (E402) where a set would be empty or a row would be in two.
    """
    labels = np.zeros(len(rows), np.uint8)
    splits: Mapping[str, HeldOut] = {"valid": valid, "test": test}
    for kinds in (ColumnSplitParams, FoldParams, NewestParams | LeaveLastParams):
        for field in ("test", "valid"):
            way = splits[field]
            if isinstance(way, Use) and isinstance(way.params, kinds):
                held = way.build(Splittable(rows, labels == TRAIN, seed, field, _used(labels)))
                _hold(labels, held & (labels != UNUSED), field)
        if kinds is ColumnSplitParams and rows.marks:
            labels[(labels == TRAIN) & _marked(rows)] = UNUSED
            _require_training(labels, "valid")
    for field, purpose in (("valid", "split"), ("test", "test")):
        way = splits[field]
        if way is not None and not isinstance(way, Use):
            _draw(labels, way, seed, purpose, field)
    return labels


def unused_notes(rows: Rows, labels: Labels) -> Iterator[str]:
    """Yield a note for every set that a column names and the spec does not ask for: how many rows are left out."""
    for column, marks in rows.marks.items():
        for mark, name in _NAMES.items():
            if count := int(((labels == UNUSED) & (marks == mark)).sum()):
                there = "1 row is" if count == 1 else f"{count:,} rows are"
                yield (
                    f"{there} marked for the {name} set in column {column}, which no `{_PARAMETERS[mark]}` asks for: "
                    "they are left out"
                )


def _marked(rows: Rows) -> Flags:
    marked = np.zeros(len(rows), np.bool_)
    for marks in rows.marks.values():
        marked |= marks >= reading.VALID
    return marked


def _hold(labels: Labels, held: Flags, field: str) -> None:
    if both := int((held & (labels != TRAIN)).sum()):
        raise ComponentError(f"{both} rows are in both the validation and the test set", field="test")
    if not held.any() or held.all():
        raise ComponentError(f"the split puts {'every row' if held.any() else 'no row'} in this set", field=field)
    labels[held] = _CODES[field]
    _require_training(labels, field)


def _require_training(labels: Labels, field: str) -> None:
    if not (labels == TRAIN).any():
        raise ComponentError("the splits leave no row to train with", field=field)


def _draw(labels: Labels, held_out: float | int, seed: int, purpose: str, field: str) -> None:
    """Draw rows of the free ones, as `dotexp.sdk.splits.random_split_rows` does."""
    free = Labelled(labels, TRAIN).count(len(labels))
    count = held_out_count(held_out, _used(labels), field, free)
    random = np.random.default_rng(derive(seed, purpose))
    if len(labels) <= _WHOLE:
        drawn = random.permutation(free)[:count]
        rows = drawn if free == len(labels) else np.flatnonzero(labels == TRAIN)[drawn]
        labels[rows] = _CODES[field]
        return
    for start in range(0, len(labels), _BLOCK):
        block = np.flatnonzero(labels[start : start + _BLOCK] == TRAIN)
        here = int(random.hypergeometric(count, free - count, len(block)))
        labels[start + random.choice(block, here, replace=False)] = _CODES[field]
        count, free = count - here, free - len(block)


def _used(labels: Labels) -> int:
    return len(labels) - Labelled(labels, UNUSED).count(len(labels))


def _times(look: Splittable) -> NDArray[np.float64]:
    if look.rows.times is None:
        raise ComponentError(
            "a split by time needs to know which column holds it",
            field=look.field,
            help="say it: time = 3, or its name",
        )
    return look.rows.times
