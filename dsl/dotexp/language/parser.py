"""Text to documents: one pass that finds every fault and keeps every statement that could be understood."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_interactive_parser import InteractiveParser

from dotexp.language.characters import experiment_name
from dotexp.language.decoding import read
from dotexp.language.diagnostics import Diagnostic
from dotexp.language.keywords import BY_WORD, FORMER, KEYWORDS, MODEL, STAGE, TOP
from dotexp.language.lalr import load_parser
from dotexp.language.lexer import CLOSERS, END, TRIVIA, Lexeme, tokenise
from dotexp.language.source import HIDDEN, Source, Span
from dotexp.language.syntax_tree import (
    Component,
    Document,
    ExperimentName,
    Freeze,
    Listing,
    ListValue,
    ModelBlock,
    StageBlock,
    Statement,
    Unread,
    Value,
    Word,
)
from dotexp.language.tree_builder import Builder

if TYPE_CHECKING:
    from dotexp.language.recovery import Mend, Trouble

__all__ = ["parse", "parse_freeze", "parse_listing", "parse_value", "read"]

DEEPEST = 64
"""Brackets inside brackets."""


def parse(source: Source) -> Document:
    """Read a spec's text, or its JSON form: its statements, and every fault in the order of the text.

    Raises nothing, whatever the text.
    """
    if source.is_json:
        from dotexp.language.json_form import parse_json

        return parse_json(source)
    run = _Run(source, "start")
    statements, faults = run.parse() or (), run.faults
    if run.broken or run.given_up:
        from dotexp.language.unread import mark_faults

        statements = mark_faults(statements, run.broken, run.given_up, run.lead_of)
    if FORMER:
        statements = tuple(_current(statement, faults) for statement in statements)
    faults += [fault for statement in statements if (fault := _name_fault(statement)) is not None]
    return Document(source, statements, _in_order(faults))


def parse_value(source: Source) -> tuple[Value | None, tuple[Diagnostic, ...]]:
    """Read one value, as it stands behind `--set path=`; None where it cannot be understood."""
    run = _Run(source, "only_value", comments=False)
    value: Value | None = run.parse()
    return (None if run.faults else value), _in_order(run.faults)


def parse_freeze(source: Source) -> tuple[Freeze | None, tuple[Diagnostic, ...]]:
    """Read one freeze statement, with or without its keyword: `before layer4`, `freeze body`, `unfreeze`."""
    run = _Run(source, "only_freeze", comments=False)
    freeze: Freeze | None = run.parse()
    return (None if run.faults else freeze), _in_order(run.faults)


def parse_listing(source: Source) -> tuple[ListValue | None, tuple[Diagnostic, ...]]:
    """Read components as they stand behind `metrics`: separated by commas, or `none`."""
    run = _Run(source, "only_listing", comments=False)
    calls: ListValue | None = run.parse()
    return (None if run.faults else calls), _in_order(run.faults)


class Language(NamedTuple):
    """The parser that Lark makes of the grammar, its table, and which of its states are lists of members."""

    lark: Lark
    states: dict[int, dict[str, tuple[Any, Any]]]
    lists: dict[int, str]
    ends: frozenset[int]


@cache
def language() -> Language:
    """Make the parser, once."""
    lark = load_parser(Builder())
    table = lark.parse_interactive("", start="start").parser_state.parse_conf.parse_table
    states = table.states
    lists = {}
    for number, actions in states.items():
        # Only lists of members take a leading word and no name.
        if "NAME" not in actions:
            for terminal, place in _PLACES.items():
                if actions.get(terminal, (None,))[0] is Shift:
                    lists[number] = place
    return Language(lark, states, lists, frozenset(table.end_states.values()))


_PLACES = {each.terminal: each.places[0] for each in KEYWORDS if len(each.places) == 1}
"""Where the statements stand that a terminal leads, of those that stand in one place."""


class _Run:
    """One parse: feeds lexemes to Lark's parser, and mends or gives up what it refuses."""

    def __init__(self, source: Source, start: str, comments: bool = True) -> None:
        lexemes, faults = tokenise(source)
        if not comments:
            faults += [
                _no_comment(lexeme.span) for lexeme in lexemes if lexeme.type == "COMMENT" and lexeme.text[0] == "#"
            ]
        end = len(source.text)
        self.lexemes = [lexeme for lexeme in lexemes if lexeme.type not in TRIVIA]
        self.lexemes.append(Lexeme(END, "", source, end, end))
        self.faults = faults
        self.broken = [lexeme.start for lexeme in self.lexemes if lexeme.broken]
        self.given_up: list[Unread] = []
        self.returned: set[int] = set()
        self.respelt: dict[int, str] = {}
        self.at = 0
        self.start = start
        self.brackets: list[Lexeme] = []
        self.block: Lexeme | None = None
        self.language = language()
        self.parser: InteractiveParser = self.language.lark.parse_interactive("", start=start)

    def parse(self) -> Any:
        """Feed everything; what the start rule makes, or None where nothing can be made."""
        while True:
            lexeme = self.lexemes[self.at]
            try:
                result = self.parser.feed_token(cast(Token, lexeme))
            except UnexpectedToken:
                if not self._mend():
                    return None
                continue
            if lexeme.type == END:
                return result
            self.at += 1
            if not self._follow(lexeme):
                return None

    def _follow(self, lexeme: Lexeme) -> bool:
        """Keep account of what is open. False where nothing can be parsed any more."""
        if lexeme.type in CLOSERS:
            if self.parser.parser_state.state_stack[-1] in self.language.lists:
                self.block = lexeme
                return True
            self.brackets.append(lexeme)
            if len(self.brackets) == DEEPEST + 1:
                self.faults.append(
                    Diagnostic("E107", f"brackets stand in brackets {DEEPEST} deep at most", lexeme.span)
                )
                return self._too_deep()
        elif lexeme.type in CLOSERS.values():
            if self.brackets:
                self.brackets.pop()
            else:
                self.block = None
        return True

    def lead_of(self, statement: Any) -> Word:
        """Return a statement's keyword, a misspelt one as it was meant."""
        lexeme = _keyword(statement, self.respelt)
        assert lexeme is not None
        return Word(lexeme.meant, lexeme.span)

    def _too_deep(self) -> bool:
        trouble = self._trouble()
        if trouble.inside:
            self._give_up(trouble, None, "")
        return bool(trouble.inside)

    def _mend(self) -> bool:
        trouble = self._trouble()
        from dotexp.language.statement_faults import explain  # most texts have no errors, and it takes time to import

        mend = explain(trouble)
        if mend.diagnostic is not None:
            self.faults.append(mend.diagnostic)
        types = [lexeme.type for lexeme in mend.insert]
        if mend.drop or (types and trouble.can(*types, trouble.token.type)):
            self._replace(mend)
            return True
        if not trouble.inside:
            return False
        self._give_up(trouble, mend.resume, mend.meant)
        return True

    def _replace(self, mend: Mend) -> None:
        if not mend.clean:
            self.broken.append(self.lexemes[self.at - 1].start if self.at else 0)
        self.lexemes[self.at : self.at + mend.drop] = mend.insert
        self.respelt.update((each.start, each.meant) for each in mend.insert if each.meant in BY_WORD)

    def _give_up(self, trouble: Trouble, resume: int | None, meant: str) -> None:
        """Go back to the list of members around the statement in trouble, and on to its next member."""
        first = trouble.token if trouble.complete or trouble.lead is None else trouble.lead
        if resume is not None and resume < trouble.at:  # going back to a place once more would not end
            start = self.lexemes[resume].start
            resume = None if start in self.returned else resume
            self.returned.add(start)
        state = self.parser.parser_state
        if not trouble.complete:
            while state.state_stack[-1] not in self.language.lists:
                state.state_stack.pop()
                state.value_stack.pop()
        from dotexp.language.recovery import next_start

        self.at = next_start(trouble, trouble.inside) if resume is None else resume
        if self.at == trouble.at and self.lexemes[self.at].type != END and not self._trouble().can(trouble.token.type):
            self.at += 1
        self.brackets.clear()
        keyword = Word(meant or first.meant, first.span)
        end = max(first.end, self.lexemes[self.at - 1].end if self.at else 0)
        self.given_up.append(Unread(keyword, Span(first.source, first.start, end)))

    def _trouble(self) -> Trouble:
        state = self.parser.parser_state
        depth = len(state.state_stack) - 1
        lists = self.language.lists
        within = (
            {TOP, MODEL, STAGE} if self.block else {TOP}
        )  # a block's own states lie in the stack until its reduction
        while depth >= 0 and lists.get(state.state_stack[depth]) not in within:
            depth -= 1
        inside = lists[state.state_stack[depth]] if depth >= 0 else ""
        lead = state.value_stack[depth] if 0 <= depth < len(state.value_stack) else None
        can = partial(_can, self.language, tuple(state.state_stack))
        complete = not self.brackets and can("RBRACE" if self.block else END)
        from dotexp.language.recovery import Trouble

        return Trouble(
            self.lexemes, self.at, can, inside, _keyword(lead, self.respelt), complete, tuple(self.brackets), self.block
        )  # fmt: skip


