"""A resolved experiment as text with the comments of the files that it was made of."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dotexp.experiment.overrides import from_command_line
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.text import statements_of
from dotexp.language.keywords import BY_WORD
from dotexp.language.layout import Brackets, Comment, Item, laid_out
from dotexp.language.lexer import CLOSERS, Lexeme, tokenise
from dotexp.language.parser import parse
from dotexp.language.source import Source, Span
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Document,
    ExperimentName,
    Freeze,
    Groups,
    Listing,
    ModelBlock,
    Param,
    Seed,
    StageBlock,
    Word,
)


def commented_text(resolved: Resolved) -> str:
    """Write an experiment out as `as_text` does, every comment of the spec at the setting that it stands at.

    Comments at a param go to the first setting that it gives a value; those at what the text does not have go to the
    statement around it, or to the next one. Of a base those are kept whose statement is in force.
    """
    items = statements_of(resolved.experiment)
    by_key = {item.key: item for item in _every(items) if item.key}
    places = _Places(resolved)
    bases = {span.source.name: span.source for span in resolved.origins.values() if span.source != resolved.source}
    for source in bases.values():
        if not from_command_line(source):
            _place(parse(source), by_key, places)
    left = _place(resolved.document, by_key, places, items)
    for item in _every(items):
        if item.bracket is not None and item.bracket.form is Brackets.none:  # behind the last is behind the statement
            last = item.bracket.items[-1]
            item.trailing, last.trailing = [*last.trailing, *item.trailing], []
    return laid_out(items, left)


def _every(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from _every(item.bracket.items if item.bracket else ())


class _Note(NamedTuple):
    """A comment; the word or sign that it stands behind on its line, or the one that it stands above.

    It `goes_on` where it stands below a comment behind something, in the same column.
    """

    comment: Comment
    behind: Lexeme | None
    above: Lexeme | None
    goes_on: bool = False


class _Area(NamedTuple):
    """A piece of a document and the path of the setting that it says."""

    start: int
    end: int
    path: str


def _place(
    document: Document, by_key: Mapping[str, Item], places: _Places, items: Sequence[Item] = ()
) -> list[Comment]:
    """Put a document's comments at the items that they belong to, and return those that belong to none.

    `items` are all statements of the text where this is the spec, and no base of it: they take every comment.
    """
    tops = {item.key for item in items}
    starts = [statement.span.start for statement in document.statements]
    areas = [
        [area for area in places.areas(statement) if area.path in by_key and (items or places.in_force(area, document))]
        for statement in document.statements
    ]
    left: list[Comment] = []
    for note in () if document.source.is_json else _notes(document.source):
        place = note.behind or note.above
        number = len(starts) if place is None else bisect_right(starts, place.start) - 1
        if items and note.above and note.above.start == starts[0]:
            items[0].above.append(note.comment)
            continue
        own = areas[number] if place else []
        around = [area for area in own if place and area.start <= place.start < area.end]
        others = (areas[each] for each in range(number + 1, len(areas)))
        following = (each[0] for each in others if each and each[0].path in tops)
        if around:
            found = min(around, key=lambda area: area.end - area.start)
            _put(note, by_key[found.path], ends=place is not None and place.end == found.end)
        elif after := next(following, None):
            _put_above(note.comment, by_key[after.path])
        else:
            left.append(note.comment)
    return left


class _Places:
    """Where the settings of an experiment were written, indexed."""

    def __init__(self, resolved: Resolved) -> None:
        self._paths: dict[Span, str] = {}  # path of each value; of an expanded statement, of its first stage
        self._under: dict[str, list[Span]] = {}  # places of what stands at a path, or under it
        self._users: dict[str, str] = {}  # the first setting whose value is a param
        for path, span in resolved.origins.items():
            node = resolved.nodes.get(path)
            self._paths.setdefault(node.span if node else span, path)
            parts = path.split(".")
            for end in range(1, len(parts) + 1):
                self._under.setdefault(".".join(parts[:end]), []).append(span)
            if isinstance(node, Call) and node.arguments is None:
                self._users.setdefault(node.name.text, path)

    def in_force(self, area: _Area, document: Document) -> bool:
        """Whether something of a piece of a base is in force at its path."""
        spans = self._under.get(area.path, ())
        return any(each.source == document.source and area.start <= each.start < area.end for each in spans)

    def areas(self, statement: object, place: str = "") -> Iterator[_Area]:
        """Every piece of a statement that says a setting, the whole first."""
        match statement:
            case ExperimentName():
                yield _area(statement.span, "experiment")
            case Seed():
                yield _area(statement.span, "seed")
            case Param():
                yield _area(statement.span, self._users.get(statement.name.text, ""))
            case ModelBlock():
                yield from self._block(statement, "model", "")
            case StageBlock():
                path = f"stage.{statement.name.text}"
                yield from self._block(statement, path, f"{path}.")
            case Freeze():
                yield _area(statement.span, f"{place}{BY_WORD['freeze'].path}")
            case Groups():
                yield _area(statement.span, "model.groups")
            case Component() | Listing():
                path = f"{place}{BY_WORD[statement.keyword.text].path}"
                yield _area(statement.span, self._paths.get(statement.span, path))
                for number, call in enumerate(statement.calls if isinstance(statement, Listing) else ()):
                    yield _area(call.span, f"{path}.{number}")
                yield from self._arguments(statement)

    def _block(self, block: ModelBlock | StageBlock, path: str, place: str) -> Iterator[_Area]:
        yield _area(block.span, path)
        for member in block.members:
            yield from self.areas(member, place)

    def _arguments(self, node: object) -> Iterator[_Area]:
        """Arguments that are in force, anywhere in a statement or a value."""
        if isinstance(node, Argument) and node.value.span in self._paths:
            yield _area(node.span, self._paths[node.value.span])
        if isinstance(node, tuple) and not isinstance(node, Word):
            for part in node:
                yield from self._arguments(part)


def _area(span: Span, path: str) -> _Area:
    return _Area(span.start, span.end, path)


def _notes(source: Source) -> Iterator[_Note]:
    """Every comment of a text with what it stands at."""
    lexemes = tokenise(source)[0]
    plain = [lexeme for lexeme in lexemes if lexeme.type not in ("SPACE", "COMMENT")]
    lines, behind, at, column = 1, None, 0, 0
    for lexeme in lexemes:
        if lexeme.type == "SPACE":
            lines += lexeme.text.count("\n")
        elif lexeme.type == "COMMENT":
            comment = Comment(lexeme.text.rstrip(" \t"), blank=lines > 1)
            goes_on = lines == 1 and lexeme.span.column == column
            if lines and not goes_on:
                column = 0
                yield _Note(comment, None, plain[at] if at < len(plain) else None)
            else:
                column = lexeme.span.column
                yield _Note(comment, behind, None, goes_on)
            lines = 0
        else:
            at += 1
            lines, column = 0, 0
            behind = behind if lexeme.type == "COMMA" else lexeme


def _put(note: _Note, item: Item, ends: bool) -> None:
    """Put a comment at an item; `ends` says that what it stands at is the item's last sign."""
    behind, bracket = note.behind, item.bracket if item.bracket and item.bracket.form is not Brackets.none else None
    opens = behind is not None and behind.type in CLOSERS
    if behind is None and ends and bracket is not None:
        bracket.dangling.append(note.comment)
    elif opens and bracket is not None and (note.goes_on or not bracket.opening):
        bracket.opening.append(note.comment.text)
    elif behind is not None and not opens and (note.goes_on or not item.trailing):
        item.trailing.append(note.comment.text)
    else:
        _put_above(note.comment, item)


def _put_above(comment: Comment, item: Item) -> None:
    if not item.above:
        comment, item.blank = Comment(comment.text, blank=item.blank), False
    item.above.append(comment)
