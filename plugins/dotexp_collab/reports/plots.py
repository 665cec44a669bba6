"""A map of items by two of their components, the most rated of them named where there is room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from dotexp.sdk.report import Colour
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_LONGEST = 34
_MARGIN = 0.08
_DOT = 3.0  # pixels from a dot's middle to its edge
_Offset = tuple[int, int, int, int]
_ALIGNED: Mapping[int, tuple[Literal["left", "center", "right"], Literal["bottom", "center", "top"]]] = {
    1: ("left", "bottom"),
    0: ("center", "center"),
    -1: ("right", "top"),
}
_OFFSETS = tuple((x * far, y * far, x, y) for far in (5, 8) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))) + tuple(
    (x * 4, y * 4, x, y) for x, y in ((1, 1), (-1, 1), (1, -1), (-1, -1))
)
"""Where a name may stand: points right of and above its dot, and which side of the dot that is."""


def factor_map(points: NDArray[np.float64], names: Sequence[str], first: str, second: str) -> Figure:
    """Draw points (n, 2), name the first of them, and label the axes `first` and `second`.

    A name that would cover another, or the dot of one, is left out, and its dot drawn as those without a name are.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.add_subplot(xlabel=first, ylabel=second)
    axes.update_datalim(points)
    axes.margins(_MARGIN)
    axes.autoscale_view()
    axes.autoscale(False)
    figure.draw_without_rendering()  # settles where the axes are, which the names are fitted into
    named = _name(axes, points[: len(names)], [_short(name) for name in names])
    others = np.setdiff1d(np.arange(len(points)), named)
    axes.scatter(points[others, 0], points[others, 1], s=7, color=str(Colour.muted), alpha=0.35, linewidths=0)
    axes.scatter(points[named, 0], points[named, 1], s=16, color=str(Colour.first), linewidths=0)
    return figure


def _name(axes: Axes, points: NDArray[np.float64], names: Sequence[str]) -> list[int]:
    """Write the names that have room, the first ones first, and return the numbers of those points."""
    if not names:
        return []
    from matplotlib.transforms import Bbox

    frame = axes.get_window_extent()
    places = axes.transData.transform(points)
    dots = [Bbox.from_bounds(x - _DOT, y - _DOT, 2 * _DOT, 2 * _DOT) for x, y in places]
    taken: list[Bbox] = []
    named: list[int] = []
    for number, name in enumerate(names):
        label = _label(axes, points[number], name)
        covered = [*taken, *(dots[other] for other in range(len(names)) if other != number)]
        for offset, box in _tries(label, places[number]):
            if _within(box, frame) and not box.count_overlaps(covered):
                _put(label, offset)
                taken.append(box)
                named.append(number)
                break
        else:
            label.remove()
    return named


def _label(axes: Axes, point: NDArray[np.float64], name: str) -> Annotation:
    return axes.annotate(
        name,
        (float(point[0]), float(point[1])),
        (0, 0),
        textcoords="offset points",
        fontsize=8,
        color=str(Colour.text),
        parse_math=False,
    )


def _tries(label: Annotation, place: NDArray[np.float64]) -> Iterator[tuple[_Offset, Bbox]]:
    """Yield where the label may stand, and the pixels it would take there; it is measured once, since that is slow."""
    size = label.get_window_extent()
    pixels = label.figure.dpi / 72
    for offset in _OFFSETS:
        x, y, right, up = offset
        left = place[0] + x * pixels - size.width * (1 - right) / 2
        bottom = place[1] + y * pixels - size.height * (1 - up) / 2
        yield offset, size.from_bounds(left, bottom, size.width, size.height)


def _put(label: Annotation, offset: _Offset) -> None:
    x, y, right, up = offset
    label.set_position((x, y))
    label.set_horizontalalignment(_ALIGNED[right][0])
    label.set_verticalalignment(_ALIGNED[up][1])


def _within(box: Bbox, frame: Bbox) -> bool:
    return bool(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1].rstrip() + "…"
