"""Curves, drawings, pictures and numbers as a report shows them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import dotexp
import pytest
import torch
from dotexp import ComponentError
from dotexp.reporting.curves import POINTS, epoch_plots, schedule_plots
from dotexp.reporting.figures import draw
from dotexp.reporting.page import number_text
from dotexp.reporting.pictures import encode
from dotexp.runs.results import EpochRow
from dotexp.sdk.report import Colour, Picture, Plot
from pages import Page
from torch import Tensor

# Curves


def rows() -> list[EpochRow]:
    """Epochs of two stages, one of whose losses was not finite."""
    numbers = [("head", 1, 2.0), ("head", 2, None), ("all", 1, 0.5)]
    return [EpochRow(name, e, 10 * e, 3.0, loss, {"f1": 0.1 * e, "by class": [1, 2]}, 1.0) for name, e, loss in numbers]


def test_epoch_curves_hold_every_epoch_and_mark_where_stages_end() -> None:
    losses, f1 = epoch_plots(rows())
    (axes,) = losses.draw().axes
    train, valid, divider = axes.lines
    assert [line.get_label() for line in (train, valid)] == ["train", "valid"]
    assert list(valid.get_xdata()) == [1, 2, 3] and list(valid.get_ydata())[::2] == [2.0, 0.5]
    assert math.isnan(valid.get_ydata()[1]) and list(train.get_ydata()) == [3.0] * 3
    assert list(divider.get_xdata()) == [2.5, 2.5] and [text.get_text() for text in axes.texts] == ["head", "all"]
    assert f1.title == "f1 by epoch, on the validation set"
    assert list(f1.draw().axes[0].lines[0].get_ydata()) == pytest.approx([0.1, 0.2, 0.1])
    assert list(epoch_plots([])) == []


def test_what_callbacks_logged_has_curves_behind_those_of_the_metrics() -> None:
    logged = [{"lr/head": 0.1}, {}, {"lr/head": 0.3, "norm": None}]
    _, f1, rate = epoch_plots([replace(row, logged=values) for row, values in zip(rows(), logged, strict=True)])
    assert (f1.title, rate.title) == ("f1 by epoch, on the validation set", "lr/head by epoch, logged by a callback")
    drawn = list(rate.draw().axes[0].lines[0].get_ydata())
    assert drawn[::2] == pytest.approx([0.1, 0.3]) and math.isnan(drawn[1])


def test_schedule_curves_have_a_line_a_group_and_keep_ends_and_gaps() -> None:
    n = 10 * POINTS
    falling = [1e-2 * (1 - i / n) for i in range(n)]
    stages = [
        {"name": "head", "lr": [None, falling], "momentum": [0.9] * n},
        {"name": "all", "lr": [[1e-3, 2e-3], [1e-2, 2e-2]], "momentum": None},
    ]
    names = {"head": ["body", "head"], "all": ["body", "head"]}
    rates, momentum = schedule_plots(stages, names, planned=False)
    body, head = (line for line in rates.draw().axes[0].lines if not str(line.get_label()).startswith("_"))
    assert (body.get_label(), head.get_label()) == ("body", "head")
    assert list(body.get_xdata())[1:] == [n + 0.5, n + 1.5] and list(body.get_ydata())[1:] == [1e-3, 2e-3]
    x, y = list(head.get_xdata()), list(head.get_ydata())
    assert len(x) <= POINTS + 5 and (x[1], y[1]) == (0.5, falling[0])
    end = x.index(n - 0.5)
    assert y[end] == falling[-1] and math.isnan(y[end + 1]) and y[-2:] == [1e-2, 2e-2]
    for place, value in zip(x[1:end], y[1:end], strict=True):
        assert value == falling[round(place - 0.5)]
    assert momentum.title == "Momentum by step, as given to the optimizer"
    assert next(schedule_plots(stages, names, planned=True)).title == "Learning rates by step, as planned"


def test_rates_far_apart_are_drawn_on_a_logarithmic_scale_that_says_powers() -> None:
    def scale(*peaks: float) -> str:
        lr = [[peak / 25, peak, peak / 1e5] for peak in peaks]
        (plot,) = schedule_plots([{"name": "s", "lr": lr, "momentum": None}], {}, planned=False)
        svg, _ = draw(plot, 1)
        assert "mathdefault" not in svg
        return "log" if "10⁻³" in svg else "linear"

    assert (scale(1e-2), scale(1e-3, 1e-2), scale(1e-4, 1e-2)) == ("linear", "linear", "log")


# Drawings


def test_a_drawing_takes_the_pages_colours_and_type() -> None:
    import matplotlib
    from matplotlib.figure import Figure

    def make() -> Figure:
        figure = Figure(figsize=(7, 3))
        axes = figure.add_subplot()
        axes.plot([1, 2], [1, 2], label="$x 猫")
        axes.axhline(1.5, color=Colour.muted)
        axes.legend()
        return figure

    before = dict(matplotlib.rcParams)
    svg, width = draw(Plot("a <title>", make), 3)
    assert dict(matplotlib.rcParams) == before and width == 7
    page = Page(svg)
    assert page.elements[0].attributes["aria-label"] == "a <title>" == page.elements[1].text
    assert page.elements[1].tag == "title" and page.elements[0].attributes["role"] == "img"
    assert not page.all("style") and not page.all("metadata") and "DejaVu" not in svg
    assert "$x 猫" in [element.text for element in page.all("text")]
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg))
    assert "var(--first)" in colours and "var(--muted)" in colours
    assert not [colour for colour in colours if colour.startswith("#")], colours
    assert all(e.attributes["id"].startswith("plot3-") for e in page.elements if "id" in e.attributes)
    assert draw(Plot("a <title>", make), 3)[0] == svg


def test_every_colour_has_a_light_and_a_dark_one() -> None:
    style = (Path(dotexp.__file__).parent / "reporting" / "report.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6});", part)) for part in style.split("prefers-color-scheme: dark"))
    assert {colour.name for colour in Colour} <= light.keys() and light.keys() == dark.keys()

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for theme in (light, dark):  # WCAG's contrast for text
        for name in theme.keys() - {"page", "raised", "grid"}:
            pair = sorted((luminance(theme[name]), luminance(theme["page"])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (name, theme[name])


def test_what_is_no_figure_is_refused() -> None:
    with pytest.raises(ComponentError, match="the plot `p` is no matplotlib figure: str"):
        draw(Plot("p", lambda: "figure"), 1)  # type: ignore[arg-type, return-value]


def test_pictures_are_small_and_true() -> None:
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    def decoded(image: Tensor) -> tuple[Image.Image, str, bool]:
        uri, small = encode(Picture(image, "c"))
        head, _, body = uri.partition(",")
        return Image.open(BytesIO(b64decode(body))), head, small

    image, head, small = decoded(torch.rand(3, 1000, 2000))
    assert image.size == (320, 160) and head == "data:image/jpeg;base64" and not small
    levels = torch.arange(192).reshape(3, 8, 8) / 255
    image, head, small = decoded(levels)
    assert head == "data:image/png;base64" and small
    assert torch.tensor(list(image.getdata())).T.reshape(3, 8, 8).tolist() == (levels * 255).round().tolist()
    for wrong in (torch.rand(4, 8, 8), torch.rand(8, 8), torch.full((3, 8, 8), math.nan), torch.rand(3, 0, 8)):
        with pytest.raises(ComponentError, match="is no image"):
            encode(Picture(wrong, "c"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"), (0.98765, "0.9877"), (12.0, "12.0000"), (-0.5, "−0.5000"), (1e-6, "1e−06"),
        (0.00158, "0.00158"), (12345.678, "12,345.7"), (1e12, "1e+12"), (1234567, "1,234,567"),
        (math.nan, "NaN"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: float, text: str) -> None:
    assert number_text(value) == text
