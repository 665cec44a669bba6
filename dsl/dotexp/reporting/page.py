"""Sections rendered for the page, and the page as one self-contained HTML file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from dotexp.language.diagnostics import ComponentError, DotexpError
from dotexp.language.source import HIDDEN
from dotexp.reporting.figures import NARROW, draw
from dotexp.reporting.pictures import encode
from dotexp.sdk.report import Block, Cell, Paragraph, Pictures, Plot, Section, Table, Verbatim

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDED = 24
"""Most rows of a table that is not folded under its title."""
_SHORT = 30
"""Most characters of a cell that is not wrapped."""
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class RenderedSection:
    """A section with every block as the template's values and every plot as SVG; `failed`: it says why it failed."""

    section: Section
    blocks: tuple[Mapping[str, Any], ...]
    failed: bool = False

    @property
    def title(self) -> str:
        """The section's title."""
        return self.section.title


class SectionRenderer:
    """Renders a page's sections, and numbers its plots, whose ids must differ."""

    def __init__(self) -> None:
        self._plots = 0

    def render(self, section: Section) -> RenderedSection:
        """Render a section. Raises ComponentError for another type, and whatever its plots raise."""
        if not isinstance(section, Section):
            raise ComponentError(f"a report returns Sections, and one is a {type(section).__name__}")
        return RenderedSection(section, tuple(self._block(block) for block in section.blocks))

    def render_or_explain(
        self, title: str, make: Callable[[], Sequence[Section]]
    ) -> tuple[list[RenderedSection], str | None]:
        """Make and render sections; where that raises, return a section of this title that says why, and the reason."""
        try:
            return [self.render(section) for section in make()], None
        except (
            Exception,
            SystemExit,
        ) as error:  # a plugin's code, or an edited folder: the other sections are rendered
            reason = _reason(error)
            return [self.explain(title, reason)], reason

    def explain(self, title: str, reason: str) -> RenderedSection:
        """Render a section that says why the one of this title failed."""
        return replace(self.render(Section(title, (Paragraph(f"This could not be reported: {reason}"),))), failed=True)

    def _block(self, block: Block) -> Mapping[str, Any]:
        match block:
            case Table():
                return _table(block)
            case Plot():
                self._plots += 1
                svg, width = draw(block, self._plots)
                return {"kind": "plot", "title": block.title, "svg": svg, "wide": width > NARROW, "width": width * 72}
            case Pictures():
                shown = [(*encode(picture), picture.caption) for picture in block.pictures]
                return {"kind": "pictures", "title": block.title, "pictures": shown}
            case Paragraph():
                return {"kind": "paragraph", "text": block.text}
            case Verbatim():
                return {"kind": "verbatim", "title": block.title, "text": block.text}
        raise ComponentError(f"a section holds tables, plots, pictures and text, and this is a {type(block).__name__}")


def page(heading: Mapping[str, Any], sections: Sequence[RenderedSection]) -> str:
    """Return the page's HTML; `heading` is that of `run_sections.heading`."""
    template = _environment().get_template("report.html.jinja")
    return template.render(heading=heading, sections=sections, style=_resource("report.css"))


def number_text(value: float) -> str:
    """Format a number: four decimals, three significant digits below 0.01, none for a whole number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    if isinstance(value, int):
        text = f"{value:,}"
    elif 0 < abs(value) < 1e-2:
        text = f"{value:.3g}"
    elif abs(value) < 1e4:
        text = f"{value:.4f}"
    else:
        text = f"{value:,.1f}" if abs(value) < 1e9 else f"{value:.4g}"
    return text.replace("-", _MINUS)


def _reason(error: BaseException) -> str:
    if isinstance(error, ComponentError) and error.problem.help:
        return f"{error} ({error.problem.help})"
    return str(error) if isinstance(error, DotexpError) else f"{type(error).__name__}: {error}"


def _table(table: Table) -> Mapping[str, Any]:
    wrong = next((row for row in table.rows if len(row) != len(table.header)), None)
    if wrong is not None:
        raise ComponentError(f"the table `{table.title}` has {len(table.header)} columns, and a row of {len(wrong)}")
    columns = [[row[i] for row in table.rows if row[i] is not None] for i in range(len(table.header))]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    kinds, folded = list(map(_kind, columns)), table.folded or len(rows) > FOLDED
    return {"kind": "table", "title": table.title, "header": table.header, "rows": rows, "kinds": kinds,
            "folded": folded}  # fmt: skip


def _kind(column: Sequence[Cell]) -> str:
    """Return a column's style: numbers are right-aligned, short text is not wrapped."""
    if column and all(isinstance(cell, int | float) for cell in column):
        return "number"
    return "short" if all(len(str(cell)) <= _SHORT for cell in column) else "long"


def _cell(cell: Cell) -> str:
    if cell is None:
        return "\N{EN DASH}"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return cell if isinstance(cell, str) else number_text(cell)


def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, finalize=_shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _shown(value: object) -> object:
    """Replace characters that a browser would hide, such as changes of direction, by U+FFFD."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # HTML already
        return value
    return HIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)


def _resource(name: str) -> str:
    return (files("dotexp.reporting") / name).read_text(encoding="utf-8")