def _keyword(lead: Any, respelt: Mapping[int, str]) -> Lexeme | None:
    """Return the keyword of a statement under way, or of one that is reduced already."""
    if isinstance(lead, Lexeme) or lead is None:
        return lead
    span = lead.span
    written = span.text.split(None, 1)[0].split("(")[0].split("{")[0]
    return Lexeme("", respelt.get(span.start, written), span.source, span.start, span.start + len(written))


def _can(language: Language, stack: tuple[int, ...], *types: str) -> bool:
    """Whether the parser would take lexemes of these types, one after the other."""
    states = list(stack)
    for type in types:
        while True:
            if type == END and states[-1] in language.ends:
                break
            action, to = language.states[states[-1]].get(type, (None, None))
            if action is None:
                return False
            if action is Shift:
                states.append(to)
                break
            del states[len(states) - len(to.expansion) :]
            states.append(language.states[states[-1]][to.origin.name][1])
    return True


def _current(statement: Statement, faults: list[Diagnostic]) -> Statement:
    """Give a statement led by a former spelling its current keyword, with a warning."""
    if isinstance(statement, StageBlock | ModelBlock):
        members = tuple(_current(member, faults) for member in statement.members)  # type: ignore[arg-type]
        statement = statement._replace(members=members)  # type: ignore[arg-type]
    lead = _keyword(statement, {})
    if lead is None or lead.meant not in FORMER:
        return statement
    former, current = lead.meant, FORMER[lead.meant]
    help = "the former name still works"
    faults.append(Diagnostic("W507", f"`{former}` is now called `{current}`", lead.span, suggestion=current, help=help))
    if isinstance(statement, Component | Listing | Unread):
        statement = statement._replace(keyword=Word(current, lead.span))
    return statement


def _no_comment(span: Span) -> Diagnostic:
    help = "text with a `#` in it stands in double quotes, which the shell takes away unless they are quoted themselves"
    return Diagnostic("E103", "`#` starts a comment in a file alone", span, help=help)


def _name_fault(statement: Statement) -> Diagnostic | None:
    if isinstance(statement, ExperimentName):
        return experiment_name(statement.name.text, statement.name.span)
    return None


def _in_order(faults: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort faults by place. A suggestion that repeats a character that no spec may hold mends nothing, and goes."""
    sound = (
        fault.replace(suggestion=None) if fault.suggestion and HIDDEN.search(fault.suggestion) else fault
        for fault in faults
    )
    return tuple(sorted(sound, key=lambda fault: fault.span.start if fault.span else 0))
