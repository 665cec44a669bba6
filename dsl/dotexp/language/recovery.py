"""Where parsing stopped, seen with a reader's eyes, and what may be done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dotexp.language.diagnostics import Diagnostic
from dotexp.language.keywords import BY_WORD, FORMER, RESERVED, TOP, keyword_of
from dotexp.language.lexer import CLOSERS, END, Lexeme
from dotexp.language.source import Span

ANY_LEADER = frozenset(BY_WORD) | FORMER.keys()
SPELLINGS: Mapping[str, str] = {"LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}"}
WORDS = frozenset({"NAME", *RESERVED.values()}) - {"CONSTANT", "NONE"}

_NOT_BEHIND_A_LEADER = frozenset({"EQUAL", "COMMA", "DOT", "DOTDOT", "RPAR", "RSQB", "SIGN"})
_BEHIND_A_LEADER = WORDS | {"STRING", "NUMBER", "LPAR", "LBRACE"}
_NEAR = 400  # lexemes: a bound on the work for text that only opens brackets


@dataclass(frozen=True)
class Trouble:
    """A lexeme that no rule accepts where it stands.

    `inside` is the list of members it stands in (top, model or stage; empty where only a value or a freeze is
    parsed), `lead` the keyword of the statement under way or just ended, `complete` whether that statement is ended,
    `brackets` the lexemes that opened what is still open in it, `block` the `{` of the stage or model around it.
    """

    lexemes: Sequence[Lexeme]
    at: int
    can: Callable[..., bool]
    inside: str
    lead: Lexeme | None
    complete: bool
    brackets: Sequence[Lexeme]
    block: Lexeme | None

    @property
    def token(self) -> Lexeme:
        """The lexeme itself."""
        return self.lexemes[self.at]

    @property
    def before(self) -> Lexeme | None:
        """The lexeme before it."""
        return self.lexemes[self.at - 1] if self.at else None

    @property
    def after(self) -> Lexeme:
        """The lexeme behind it; the end's is the end."""
        return self.lexemes[min(self.at + 1, len(self.lexemes) - 1)]


@dataclass(frozen=True)
class Mend:
    """What to say (None: the fault is told already) and how to go on.

    `drop` lexemes are taken out and `insert` put in their place; with neither, the statement is given up and parsing
    resumes at index `resume` (None: at the next statement); `meant` is the keyword that it was meant to have. A `clean`
    mend leaves the statement as surely meant.
    """

    diagnostic: Diagnostic | None
    insert: tuple[Lexeme, ...] = ()
    drop: int = 0
    resume: int | None = None
    clean: bool = False
    meant: str = ""


def stand_in(type: str, meant: str, near: Lexeme, broken: bool = False) -> Lexeme:
    """A lexeme that is not in the text, as if it stood directly before another."""
    return Lexeme(type, meant, near.source, near.start, near.start, broken)


def first_on_line(lexemes: Sequence[Lexeme], at: int) -> bool:
    """Whether nothing but white space stands before it on its line."""
    lexeme = lexemes[at]
    return at == 0 or "\n" in lexeme.source.text[lexemes[at - 1].end : lexeme.start]


def leads(lexemes: Sequence[Lexeme], at: int) -> bool:
    """Whether this looks like the start of a statement even where brackets are open: then one was forgotten."""
    lexeme, after = lexemes[at], lexemes[min(at + 1, len(lexemes) - 1)]
    if lexeme.meant not in ANY_LEADER or lexeme.type not in WORDS or not first_on_line(lexemes, at):
        return False
    return after.type not in _NOT_BEHIND_A_LEADER and (after.type != "LPAR" or _changeable(lexeme.meant))


def matching(lexemes: Sequence[Lexeme], at: int) -> int | None:
    """Index of the bracket that closes the one at `at`, or None where it is not near."""
    depth = 0
    for index in range(at, min(at + _NEAR, len(lexemes))):
        type = lexemes[index].type
        depth += (type in CLOSERS) - (type in CLOSERS.values())
        if depth == 0:
            return index
    return None


def next_start(trouble: Trouble, inside: str) -> int:
    """Index of the next lexeme at which parsing can go on after the statement in trouble is given up."""
    lexemes, open_ = trouble.lexemes, [bracket.type for bracket in trouble.brackets]
    index = trouble.at
    while lexemes[index].type != END:
        type, new = lexemes[index].type, index > trouble.at
        if new and leads(lexemes, index):
            return index
        if type == "LBRACE" and not open_ and (end := matching(lexemes, index)):
            index = end  # the block of a statement that is not one
        elif type in CLOSERS:
            open_.append(type)
        elif type in CLOSERS.values():
            if type == "RBRACE" and "LBRACE" not in open_ and inside != TOP:
                return index
            while open_ and CLOSERS[open_.pop()] != type:
                pass
        elif new and not open_ and _starts_here(lexemes, index, inside):
            return index
        index += 1
    return index


def _starts_here(lexemes: Sequence[Lexeme], at: int, inside: str) -> bool:
    lexeme = lexemes[at]
    if lexeme.type == "NAME":
        begins = lexemes[at + 1].type in _BEHIND_A_LEADER and lexemes[at - 1].type != "COMMA"
        return begins and first_on_line(lexemes, at)
    keyword = keyword_of(lexeme.meant)
    here = keyword is not None and inside in keyword.places
    return lexeme.type in WORDS and (here or first_on_line(lexemes, at))


def shown(lexeme: Lexeme) -> str:
    """A lexeme as messages name it."""
    if lexeme.type == END:
        return "the end of the text"
    text = lexeme.text or lexeme.meant
    if not text.isprintable():
        return "this"
    if lexeme.type == "STRING":
        return f"`{text}`" if len(text) <= 30 else "this text"
    return f"`{text if len(text) <= 40 else text[:36] + '…'}`"


def between(first: Lexeme, last: Lexeme) -> Span:
    """The text from one lexeme to another."""
    return Span(first.source, first.start, last.end)


def needs(lead: str) -> str:
    """What a statement led by this keyword needs behind it."""
    keyword = keyword_of(lead)
    return keyword.needs if keyword else "more"


def _changeable(word: str) -> bool:
    keyword = keyword_of(word)
    return keyword is not None and keyword.changeable
