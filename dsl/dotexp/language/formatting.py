"""A spec's text in the canonical layout: words, signs, numbers, strings and comments as written, white space anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dotexp.language.layout import Bracket, Brackets, Comment, Item, laid_out, listing
from dotexp.language.lexer import CLOSERS, END, TRIVIA, Lexeme, tokenise
from dotexp.language.source import Source, source_from_text
from dotexp.language.syntax_tree import Document, Freeze, Groups, Listing, ModelBlock, StageBlock

_BRACKETS = {"LPAR": Brackets.arguments, "LSQB": Brackets.list, "LBRACE": Brackets.map}
_TIGHT = frozenset({"DOT", "DOTDOT"})
_ENDS = frozenset({"COMMA", END, *CLOSERS.values()})


def formatted(document: Document) -> str:
    """Lay a document out; it must have no errors. The result means the same, has the same comments, and is stable."""
    text = _Reader(document).text()
    source = source_from_text(text)
    if tuple(_kept(source)) != tuple(_kept(document.source)):  # a text is never lost to a fault in here
        raise AssertionError(f"formatting would change {document.source.name}")
    return text


def _kept(source: Source) -> Iterator[tuple[str, ...]]:
    """What formatting keeps: every comment, and every other lexeme but trailing commas."""
    lexemes = [lexeme for lexeme in tokenise(source)[0] if lexeme.type != "SPACE"]
    yield tuple(_comment(lexeme) for lexeme in lexemes if lexeme.type == "COMMENT")
    plain = [lexeme for lexeme in lexemes if lexeme.type != "COMMENT"]
    following = [*(lexeme.type for lexeme in plain), END][1:]
    yield tuple(
        lexeme.text
        for lexeme, after in zip(plain, following, strict=False)
        if lexeme.type != "COMMA" or after not in CLOSERS.values()
    )


def _comment(lexeme: Lexeme) -> str:
    return lexeme.text.rstrip(" \t")


class _Reader:
    """Reads the lexemes of a document without errors into items."""

    def __init__(self, document: Document) -> None:
        source = document.source
        self.lexemes = tokenise(source)[0]
        self.lexemes.append(Lexeme(END, "", source, len(source.text), len(source.text)))
        self.at = 0
        self.nodes = {node.span.start: node for node in _statements(document.statements)}
        self.above: list[Comment] = []  # comments on lines of their own before the lexeme that is next
        self.blank = False  # whether a blank line stands before it, below those comments

    def text(self) -> str:
        self._pass_trivia(start=True)
        items = list(self._members())
        return laid_out(items, self.above)

    # What stands between words

    def _pass_trivia(self, start: bool = False) -> list[str]:
        """Go on to the next word or sign; return the comments behind the last one, and note those before the next."""
        trailing: list[str] = []
        self.above, lines, column = [], int(start), 0
        while (lexeme := self.lexemes[self.at]).type in TRIVIA:
            if lexeme.type == "SPACE":
                lines += lexeme.text.count("\n")
            else:
                own = lines > 0
                goes_on = lines == 1 and trailing and not self.above and lexeme.span.column == column
                if own and not goes_on:
                    self.above.append(Comment(_comment(lexeme), blank=lines > 1))
                else:
                    trailing.append(_comment(lexeme))
                    column = lexeme.span.column
                lines = 0
            self.at += 1
        self.blank = lines > 1
        return trailing

    def _take(self) -> tuple[Lexeme, list[str]]:
        """Return the next word or sign, and the comments behind it."""
        lexeme = self.lexemes[self.at]
        self.at += 1
        return lexeme, self._pass_trivia()

    @property
    def next(self) -> Lexeme:
        return self.lexemes[self.at]

    # Items

    def _members(self) -> Iterator[Item]:
        """Read the statements of a file, or the members of a block."""
        while self.next.type not in (END, "RBRACE"):
            above, blank = self.above, self.blank
            if isinstance(self.nodes[self.next.start], Listing | Groups | Freeze):
                item = self._listing()
            else:
                item = self._item()
            item.above, item.blank = _joined(above, blank, item.above)
            yield item

    def _listing(self) -> Item:
        keyword, opening = self._take()
        bracket = Bracket(Brackets.none, opening=opening)
        self._items_into(bracket)
        if not bracket.items:  # `unfreeze`
            return Item(keyword.text, trailing=opening)
        return listing(keyword.text, bracket)

    def _item(self) -> Item:
        """Read words up to a comma, an end or the next statement. Comments between them are put above the item."""
        node = self.nodes.get(self.next.start)
        words, previous, inside, behind = "", "", list[Comment](), list[str]()
        while self.next.type not in CLOSERS:
            lexeme, behind = self._take()
            tight = not words or lexeme.type in _TIGHT or previous in _TIGHT
            words += lexeme.text if tight else f" {lexeme.text}"
            previous = lexeme.type
            if self._ended():
                return Item(words, above=inside, trailing=behind)
            if self.next.type not in CLOSERS:
                inside += [*map(Comment, behind), *self.above]
        block = self.next.type == "LBRACE" and isinstance(node, ModelBlock | StageBlock)
        spaced = words and not block and self.next.type != "LPAR"
        item = Item(f"{words} " if spaced else words, above=inside)
        item.bracket = self._bracket(behind, self.above if words else [], block)
        _, item.trailing = self._take()
        return item

    def _ended(self) -> bool:
        return self.next.type in _ENDS or self.next.start in self.nodes

    def _bracket(self, opening: list[str], above: list[Comment], block: bool) -> Bracket:
        """Read a bracket up to its end. The comments between it and the words before it move into it."""
        bracket = Bracket(Brackets.block if block else _BRACKETS[self.next.type])
        _, behind = self._take()
        if opening or above:
            self.above = [*above, *map(Comment, behind), *self.above]
        bracket.opening = opening or ([] if above else behind)
        if block:
            bracket.items = list(self._members())
        else:
            self._items_into(bracket)
        bracket.dangling = self.above
        return bracket

    def _items_into(self, bracket: Bracket) -> None:
        """Read items with commas between."""
        while not self._ended():
            above, blank = self.above, self.blank
            item = self._item()
            item.above, item.blank = _joined(above, blank, item.above)
            bracket.items.append(item)
            if self.next.type != "COMMA":
                return
            before = self.above
            _, behind = self._take()
            if item.trailing or before:
                self.above = [*before, *map(Comment, behind), *self.above]
            else:
                item.trailing = behind
            bracket.comma = self._ended()


def _joined(above: list[Comment], blank: bool, inside: list[Comment]) -> tuple[list[Comment], bool]:
    """Put comments from inside an item below those above it: they stand where the item stood."""
    if inside:
        inside[0].blank = blank
        return [*above, *inside], False
    return above, blank


def _statements(statements: Iterable[object]) -> Iterator[Any]:
    for statement in statements:
        yield statement
        if isinstance(statement, ModelBlock | StageBlock):
            yield from _statements(statement.members)
