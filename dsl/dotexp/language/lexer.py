"""Lossless lexing: text to the terminals of experiment.lark, white space and comments included.

Every text is lexed to its end. What is not written as the language writes it becomes a diagnostic, and a lexeme of
the terminal that was meant, so that parsing can go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from dotexp.language.characters import NAME, describe, mixed_scripts, odd_character
from dotexp.language.diagnostics import Diagnostic
from dotexp.language.keywords import RESERVED
from dotexp.language.literals import (
    Reading,
    read_decimal_comma,
    read_foreign_string,
    read_number,
    read_string,
    read_unclosed,
)
from dotexp.language.source import HIDDEN, Source, Span

END = "$END"

SIGNS: Mapping[str, str] = {
    "=": "EQUAL",
    ",": "COMMA",
    ".": "DOT",
    "..": "DOTDOT",
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
}
"""Terminal of every sign; other signs that a writer may try are lexemes of type SIGN, which no rule accepts."""

TRIVIA = frozenset({"SPACE", "COMMENT", "ODD"})
"""Types that parsing passes over."""

CLOSERS: Mapping[str, str] = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
"""What closes each bracket, by type."""


class Lexeme(NamedTuple):
    """One piece of the text: `type` is a terminal of the grammar, SIGN, one of TRIVIA, or END.

    `meant` is the spelling that is parsed, the text's own unless that was wrong; `broken` says that it is no more
    than a stand-in. It has what Lark asks of a token: a `type`.
    """

    type: str
    meant: str
    source: Source
    start: int
    end: int
    broken: bool = False

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.source, self.start, self.end)

    @property
    def text(self) -> str:
        """The piece as it was written."""
        return self.source.text[self.start : self.end]


def tokenise(source: Source) -> tuple[list[Lexeme], list[Diagnostic]]:
    """Cut a text into lexemes, which joined give the text again, and say what is wrong with them."""
    text, at = source.text, 0
    faults = list(hidden_characters(source))
    lexemes: list[Lexeme] = []
    while match := _PIECE.match(text, at):
        type, piece, end = match.lastgroup or "", match[0], match.end()
        if type == "NAME" and piece.isascii():
            lexemes.append(Lexeme(RESERVED.get(piece, "NAME"), piece, source, at, end))
        elif type == "SIGN" and piece != "//":
            lexemes.append(Lexeme(SIGNS.get(piece, "SIGN"), piece, source, at, end))
        elif type in ("SPACE", "COMMENT"):
            lexemes.append(Lexeme(type, piece, source, at, end))
        else:
            lexeme, fault = _read(type, source.span(at, end))
            lexemes.append(lexeme)
            end = lexeme.end
            if fault is not None:
                faults.append(fault)
        at = end
    lexemes, commas = join_decimal_commas(lexemes)
    return lexemes, sorted(_once_a_line([*faults, *commas]), key=_start)


def join_decimal_commas(lexemes: list[Lexeme]) -> tuple[list[Lexeme], list[Diagnostic]]:
    """Take two numbers with a comma between, no spaces, for one number where two cannot be meant.

    That is behind a `=`, where an argument without a name cannot follow; where the second begins with a 0; and in a
    list where every other comma has no space behind it.
    """
    candidates = [at for at, lexeme in enumerate(lexemes) if lexeme.type == "COMMA" and _touches_numbers(lexemes, at)]
    listed = _decimal_commas_in_lists(lexemes) if candidates else set()
    commas = [at for at in candidates if at in listed or _is_decimal(lexemes, at)]
    faults = []
    for at in reversed(commas):
        whole, _, part = lexemes[at - 1 : at + 2]
        span = Span(whole.source, whole.start, part.end)
        reading = read_decimal_comma(whole.text, part.text, span)
        lexemes[at - 1 : at + 2] = [_lexeme("NUMBER", reading.meant, span, reading.broken)]
        if reading.fault is not None:
            faults.append(reading.fault)
    return lexemes, faults


def _touches_numbers(lexemes: list[Lexeme], at: int) -> bool:
    """Whether a comma stands between an integer and digits, without a space."""
    if not 0 < at < len(lexemes) - 1 or not lexemes[at - 1].type == lexemes[at + 1].type == "NUMBER":
        return False
    whole, part = lexemes[at - 1].text, lexemes[at + 1].text
    return bool(re.fullmatch(r"[+-]?[0-9]+", whole) and re.fullmatch(r"[0-9]+(?:[eE][+-]?[0-9]+)?%?", part))


def _is_decimal(lexemes: list[Lexeme], at: int) -> bool:
    before = [lexeme.type for lexeme in lexemes[max(0, at - 4) : at - 1] if lexeme.type not in TRIVIA]
    goes_on = [lexeme.type for lexeme in lexemes[at + 2 : at + 4]] == ["COMMA", "NUMBER"]
    return (before[-1:] == ["EQUAL"] and not goes_on) or bool(re.match(r"0[0-9]", lexemes[at + 1].text))


def _decimal_commas_in_lists(lexemes: list[Lexeme]) -> set[int]:
    """Commas of lists such as `[0,9, 0,99]`: every other one has no space behind it."""
    found: set[int] = set()
    commas: list[int] | None = None
    for at, lexeme in enumerate(lexemes):
        if lexeme.type == "LSQB":
            commas = []
        elif lexeme.type == "RSQB" and commas:
            touching = [_touches_numbers(lexemes, each) for each in commas]
            if len(commas) > 1 and touching == [place % 2 == 0 for place in range(len(commas))]:
                found.update(commas[::2])
            commas = None
        elif lexeme.type == "COMMA" and commas is not None:
            commas.append(at)
        elif lexeme.type not in ("NUMBER", *TRIVIA):
            commas = None
    return found


# What looks like a number or a string is taken whole, so that a wrong one is one fault. Every branch is linear.
_PIECE = re.compile(
    r"(?P<SPACE>[ \t\n]+)"
    r"|(?P<COMMENT>\#[^\n]*)"
    r'|(?P<STRING>r"[^"\n]*"|"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*")'
    r'|(?P<UNCLOSED>r?"[^\n]*)'
    r"|(?P<FOREIGN>['‘’‚“”„«»`][^'‘’‚“”„«»`\n]*['‘’‚“”„«»`])"
    r"|(?P<NUMBER>[+-]?\.?[0-9](?:[eE][+\-‐‑‒–—−](?=[0-9])|\.(?!\.)|\w)*%?)"
    rf"|(?P<NAME>{NAME})"
    r"|(?P<SIGN>\.\.|==|:=|=>|->|\*\*|//|[=,.()\[\]{}:*/%^+-])"
    r"|(?P<ODD>(?P<odd>.)(?P=odd)*)",
    re.DOTALL,
)


def _probable_end(text: str) -> int:
    """Length of an unclosed string in its line's rest: a comment, and brackets that it did not open, stay outside."""
    comment = re.search(r"\s+#", text)
    inside = text[: comment.start()] if comment else text.rstrip()
    tail = len(re.sub(r"[\s)\]},]+$", "", inside))
    depth = 0
    for at, character in enumerate(inside):
        depth += (character in "([{") - (character in ")]}")
        if at >= max(tail, 1) and (depth < 0 or (character == "," and depth == 0)):
            return at
    return len(inside)


