"""Spec text and places in it: the ground that every diagnostic stands on."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Controls and the like: a spec holds none, except as escapes in a string, and diagnostics show none."""


@dataclass(frozen=True)
class Source:
    """A spec's text with new lines made `\\n` and a byte-order mark taken off.

    `name` is what diagnostics call it (a path, `<stdin>` or `--set …`); `folder` is where its relative paths start.
    """

    name: str
    text: str = field(repr=False)
    folder: Path = Path()

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Offset at which each line starts."""
        return (0, *(i + 1 for i, character in enumerate(self.text) if character == "\n"))

    @cached_property
    def is_json(self) -> bool:
        """Whether the text is a spec's JSON form: no statement begins with a brace."""
        return self.text.lstrip(" \t\n").startswith("{")

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1, counted in code points."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line, counted from 1, without its end."""
        start = self.starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]

    def span(self, start: int, end: int) -> Span:
        """Piece of this text from `start` up to, not including, `end`."""
        return Span(self, start, end)


@dataclass(frozen=True)
class Span:
    """A piece of a source's text, by offsets in code points."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
        return self.source.place(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, from 1."""
        return self.source.place(self.start)[1]

    @property
    def end_line(self) -> int:
        """Line of the end, from 1."""
        return self.source.place(self.end)[0]

    @property
    def end_column(self) -> int:
        """Column just behind the last character, from 1."""
        return self.source.place(self.end)[1]

    @property
    def text(self) -> str:
        """The text itself."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Piece from the start of this one to the end of another of the same source."""
        return Span(self.source, self.start, max(self.end, other.end))


def source_from_text(text: str, name: str = "<text>", folder: Path = Path()) -> Source:
    """Make a source of text: a byte-order mark is dropped, CRLF and lone CR become new lines."""
    return Source(name, text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), folder)
