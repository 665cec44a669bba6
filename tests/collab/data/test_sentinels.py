"""Ratings that stand for having none are told by their level and count; usual scales are not."""

from __future__ import annotations

import numpy as np
import pytest
from dotexp_collab.data.sentinels import sentinel_notes

STARS = [1.0, 2.0, 3.0, 4.0, 5.0] * 6
HALVES = [k / 2 for k in range(1, 11)] * 3
JESTER = [k / 100 for k in range(-1000, 1001, 7)]


@pytest.mark.parametrize(
    ("ratings", "said"),
    [
        ([*STARS, 99, 99], ["2 ratings are 99, and the others lie within 1..5"]),
        ([*HALVES, -1], ["1 rating is -1, and the others lie within 0.5..5"]),
        ([*STARS, -1, 99, 99], ["1 rating is -1, and the others", "2 ratings are 99, and the others lie within 1..5"]),
        ([*STARS, 98, 99], ["1 rating is 98", "1 rating is 99"]),
        ([*STARS, -999, -998], ["1 rating is -999", "1 rating is -998"]),
        ([*STARS, 55], ["1 rating is 55"]),
        ([*JESTER, *[99] * 400], ["400 ratings are 99, and the others lie within -10..9.95"]),
        ([*STARS, *[0] * 31], ["31 ratings are 0, and the others lie within 1..5"]),
        ([*range(101), 999], ["1 rating is 999, and the others lie within 0..100"]),
    ],
)
def test_levels_apart_from_the_scale_are_told(ratings: list[float], said: list[str]) -> None:
    notes = list(sentinel_notes(np.array(ratings, np.float32)))
    assert len(notes) == len(said) and all(one in note for one, note in zip(said, notes, strict=True))
    assert all("that means that there is no rating" in note for note in notes)


@pytest.mark.parametrize(
    "ratings",
    [
        STARS,
        HALVES,
        JESTER,
        [*STARS, *[0] * 6],
        [0, 1] * 20,
        [-1, 1] * 20,
        [-1, 0, 1] * 20,
        [-2, -1, 0, 1, 2] * 5,
        [3] * 40,
        [0, 100] * 20,
        list(range(101)),
        [int(1.12 ** (k % 60)) for k in range(120)],
        [5, 99],
    ],
)
def test_usual_scales_are_not(ratings: list[float]) -> None:
    assert list(sentinel_notes(np.array(ratings, np.float32))) == []