def _read(type: str, span: Span) -> tuple[Lexeme, Diagnostic | None]:
    source, text = span.source, span.text
    if type == "SIGN":
        return _read_slashes(span)
    if type == "NAME":
        return _read_name(span)
    if type == "ODD":
        return _lexeme("ODD", "", span), None if HIDDEN.match(text) else odd_character(span)
    if type == "UNCLOSED":
        span = source.span(span.start, span.start + _probable_end(text))
    terminal, reader = _READERS[type]
    if terminal == "STRING" and HIDDEN.search(span.text):
        return _lexeme(terminal, '""', span, broken=True), None
    reading = reader(span)
    return _lexeme(terminal, reading.meant, span, reading.broken), reading.fault


def _read_slashes(span: Span) -> tuple[Lexeme, Diagnostic | None]:
    text = span.source.text
    if text[text.rfind("\n", 0, span.start) + 1 : span.start].strip(" \t"):
        return _lexeme("SIGN", "//", span), None
    end = text.find("\n", span.start)
    comment = span.source.span(span.start, len(text) if end < 0 else end)
    return _lexeme("COMMENT", "", comment), Diagnostic("E102", "a comment starts with `#`", span, suggestion="#")


def _lexeme(type: str, meant: str, span: Span, broken: bool = False) -> Lexeme:
    return Lexeme(type, meant, span.source, span.start, span.end, broken)


def _read_name(span: Span) -> tuple[Lexeme, Diagnostic | None]:
    fault = mixed_scripts(span)
    meant = (fault.suggestion if fault else None) or span.text
    broken = fault is not None and fault.suggestion is None
    return _lexeme(RESERVED.get(meant, "NAME"), meant, span, broken), fault


_READERS: Mapping[str, tuple[str, Callable[[Span], Reading]]] = {
    "NUMBER": ("NUMBER", read_number),
    "STRING": ("STRING", read_string),
    "UNCLOSED": ("STRING", read_unclosed),
    "FOREIGN": ("STRING", read_foreign_string),
}


def hidden_characters(source: Source) -> Iterator[Diagnostic]:
    """E102 for controls and the like, which may stand nowhere, comments and strings included."""
    for match in HIDDEN.finditer(source.text):
        help = "it changes how the text around it is shown" if "\u202a" <= match[0] <= "\u2069" else ""
        span = source.span(match.start(), match.end())
        yield Diagnostic("E102", f"{describe(match[0])} may stand nowhere in a spec", span, help=help)


def _once_a_line(faults: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Leave out an odd character's second and later places on a line: a pasted line is one trouble, not eighty."""
    seen: set[tuple[int, str]] = set()
    for fault in faults:
        key = (fault.span.line if fault.span else 0, fault.message)
        if fault.code != "E102" or key not in seen:
            seen.add(key)
            yield fault


def _start(fault: Diagnostic) -> int:
    return fault.span.start if fault.span else 0
