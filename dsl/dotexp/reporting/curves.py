"""Plots of a run: losses and metrics by epoch, learning rates and momentum by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from dotexp.runs.results import EpochRow
from dotexp.sdk.report import Colour, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 400
"""Most points drawn of a stage's schedule."""
_LABELLED = 8
"""Most stages whose names are written above a plot."""
_CHARACTERS = 46
"""Characters that fit above a plot."""
_LOG_FROM = 20
"""Ratio of the highest to the lowest peak learning rate from which the axis is logarithmic."""
_LOG_DEPTH = 1000
"""Factor by which a logarithmic axis goes below the lowest peak; one-cycle ends far below it."""

Values = Sequence[float | None]


class StageEnd(NamedTuple):
    """A stage's name, and where it ends on the horizontal axis."""

    name: str
    end: float


class Line(NamedTuple):
    """A curve's label and points."""

    label: str
    x: Sequence[float]
    y: Values


def epoch_plots(rows: Sequence[EpochRow]) -> Iterator[Plot]:
    """Yield plots of the losses, each metric that is a number, and what callbacks logged, over all epochs."""
    if not rows:
        return
    at = [float(place) for place in range(1, len(rows) + 1)]
    lengths = [(name, sum(1 for _ in epochs)) for name, epochs in groupby(rows, key=lambda row: row.stage)]
    ends = accumulate(length for _, length in lengths)
    spans = [StageEnd(name, end + 0.5) for (name, _), end in zip(lengths, ends, strict=True)]
    losses = [Line("train", at, [row.train_loss for row in rows]), Line("valid", at, [row.valid_loss for row in rows])]
    yield Plot("Loss by epoch", _drawing(losses, spans))
    for name in dict.fromkeys(name for row in rows for name in row.numbers):
        values = [_number(row.numbers.get(name)) for row in rows]
        if any(value is not None for value in values):
            measured = any(name in row.metrics for row in rows)
            title = f"{name} by epoch, on the validation set" if measured else f"{name} by epoch, logged by a callback"
            yield Plot(title, _drawing([Line(name, at, values)], spans))


def schedule_plots(
    stages: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]], planned: bool
) -> Iterator[Plot]:
    """Yield plots of the learning rates, a curve for each group, and of the momentum, over all steps of all stages.

    `stages` are as in schedule.json; `groups` names each stage's groups; `planned` says that the steps were not taken.
    """
    starts = [0, *accumulate(_steps(stage) for stage in stages)]
    spans = [StageEnd(stage["name"], end) for stage, end in zip(stages, starts[1:], strict=True)]
    rates: dict[str, Line] = {}
    momentum = Line("momentum", [], [])
    for stage, start in zip(stages, starts, strict=False):
        names = groups.get(stage["name"]) or [f"group {place + 1}" for place in range(len(stage["lr"]))]
        at = stage.get("at")
        for name, values in zip(names, stage["lr"], strict=True):
            line = rates.get(name, Line(name, [], []))
            rates[name] = _extended(line, start, values or [], at)
        momentum = _extended(momentum, start, stage["momentum"] or [], at)
    said = "as planned" if planned else "as given to the optimizer"
    drawn = [line for line in rates.values() if line.x]
    if drawn:
        yield Plot(f"Learning rates by step, {said}", lambda: _rates_figure(drawn, spans))
    if momentum.x:
        yield Plot(f"Momentum by step, {said}", lambda: _figure([momentum], spans, "step"))


def _drawing(lines: Sequence[Line], spans: Sequence[StageEnd]) -> Callable[[], Figure]:
    return lambda: _figure(lines, spans, "epoch", start=0.5, markers=True)


def _figure(
    lines: Sequence[Line], spans: Sequence[StageEnd], x: str, start: float = 0.0, markers: bool = False
) -> Figure:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context({"figure.constrained_layout.use": False}):  # twice as fast, and every run draws these
        figure = Figure()
    figure.subplots_adjust(left=0.125, right=0.98, bottom=0.15, top=0.92)
    axes = figure.add_subplot()
    few = markers and sum(len(line.x) for line in lines) <= 60 * len(lines)
    for line in lines:
        values = [math.nan if value is None else value for value in line.y]
        axes.plot(line.x, values, label=line.label, marker="o" if few else None, markersize=3.5)
    axes.set_xlim(start, spans[-1].end if spans else None)
    axes.set_xlabel(x)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if len(lines) > 1:
        axes.legend()
    _draw_stage_ends(axes, spans, start)
    return figure


def _rates_figure(lines: Sequence[Line], spans: Sequence[StageEnd]) -> Figure:
    figure = _figure(lines, spans, "step")
    axes = figure.axes[0]
    peaks = [max((value or 0 for value in line.y), default=0) for line in lines]
    peaks = [peak for peak in peaks if peak > 0]
    if peaks and max(peaks) >= _LOG_FROM * min(peaks):
        axes.set_yscale("log")
        axes.set_ylim(min(peaks) / _LOG_DEPTH, max(peaks) * 2)
    else:
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.set_ylim(bottom=0)
    return figure


def _draw_stage_ends(axes: Axes, spans: Sequence[StageEnd], start: float) -> None:
    """Draw a line where each stage ends, and the stages' names above the plot where they fit."""
    for span in spans[:-1]:
        axes.axvline(span.end, color=str(Colour.muted), linewidth=0.9, linestyle=(0, (3, 3)))
    if len(spans) > _LABELLED:
        return
    whole = max(1e-9, spans[-1].end - start) if spans else 1.0
    for span in spans:
        room = int(_CHARACTERS * (span.end - start) / whole)
        name = span.name if len(span.name) <= room else f"{span.name[: max(0, room - 1)]}…"
        middle, colour = (start + span.end) / 2, str(Colour.muted)
        if room > 1:
            axes.text(middle, 1.02, name, ha="center", transform=axes.get_xaxis_transform(), fontsize=9, color=colour)
        start = span.end


def _extended(line: Line, start: int, values: Values, at: Sequence[int] | None) -> Line:
    """Append a stage's steps, at most POINTS of them, after a gap; `at` numbers the steps where some are left out."""
    every = max(1, math.ceil(len(values) / POINTS))
    places = sorted({*range(0, len(values), every), len(values) - 1}) if values else []
    gap: tuple[list[float], list[float | None]] = ([float(start)], [None]) if places else ([], [])
    x = [*line.x, *gap[0], *(start + (place if at is None else at[place]) + 0.5 for place in places)]
    return Line(line.label, x, [*line.y, *gap[1], *(values[place] for place in places)])


def _steps(stage: Mapping[str, Any]) -> int:
    if "steps" in stage:
        return int(stage["steps"])
    return max((len(values) for values in (*stage["lr"], stage["momentum"]) if values), default=0)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
