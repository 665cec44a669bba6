"""How a spec is laid out: which line a statement, an argument and a comment stand on. The one seat of these rules.

An item that fits stands on one line of 100 columns; one that does not has its outermost brackets opened, an item a
line, and a comma behind the last. A trailing comma, or a comment inside, opens brackets that would fit. A block with
one member that fits stands on one line. At most one blank line is kept; a block of several lines has one around it.
Comments behind consecutive lines start in the same column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

WIDEST = 100
"""Columns of a line, less the comment behind it."""

_INDENT = "  "


class Brackets(Enum):
    """What stands before and behind items."""

    arguments = ("(", ")")
    list = ("[", "]")
    map = ("{", "}")
    block = (" {", "}")
    none = (" ", "")  # components behind `metrics`: no comma may stand behind the last


@dataclass
class Comment:
    """A comment on a line of its own; `blank` says that a blank line stands before it."""

    text: str
    blank: bool = False


@dataclass
class Bracket:
    """Items in brackets, behind the words of an item.

    `opening` are the comments behind the opening bracket, `dangling` those behind the last item; `comma` says that the
    text has a trailing comma.
    """

    form: Brackets
    items: list[Item] = field(default_factory=list)
    opening: list[str] = field(default_factory=list)
    dangling: list[Comment] = field(default_factory=list)
    comma: bool = False

    @cached_property
    def flat(self) -> str | None:
        """All of it on one line; None where that cannot be."""
        items = [item.flat for item in self.items if not (item.above or item.trailing)]
        if len(items) < len(self.items) or self.opening or self.dangling or self.comma or None in items:
            return None
        start, end = self.form.value
        if self.form is Brackets.block:
            return f"{start}{end}" if not items else f"{start} {items[0]} {end}" if len(items) == 1 else None
        return f"{start}{', '.join(filter(None, items))}{end}"


@dataclass
class Item:
    """A statement, a member or an argument: words, and what stands in brackets behind them.

    `above` are the comments on the lines before it, `trailing` those behind it: the first on its last line, the others
    below in the same column. `blank` says that a blank line stands before it, below the comments. `key` is what the
    maker of the item calls it.
    """

    words: str
    bracket: Bracket | None = None
    above: list[Comment] = field(default_factory=list)
    trailing: list[str] = field(default_factory=list)
    blank: bool = False
    key: str = ""

    @cached_property
    def flat(self) -> str | None:
        """Words and brackets on one line; None where that cannot be."""
        if self.bracket is None:
            return self.words
        return None if self.bracket.flat is None else self.words + self.bracket.flat

    def opened(self, depth: int, separator: str = "") -> Bracket | None:
        """The bracket to open, at this depth and with this sign behind it; None where the item stands on one line."""
        fits = self.flat is not None and len(_INDENT) * depth + len(self.flat) + len(separator) <= WIDEST
        return self.bracket if self.bracket and not fits and (self.bracket.items or self.flat is None) else None


def listing(keyword: str, bracket: Bracket) -> Item:
    """Make a statement of a keyword and items with commas between; a single one stands on the keyword's line."""
    *others, last = bracket.items
    if not (others or bracket.opening or last.above):
        return Item(f"{keyword} {last.words}", last.bracket, trailing=last.trailing, key=last.key)
    trailing, last.trailing = last.trailing, []  # behind the last item is behind the statement
    return Item(keyword, bracket, trailing=trailing)


def laid_out(items: Sequence[Item], dangling: Sequence[Comment] = ()) -> str:
    """Write a file's statements, and the comments behind the last, as text."""
    _separate_blocks(items, dangling)
    return "".join(f"{line}\n" for line in _text(list(_lines(items, dangling, 0, "", ""))))


@dataclass
class _Line:
    depth: int
    code: str
    comments: Sequence[str] = ()
    blank: bool = False


def _separate_blocks(items: Sequence[Item], dangling: Sequence[Comment]) -> None:
    """Put a blank line before a block of several lines, above the comments that touch it, and one behind it."""
    after = False
    for item in items:
        entries: list[Comment | Item] = [*item.above, item]
        if after:
            entries[0].blank = True
        after = (opened := item.opened(0)) is not None and opened.form is Brackets.block
        if after:
            first = next((each for each in reversed(entries) if each.blank), entries[0])
            first.blank = True
    if after and dangling:
        dangling[0].blank = True


def _lines(
    items: Sequence[Item], dangling: Sequence[Comment], depth: int, separator: str, last: str
) -> Iterator[_Line]:
    """Lines of items and of the comments between them, the first without a blank line before it.

    `separator` stands behind every item but the last, which has `last`.
    """
    first = True
    for line in _entries(items, dangling, depth, [*[separator] * (len(items) - 1), last]):
        line.blank = line.blank and not first
        first = False
        yield line


def _entries(
    items: Sequence[Item], dangling: Sequence[Comment], depth: int, separators: Sequence[str]
) -> Iterator[_Line]:
    for item, separator in zip(items, separators, strict=False):
        yield from _comments(item.above, depth)
        yield from _item(item, depth, separator)
    yield from _comments(dangling, depth)


def _comments(comments: Iterable[Comment], depth: int) -> Iterator[_Line]:
    return (_Line(depth, comment.text, blank=comment.blank) for comment in comments)


def _item(item: Item, depth: int, separator: str) -> Iterator[_Line]:
    bracket = item.opened(depth, separator)
    if bracket is None:
        yield _Line(depth, f"{item.flat}{separator}", item.trailing, item.blank)
        return
    start, end = bracket.form.value
    yield _Line(depth, f"{item.words}{start.rstrip()}", bracket.opening, item.blank)
    if bracket.form is Brackets.none:
        lines = [*_lines(bracket.items, (), depth + 1, ",", separator)]
        lines[-1].comments = [*lines[-1].comments, *item.trailing]
        yield from lines
        return
    inside = "" if bracket.form is Brackets.block else ","
    yield from _lines(bracket.items, bracket.dangling, depth + 1, inside, inside)
    yield _Line(depth, f"{end}{separator}", item.trailing)


def _text(lines: Sequence[_Line]) -> Iterator[str]:
    """Indent lines, and start the comments behind consecutive ones in the same column."""
    at = 0
    while at < len(lines):
        run = [lines[at]]
        while run[-1].comments and at + len(run) < len(lines):
            following = lines[at + len(run)]
            if following.blank or not following.comments:
                break
            run.append(following)
        at += len(run)
        column = max(len(_INDENT) * line.depth + len(line.code) for line in run) + 2
        for line in run:
            if line.blank:
                yield ""
            code = f"{_INDENT * line.depth}{line.code}"
            yield code.ljust(column) + line.comments[0] if line.comments else code
            yield from (" " * column + comment for comment in line.comments[1:])
