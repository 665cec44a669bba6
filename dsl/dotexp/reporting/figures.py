"""Figures as inline SVG with the page's colours and fonts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from dotexp.language.diagnostics import ComponentError
from dotexp.language.source import HIDDEN
from dotexp.sdk.report import Colour, Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

NARROW = 5.0
"""Widest figure, in inches, that is fitted into a phone's screen; a point is a pixel there."""

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_CYCLE = [str(colour) for colour in Colour if colour not in (Colour.text, Colour.muted, Colour.grid, Colour.page)]
_COLOUR = re.compile("|".join(Colour))
_POWER = re.compile(r"\^\{([-0-9.]+)\}")
_RAISED = str.maketrans("-0123456789.", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹·")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def draw(plot: Plot, number: int) -> tuple[str, float]:
    """Return a plot's SVG and its width in inches.

    The same plot gives the same text; `number` keeps the ids of a page's plots apart. matplotlib's settings are
    restored, and the user's are not used. Raises ComponentError where `draw` returns no figure.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_style())
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the browser draws the text, with its own fonts
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # the figure is drawn without it
        figure = plot.draw()
        if not hasattr(figure, "savefig"):
            raise ComponentError(f"the plot `{plot.title}` is no matplotlib figure: {type(figure).__name__}")
        return _themed(_svg(figure), plot.title, number), float(figure.get_size_inches()[0])


def _svg(figure: Figure) -> str:
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _write_powers_in_unicode(axis.get_major_formatter(), axis.set_major_formatter)
            _write_powers_in_unicode(axis.get_minor_formatter(), axis.set_minor_formatter)
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return out.getvalue()


def _write_powers_in_unicode(formatter: Formatter, replace: Callable[[Formatter], None]) -> None:
    """Have a logarithmic axis write 10⁻³ in place of TeX, which the SVG does not render."""
    from matplotlib.ticker import Formatter, LogFormatterMathtext

    if not isinstance(formatter, LogFormatterMathtext):
        return

    class Plain(Formatter):
        def set_locs(self, locs: Any) -> None:
            formatter.set_locs(locs)

        def __call__(self, x: float, pos: int | None = None) -> str:
            text = _POWER.sub(lambda match: match[1].translate(_RAISED), formatter(x, pos))
            return text.replace(r"\times", "×").removeprefix(r"$\mathdefault{").removesuffix("}$")

    replace(Plain())


def _style() -> dict[Any, Any]:
    from cycler import cycler

    muted = ("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    lines = ("axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    bare = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.edgecolor")
    return {
        **dict.fromkeys(muted, str(Colour.muted)),
        **dict.fromkeys(lines, str(Colour.grid)),
        **dict.fromkeys(bare, "none"),
        "text.color": str(Colour.text),
        "legend.facecolor": str(Colour.page),
        "legend.framealpha": 0.8,
        "legend.fontsize": 9,
        "patch.edgecolor": str(Colour.page),
        "axes.prop_cycle": cycler(color=_CYCLE),
        "axes.titlecolor": str(Colour.text),
        "axes.titlesize": 10,
        "axes.labelsize": 9.5,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.useoffset": False,
        "font.size": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "grid.linewidth": 0.7,
        "lines.linewidth": 1.7,
        "figure.figsize": (NARROW, 3.0),
        "figure.constrained_layout.use": True,
        "text.parse_math": False,  # a class may be called `$`
        "svg.fonttype": "none",
        "svg.hashsalt": "dotexp",
    }


def _themed(svg: str, title: str, number: int) -> str:
    root = ElementTree.fromstring(HIDDEN.sub("\N{REPLACEMENT CHARACTER}", svg))
    for parent in root.iter():
        for child in [child for child in parent if child.tag in (f"{_SVG}style", f"{_SVG}metadata")]:
            parent.remove(child)  # a style element would hold for the whole page
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        _restyle(element, f"plot{number}-")
    root.attrib = {"class": "plot", "viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    name = ElementTree.Element("title")
    name.text = title
    root.insert(0, name)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(element: ElementTree.Element, prefix: str) -> None:
    """Replace an element's colours by the style sheet's variables, drop its fonts, and prefix its ids."""
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, prefix + value)
        elif name == _XLINK:
            del element.attrib[name]
            element.set("href", f"#{prefix}{value[1:]}" if value.startswith("#") else value)
        elif name == "style":
            element.set(name, _COLOUR.sub(lambda match: f"var(--{Colour(match[0]).name})", _without_family(value)))
        elif "url(#" in value:
            element.set(name, _REFERENCE.sub(rf"url(#{prefix}\1)", value))


def _without_family(style: str) -> str:
    return "; ".join(part for part in style.split("; ") if not part.startswith("font-family:"))
