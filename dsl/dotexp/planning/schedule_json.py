"""Learning rates and momentum as a run's files hold them: every step of a short stage, samples of a long one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

Series = Sequence[float]

ALL = 500
"""Steps up to which a file holds each."""

POINTS = 250
"""Steps that a file holds of a longer stage, beside the extremes."""


def schedule_json(lr: Sequence[Series | None], momentum: Series | None) -> dict[str, Any]:
    """Write a stage's schedule: `lr`, a list a group (None where nothing in it trains), and `momentum`.

    Of more than 500 steps some are written: `at` names them, from 0, the first, the last and those of the highest
    and lowest values among them; `steps` counts all, and `sha256` is over every number, as little-endian float64.
    """
    steps = max((len(series) for series in (*lr, momentum) if series is not None), default=0)
    if steps <= ALL:
        return {"lr": [_listed(series) for series in lr], "momentum": _listed(momentum)}
    at = _places(lr, momentum, steps)
    return {
        "lr": [_listed(series, at) for series in lr],
        "momentum": _listed(momentum, at),
        "steps": steps,
        "at": at,
        "sha256": _digest((*lr, momentum)),
    }


def _places(lr: Sequence[Series | None], momentum: Series | None, steps: int) -> list[int]:
    places = {place * (steps - 1) // (POINTS - 1) for place in range(POINTS)}
    curve = next((series for series in lr if series), None)  # the others are in proportion to it
    for series in (curve, momentum):
        if series:
            places |= {series.index(max(series)), series.index(min(series))}
    return sorted(places)


def _listed(series: Series | None, at: Sequence[int] | None = None) -> list[float] | None:
    if series is None:
        return None
    return list(series) if at is None else [series[place] for place in at if place < len(series)]


def _digest(every: Sequence[Series | None]) -> str:
    found = sha256()
    for series in every:
        values = array("d", series or ())
        found.update(f"{len(values) if series is not None else None} ".encode())
        found.update(values.tobytes())
    return found.hexdigest()
