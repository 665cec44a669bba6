"""Ratings that may stand for having none: 99 among 1 to 5, a single negative level, zeros that outnumber the rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import polars as pl
from dotexp import counted, range_ends
from numpy.typing import NDArray

from dotexp_collab.data.columns import chunks

_ENOUGH = 20
"""Ratings from which on their levels say something."""
_MOST_LEVELS = 10_000
_MOST_RATINGS = 10**7
_LEAST_LEVELS = 3
"""Levels that a scale has at least, for others to stand out from it."""
_FAR = 3
"""Spans of the scale that a level lies from it, to stand out."""
_MOST_SENTINELS = 2
"""Levels at each end that may stand out."""


def sentinel_notes(ratings: NDArray[np.float32]) -> Iterator[str]:
    """Yield a note for each level of the ratings that may mean that there is none, with its count."""
    if not _ENOUGH <= len(ratings) <= _MOST_RATINGS:
        return
    levels = _levels(ratings)
    if not _LEAST_LEVELS < len(levels) <= _MOST_LEVELS:
        return
    scale = _scale(list(levels))
    low, high = range_ends(scale[0], scale[-1])
    odd = [level for level in levels if not scale[0] <= level <= scale[-1]]
    if scale[0] == 0 and 2 * levels[0.0] > len(ratings) and len(scale) > _LEAST_LEVELS + 1:
        odd, (low, high) = [*odd, 0.0], range_ends(scale[1], scale[-1])
    for level in odd:
        rows = counted(levels[level], "rating")
        verb = "is" if levels[level] == 1 else "are"
        yield (
            f"{rows} {verb} {level:g}, and the others lie within {low}..{high}: where that means "
            "that there is no rating, leave such rows out of the file"
        )


def _levels(ratings: NDArray[np.float32]) -> dict[float, int]:
    """Count the ratings of each level, in order; stops counting where there are too many levels."""
    counts: dict[float, int] = {}
    for part in chunks(len(ratings)):
        for level, count in pl.Series("level", ratings[part]).value_counts().iter_rows():
            counts[level] = counts.get(level, 0) + count
        if len(counts) > _MOST_LEVELS:
            break
    return dict(sorted(counts.items()))


def _scale(levels: list[float]) -> list[float]:
    """Return the levels without the few at the ends that lie far from the others, and without a single negative one."""
    ends = sorted(product(range(_MOST_SENTINELS + 1), repeat=2), key=sum)
    for below, above in ends[1:]:
        scale = levels[below : len(levels) - above]
        if len(scale) < _LEAST_LEVELS:
            continue
        far = _FAR * (scale[-1] - scale[0])
        lower = not below or scale[0] - levels[below - 1] > far
        upper = not above or levels[len(levels) - above] - scale[-1] > far
        if lower and upper:
            levels = scale
            break
    negative = sum(level < 0 for level in levels)
    return levels[1:] if negative == 1 and len(levels) > _LEAST_LEVELS + 1 else levels
