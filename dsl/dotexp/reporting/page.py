"""A report's page: sections drawn, and put into one self-contained HTML file."""

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
"""Rows above which a table is folded under its title."""
_SHORT = 30
"""Letters of a cell that stays on one line."""
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Drawn:
    """A section ready for the page: every block as the template wants it, every drawing made."""

    section: Section
    blocks: tuple[Mapping[str, Any], ...]
    failed: bool = False

    @property
    def title(self) -> str:
        """The section's title."""
        return self.section.title


class Drawer:
    """Draws sections; the plots of a page are numbered as they come."""

    def __init__(self) -> None:
        self._plots = 0

    def draw(self, section: Section) -> Drawn:
        """Draw a section. Raises ComponentError for what is no section, and whatever its plots raise."""
        if not isinstance(section, Section):
            raise ComponentError(f"a report's section is a Section, and this is a {type(section).__name__}")
        return Drawn(section, tuple(self._block(block) for block in section.blocks))

    def attempt(self, title: str, make: Callable[[], Sequence[Section]]) -> tuple[list[Drawn], str | None]:
        """Make sections and draw them, or else one of this title that says why not; also return the reason, if any."""
        try:
            return [self.draw(section) for section in make()], None
        except (Exception, SystemExit) as error:  # a stranger's code, or a folder that was edited: the page goes on
            reason = _reason(error)
            return [self.failure(title, reason)], reason

    def failure(self, title: str, reason: str) -> Drawn:
        """Draw a section that says why another is not there."""
        return replace(self.draw(Section(title, (Paragraph(f"This could not be reported: {reason}"),))), failed=True)

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


def page(heading: Mapping[str, Any], sections: Sequence[Drawn]) -> str:
    """Put a page together: `heading` has name, run, description, status, reason and facts (pairs of name and value)."""
    template = _environment().get_template("report.html.jinja")
    return template.render(heading=heading, sections=sections, style=_resource("report.css"))


def number_text(value: float) -> str:
    """Write a number for people: four digits behind the point, more for what is small, none for what is whole."""
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
    """Tell how a column is set: numbers end flush, short words stay on a line."""
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
    """Show what a browser would hide, such as marks that turn the direction of writing."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # which marks what is HTML already
        return value
    return HIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)


def _resource(name: str) -> str:
    return (files("dotexp.reporting") / name).read_text(encoding="utf-8")
