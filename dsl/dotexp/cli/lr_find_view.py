"""A learning-rate sweep drawn: in the terminal, and as a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.cli.output import columns
from dotexp.commands.rate_edits import rate_text
from dotexp.engine.lr_suggestions import LrFind, Rule, Sweep
from dotexp.language.atomic import write_atomic
from dotexp.language.machine_faults import file_fault
from dotexp.language.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
"""What a figure can be written as, by its file's ending."""

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 64
_HEIGHT = 10
_LABEL = 9
_MARKS: Mapping[Rule, str] = {Rule.valley: "V", Rule.steep: "S", Rule.minimum: "M"}


def as_text(found: LrFind, chosen: Rule) -> str:
    """The sweep's curve over the logarithm of the rate, and what it suggests."""
    sweep = found.sweep
    lines = [
        f"{found.experiment}, stage {found.stage}: {len(sweep.losses)} of {counted(sweep.planned, 'step')}, the"
        f" learning rate of `{found.group}` from {sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}",
        f"  weights: {found.start}",
        *_ratios(found),
        *([f"  it ended early: {sweep.stopped}"] if sweep.stopped else []),
        "",
        *chart(sweep, found.suggestions),
        "",
        columns([_row(found, rule, chosen) for rule in Rule], ("", "rule", "rate", "in the spec"), indent="  "),
    ]
    return "\n".join(lines)


def chart(sweep: Sweep, suggestions: Mapping[Rule, float | None]) -> list[str]:
    """Bars for the loss, lowest to highest, of the steps that suggestions look at; their rates marked by letters."""
    shown = sweep.looked_at if len(sweep.losses[sweep.looked_at]) > 1 else slice(None)
    rates, losses = sweep.rates[shown], sweep.losses[shown]
    low, high = min(losses), max(losses)
    width = min(_WIDTH, len(losses))
    picked = [losses[(2 * i + 1) * len(losses) // (2 * width)] for i in range(width)]
    eighths = [1 + round((loss - low) / (high - low) * (8 * _HEIGHT - 1)) if high > low else 1 for loss in picked]
    lines = []
    for row in range(_HEIGHT, 0, -1):
        bars = "".join(_BARS[max(0, min(8, each - 8 * (row - 1)))] for each in eighths)
        label = {_HEIGHT: f"{high:.4g}", 1: f"{low:.4g}"}.get(row, "")
        lines.append(f"{label.rjust(_LABEL)} │{bars}".rstrip())
    marks, ticks, labels = _axis(rates, width, suggestions)
    margin = " " * _LABEL
    return [*lines, f"{margin} └{ticks}", f"{margin}  {labels}".rstrip(), f"{margin}  {marks}".rstrip()]


def write_figure(found: LrFind, path: Path) -> None:
    """Write the sweep's curve to a file, in the format of its ending; an older file is replaced."""
    import matplotlib

    content = BytesIO()
    kind = path.suffix[1:].lower()
    metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else {}
    with matplotlib.rc_context({"svg.hashsalt": "dotexp", "text.parse_math": False}):
        _figure(found).savefig(content, format=kind, dpi=150, metadata=metadata)
    try:
        write_atomic(path, content.getvalue())
    except OSError as error:
        raise file_fault("write", path, error) from error


def _ratios(found: LrFind) -> list[str]:
    others = {name: peak / found.peak for name, peak in found.peaks.items() if peak is not None and name != found.group}
    if not others:
        return []
    if all(ratio == 1 for ratio in others.values()):
        return ["  every group has the same"]
    said = ", ".join(f"`{name}` {ratio:.3g} of it" for name, ratio in others.items())
    return [f"  the other groups keep their ratio to it: {said}"]


def _row(found: LrFind, rule: Rule, chosen: Rule) -> tuple[str, ...]:
    rate, value = found.suggestions[rule], found.values.get(rule)
    if rate is None or value is None:
        return _MARKS[rule], str(rule), "-", "the curve does not bear one out"
    return _MARKS[rule], str(rule), f"{rate:.1e}", f"lr = {value}" + ("  (chosen)" if rule is chosen else "")


def _axis(rates: Sequence[float], width: int, suggestions: Mapping[Rule, float | None]) -> tuple[str, str, str]:
    """Letters of the suggestions, ticks at the powers of ten, and their labels."""
    first, last = math.log10(rates[0]), math.log10(rates[-1])
    ticks, labels, marks = ["─"] * width, [" "] * (width + 6), [" "] * (width + len(_MARKS))

    def column(power: float) -> int:
        return round((power - first) / (last - first) * (width - 1)) if last > first else 0

    for power in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1):
        at = column(power)
        ticks[at] = "┬"
        text = f"1e{power}"
        if not "".join(labels[max(0, at - 1) : at + len(text)]).strip():
            labels[at : at + len(text)] = text
    for rule, rate in suggestions.items():
        if rate is not None:
            at = max(0, min(width - 1, column(math.log10(rate))))
            while marks[at] != " ":
                at += 1
            marks[at] = _MARKS[rule]
    return "".join(marks), "".join(ticks), "".join(labels)


def _figure(found: LrFind) -> Figure:
    from matplotlib.figure import Figure

    sweep = found.sweep
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(sweep.rates[: len(sweep.losses)], sweep.losses, color="tab:blue")
    seen = sweep.losses[sweep.looked_at]
    if len(seen) > 1 and max(seen) > min(seen):
        margin = (max(seen) - min(seen)) / 10
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
    for number, (rule, rate) in enumerate(found.suggestions.items(), 1):
        if rate is not None:
            axes.axvline(rate, color=f"C{number}", linestyle="--", linewidth=1.2, label=f"{rule} {rate:.1e}")
    if any(rate is not None for rate in found.suggestions.values()):
        axes.legend()
    axes.xaxis.set_major_formatter(lambda rate, _: rate_text(rate))
    axes.set_xlabel(f"learning rate of `{found.group}`")
    axes.set_ylabel("loss, smoothed")
    axes.set_title(f"{found.experiment}, stage {found.stage}")
    axes.grid(alpha=0.3)
    return figure
