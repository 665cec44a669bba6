"""Drawings of the reports on classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from dotexp.sdk.report import Colour
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

_LETTERS = 20
_ROOMY = 9
"""Classes up to which a confusion matrix fits onto a phone."""
_CELL = 0.3
"""Inches of a cell where there are more."""


def draw_confusions(counts: NDArray[np.int64], names: Sequence[str], shares: bool) -> Figure:
    """Draw a confusion matrix: what is right in one colour, what is wrong in another, deeper for a larger share."""
    n = len(names)
    shown = [name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…" for name in names]
    side = 3.6 if n <= _ROOMY else _CELL * n
    longest = 0.08 * max(map(len, shown))
    figure = Figure(figsize=(5.0 if n <= _ROOMY else side + longest + 0.8, side + longest * (n > _ROOMY) + 0.9))
    axes = figure.add_subplot()
    totals = counts.sum(axis=1)
    for actual, predicted in zip(*np.nonzero(counts), strict=True):
        count, share = int(counts[actual, predicted]), counts[actual, predicted] / totals[actual]
        colour = Colour.first if actual == predicted else Colour.second
        place = (predicted - 0.5, actual - 0.5)
        depth = 0.12 + 0.5 * sqrt(share)
        axes.add_patch(Rectangle(place, 1, 1, facecolor=str(colour), alpha=depth, edgecolor="none"))
        said = f"{100 * share:.0f}%" if shares else f"{count}"
        axes.text(predicted, actual, said, ha="center", va="center", fontsize=11 if n <= _ROOMY else 8)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), xlabel="predicted", ylabel="actual", aspect="equal")
    long = sum(map(len, shown)) > 40
    turn, end = (90, "center") if n > _ROOMY else (30, "right") if long else (0, "center")
    axes.set_xticks(range(n), shown, rotation=turn, ha=end)
    axes.set_yticks(range(n), shown)
    edges = np.arange(n + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.tick_params(which="both", length=0)
    axes.grid(False)
    axes.grid(True, which="minor")
    axes.spines[:].set_visible(False)
    return figure


class Interval(NamedTuple):
    """Examples whose probability is between two bounds: how many, their mean probability, the share of right ones."""

    low: float
    high: float
    examples: int
    mean: float
    share: float


def draw_reliability(intervals: Sequence[Interval], bins: int, what: str, share: str) -> Figure:
    """Draw the share of right answers in each interval of probability against the mean probability there."""
    figure = Figure(figsize=(4.6, 4.2))
    axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=str(Colour.muted), linewidth=1, linestyle=(0, (4, 3)), label="well calibrated")
    points = [one.mean for one in intervals], [one.share for one in intervals]
    axes.plot(*points, marker="o", clip_on=False, label="the model")
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=share)
    axes.legend(loc="upper left")
    middles = [(one.low + one.high) / 2 for one in intervals]
    below.bar(middles, [one.examples for one in intervals], width=0.9 / bins, color=str(Colour.first), alpha=0.5)
    below.set(xlabel=what, ylabel="examples")
    return figure
