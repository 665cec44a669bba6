"""Which rows train, which validate and which test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from dotexp import ComponentError, Use
from dotexp.sdk.seeds import derive
from dotexp.sdk.splits import held_out_count
from numpy.typing import NDArray

from dotexp_collab.data.ids import Codes
from dotexp_collab.data.params import ColumnSplitParams, FoldParams, LeaveLastParams, NewestParams
from dotexp_collab.data.rows import Chosen, Flags, Rows, counted, owner_blocks

Labels = NDArray[np.uint8]
Way = float | int | Use | None
"""How a part is held out: a fraction, a count, a split; None for one that is not, or comes from elsewhere."""

TRAIN, VALID, TEST = 0, 1, 2
_CODES = {"valid": VALID, "test": TEST}
_WHOLE = 1 << 22
"""Rows of which a permutation is drawn whole; of more, the held-out rows are drawn block by block."""
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Splittable:
    """What a split looks at: the rows, which of them are still free, and the seed; `field` is the part's parameter."""

    rows: Rows
    free: Flags
    seed: int
    field: str


def flagged(params: ColumnSplitParams, look: Splittable) -> Flags:
    """Tell for every row whether its column holds 1 or true."""
    flags: Flags = look.rows.flags[params.column]
    return flags


def newest(params: NewestParams, look: Splittable) -> Flags:
    """Tell which free rows are the newest; of the same time, those that come last. A fraction is of all rows."""
    times = _times(look)
    free = int(look.free.sum())
    count = held_out_count(params.part, len(times), look.field, free)
    sorting = times[look.free]
    sorting.partition(free - count)
    oldest = sorting[free - count]  # of those that are held out
    del sorting
    held: Flags = look.free & (times > oldest)
    equal = np.flatnonzero(look.free & (times == oldest))
    held[equal[len(equal) - (count - int(held.sum())) :]] = True
    return held


def leave_last(params: LeaveLastParams, look: Splittable) -> Flags:
    """Tell which free rows are their users' last; a user who has no more than as many keeps them."""
    times, users = _times(look), look.rows.users
    held = np.zeros(len(times), np.bool_)
    for first, past in owner_blocks(
        counted(users, int(users.max()) + 1), _BLOCK
    ):  # sorting takes more memory than the rows
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
    """Tell which rows are in part n of k: every row is in one, and no two parts differ by more than a row."""
    count = len(look.rows)
    if count < params.k:
        raise ComponentError(f"{count} rows are fewer than {params.k} parts", field=look.field)
    order = np.random.default_rng(derive(look.seed, "fold", params.k)).permutation(count)
    held = np.zeros(count, np.bool_)
    held[order[params.n - 1 :: params.k]] = True
    return held


def split_rows(rows: Rows, valid: Way, test: Way, seed: int) -> Labels:
    """Label each row TRAIN, VALID or TEST.

    A split that names its rows whatever else is held out (`column`, `fold`) comes first, then one by time, for `test`
    before `valid`, then a random one: asking for a random test part never moves a row from or to the validation part.
    A fraction is of all rows. Raises ComponentError (E402) where a part would be empty or a row would be in two.
    """
    labels = np.zeros(len(rows), np.uint8)
    ways: Mapping[str, Way] = {"valid": valid, "test": test}
    for fixed in (True, False):
        for field in ("test", "valid"):
            way = ways[field]
            if isinstance(way, Use) and isinstance(way.params, ColumnSplitParams | FoldParams) is fixed:
                _hold(labels, way.build(Splittable(rows, labels == TRAIN, seed, field)), field)
    for field, purpose in (("valid", "split"), ("test", "test")):
        way = ways[field]
        if way is not None and not isinstance(way, Use):
            _draw(labels, way, seed, purpose, field)
    return labels


def _hold(labels: Labels, held: Flags, field: str) -> None:
    if both := int((held & (labels != TRAIN)).sum()):
        raise ComponentError(f"{both} rows are in both the validation and the test part", field="test")
    if not held.any() or held.all():
        raise ComponentError(f"the split puts {'every row' if held.any() else 'no row'} in this part", field=field)
    labels[held] = _CODES[field]
    if not (labels == TRAIN).any():
        raise ComponentError("the splits leave no row to train with", field=field)


def _draw(labels: Labels, way: float | int, seed: int, purpose: str, field: str) -> None:
    """Draw rows of the free ones, as `dotexp.sdk.splits.random_split_rows` does."""
    free = Chosen(labels, TRAIN).count(len(labels))
    count = held_out_count(way, len(labels), field, free)
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


def _times(look: Splittable) -> NDArray[np.float64]:
    if look.rows.times is None:
        raise ComponentError(
            "a split by time needs to know which column holds it",
            field=look.field,
            help="say it: time = 3, or its name",
        )
    return look.rows.times
