"""Tables and lines that fit the terminal: words stay whole, columns become narrower, then rows become paragraphs."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Container, Iterator, Sequence
from itertools import zip_longest

_GAP = "  "
_NARROWEST = 24
"""A column of text that would be narrower makes rows paragraphs instead."""


def screen_width(err: bool = False) -> int | None:
    """Columns of the terminal: as COLUMNS says, else its own; None where what is printed goes elsewhere."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    stream = sys.stderr if err else sys.stdout
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream.isatty() else None
    except (OSError, ValueError, AttributeError):
        return None


def fitted(text: str, width: int | None, hanging: str = "", first: str = "") -> str:
    """Break a line between words where it is longer than `width`; `hanging` stands before the lines that follow."""
    if width is None or len(first) + len(text) <= width:
        return first + text
    lines = textwrap.wrap(
        text, max(width, len(hanging) + 10), initial_indent=first, subsequent_indent=hanging,
        break_long_words=False, break_on_hyphens=False, drop_whitespace=True,
    )  # fmt: skip
    return "\n".join(lines)


def table(
    rows: Sequence[Sequence[str]],
    header: Sequence[str] = (),
    right: Container[int] = (),
    indent: str = "",
    width: int | None = None,
) -> str:
    """Lay rows out in columns, each as wide as its widest cell where that fits; those in `right` end flush."""
    every = [header, *rows] if header else list(rows)
    natural = [max(len(row[i]) for row in every) for i in range(len(every[0]))] if every else []
    room = None if width is None else width - len(indent) - len(_GAP) * (len(natural) - 1)
    if room is None or sum(natural) <= room:
        return "\n".join(_line(row, natural, right, indent) for row in every)
    words = [max(_longest_word(row[i]) for row in every) for i in range(len(natural))]
    widths = _narrowed(natural, words, room)
    if widths is None:
        return "\n".join(line for row in rows for line in _paragraph(row, header, indent, width))
    cells = [[_wrapped(cell, size) for cell, size in zip(row, widths, strict=True)] for row in every]
    return "\n".join(_line(line, widths, right, indent) for row in cells for line in zip_longest(*row, fillvalue=""))


def _longest_word(text: str) -> int:
    """Columns that the longest word of a cell takes, with what indents the cell."""
    return len(text) - len(text.lstrip(" ")) + max(map(len, text.split()), default=0)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]


def _line(row: Sequence[str], widths: Sequence[int], right: Container[int], indent: str) -> str:
    cells = (
        cell.rjust(width) if i in right else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return f"{indent}{_GAP.join(cells)}".rstrip()


def _narrowed(natural: Sequence[int], words: Sequence[int], room: int) -> list[int] | None:
    """Widths that fit, the widest columns narrowed first; None where no words fit, or a text would be too narrow."""
    for most in range(max(natural), 0, -1):
        widths = [max(word, min(width, most)) for width, word in zip(natural, words, strict=True)]
        if sum(widths) <= room:
            too_narrow = (size < _NARROWEST < width for size, width in zip(widths, natural, strict=True))
            return None if any(too_narrow) else widths
    return None


def _paragraph(row: Sequence[str], header: Sequence[str], indent: str, width: int | None) -> Iterator[str]:
    """A row as lines: its first cell, and below it the others that have something, each with its column's name."""
    first = row[0].lstrip(" ")
    indent += " " * (len(row[0]) - len(first))
    yield fitted(first, width, f"{indent}  ", indent)
    named = zip_longest(row[1:], (name.strip() for name in header[1:]), fillvalue="")
    parts = [f"{name}: {cell}" if name else cell for cell, name in named if cell]
    together = "; ".join(parts)
    if width is not None and len(indent) + 2 + len(together) <= width:
        parts = [together]
    yield from (fitted(part, width, f"{indent}    ", f"{indent}  ") for part in parts if part)
