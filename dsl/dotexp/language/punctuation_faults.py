"""What is said about signs and brackets: arithmetic, `=`, commas, and what is not closed."""

from __future__ import annotations

from math import inf, isfinite

from dotexp.language.diagnostics import Diagnostic, Related
from dotexp.language.keywords import TOP, keyword_of
from dotexp.language.lexer import CLOSERS, END
from dotexp.language.literals import number_value, quote
from dotexp.language.recovery import (
    ANY_LEADER,
    SPELLINGS,
    WORDS,
    Mend,
    Trouble,
    between,
    leads,
    matching,
    needs,
    shown,
    stand_in,
)

_OPERATORS = frozenset({"+", "-", "*", "/", "**", "//", "%", "^"})
_VALUE_ENDS = WORDS | {"NUMBER", "STRING", "CONSTANT", "NONE", "RPAR", "RSQB", "RBRACE"}
_VALUE_STARTS = WORDS | {"NUMBER", "STRING", "CONSTANT", "NONE", "LSQB", "LBRACE"}


# Signs


def arithmetic(t: Trouble) -> Mend | None:
    """Operators, and a sign or `%` that does not touch its number."""
    if not _is_operator(t, t.at):
        return None
    before, after = t.before, t.after
    apart = before is not None and before.type == "NUMBER" and t.token.type == "SIGN" and t.token.meant == "%"
    if before is not None and apart and after.type not in ("NUMBER", "NAME", "LPAR"):
        span, meant = between(before, t.token), f"{before.meant}%"
        return Mend(Diagnostic("E105", "a `%` stands directly behind its number", span, suggestion=meant), drop=1)
    if before is None or before.type not in _VALUE_ENDS or before is t.lead:
        if t.token.meant in ("+", "-") and after.type == "NUMBER" and after.meant[0] not in "+-":
            span = between(t.token, after)
            meant = t.token.meant + after.meant
            fault = Diagnostic("E105", "a sign stands directly before its number", span, suggestion=meant)
            return Mend(fault, insert=(after._replace(meant=meant, start=t.token.start),), drop=2, clean=True)
        message = f"there is no arithmetic: {shown(t.token)} means nothing here"
        return Mend(Diagnostic("E110", message, t.token.span), drop=1)
    end = _end_of_arithmetic(t)
    span, path = between(before, t.lexemes[end - 1]), _path(t, end)
    what = f"`{span.text}` is arithmetic" if len(span.text) <= 40 and span.text.isprintable() else "this is arithmetic"
    help = "a path stands in quotes" if path else "write the number itself; `param NAME = …` gives it a name"
    message = f"{what}, which the language does not have"
    return Mend(Diagnostic("E110", message, span, suggestion=path or _computed(t, end), help=help), drop=end - t.at)


def _is_operator(t: Trouble, at: int) -> bool:
    lexeme = t.lexemes[at]
    if lexeme.type == "SIGN":
        return lexeme.meant in _OPERATORS
    if lexeme.type != "NUMBER" or lexeme.meant[0] not in "+-" or at == 0:
        return False
    before = t.lexemes[at - 1]
    spaced = before.end != lexeme.start and bool(t.brackets) and t.brackets[-1].type == "LSQB"
    return before.type in _VALUE_ENDS and before is not t.lead and not spaced


def _end_of_arithmetic(t: Trouble) -> int:
    at = t.at
    while _is_operator(t, at):
        at += t.lexemes[at].type == "SIGN"
        while t.lexemes[at].type == "SIGN" and t.lexemes[at].meant in _OPERATORS:
            at += 1
        if t.lexemes[at].type in ("NUMBER", "NAME"):
            at += 1
        if t.lexemes[at].type == "LPAR":
            at = (matching(t.lexemes, at) or at) + 1
    return at


def _computed(t: Trouble, end: int) -> str | None:
    """Result of two numbers with an operator between."""
    text = t.lexemes[t.at - 1 : end]
    if [lexeme.type for lexeme in text] not in (["NUMBER", "SIGN", "NUMBER"], ["NUMBER", "NUMBER"]):
        return None
    left, right = float(number_value(text[0].meant)), float(number_value(text[-1].meant))
    sign = text[1].meant if len(text) == 3 else "+"
    results = {"*": left * right, "+": left + right, "-": left - right, "/": left / right if right else inf}
    result = results.get(sign, inf)
    return f"{result:.12g}" if isfinite(result) else None


def _path(t: Trouble, end: int) -> str | None:
    """A path that lacks its quotes: names with slashes and no space between."""
    span = between(t.lexemes[t.at - 1], t.lexemes[end - 1])
    numbers = any(lexeme.type == "NUMBER" for lexeme in t.lexemes[t.at - 1 : end])
    plain = "/" in span.text and span.text.isprintable() and not any(character in span.text for character in " (")
    return quote(span.text) if plain and not numbers else None


def equals(t: Trouble) -> Mend | None:
    """`:` or `==` for `=`, and `=` behind a keyword that takes none."""
    if t.token.type == "SIGN" and t.can("EQUAL"):
        fault = Diagnostic("E103", f"{shown(t.token)} stands where `=` belongs", t.token.span, suggestion="=")
        return Mend(fault, insert=(t.token._replace(type="EQUAL", meant="="),), drop=1, clean=True)
    if (t.token.type == "EQUAL" or t.token.meant in (":", "==", ":=")) and t.before is t.lead and t.lead is not None:
        lead = t.lead.meant
        message = f"`{lead}` takes no {shown(t.token)}"
        fault = Diagnostic("E103", message, t.token.span, label="delete it", help=f"`{lead}` needs {needs(lead)}")
        return Mend(fault, drop=1, clean=True) if t.can(t.after.type) else Mend(fault)
    return None


def comma(t: Trouble) -> Mend | None:
    """A comma too many, or one for a decimal point."""
    before = t.before
    if before is None:
        return None
    is_comma = t.token.type == "COMMA"
    numbers = before.type == t.after.type == "NUMBER" and before.end == t.token.start and t.token.end == t.after.start
    if is_comma and numbers and t.complete:
        span, meant = between(before, t.after), f"{before.meant}.{t.after.meant}"
        return Mend(Diagnostic("E105", "a decimal point is a `.`", span, suggestion=meant), drop=2)
    if is_comma and before.type in ("COMMA", "LPAR", "LSQB", "LBRACE"):
        return Mend(
            Diagnostic("E103", "nothing stands before this `,`", t.token.span, label="delete it"), drop=1, clean=True
        )
    if before.type == "COMMA" and not t.brackets and (t.token.type in (END, "RBRACE") or t.token.meant in ANY_LEADER):
        message = "a `,` may end a list inside brackets and nowhere else"
        return Mend(Diagnostic("E103", message, before.span, label="delete it, or name one more"), resume=t.at)
    keyword = keyword_of(t.lead.meant) if t.lead is not None else None
    if is_comma and t.complete and keyword is not None and not keyword.several:
        return Mend(Diagnostic("E103", f"`{keyword.word}` takes one {keyword.one}", t.token.span))
    return None


# Brackets


def closer(t: Trouble) -> Mend | None:
    """A bracket that closes nothing, or another kind than is open."""
    token = t.token
    if token.type not in CLOSERS.values():
        return None
    if not t.brackets:
        if token.type == "RBRACE" and not (t.complete and t.inside in (TOP, "")):
            return None
        return Mend(
            Diagnostic("E103", f"there is nothing that {shown(token)} could close", token.span), drop=1, clean=True
        )
    last = t.brackets[-1]
    right = CLOSERS[last.type]
    if right == token.type or not t.can(right):
        return None
    if token.type in (CLOSERS[bracket.type] for bracket in t.brackets):
        fault = Diagnostic(
            "E104", f"this `{last.text}` is not closed", last.span, help=f"a `{SPELLINGS[right]}` is missing"
        )
        return Mend(fault, insert=(stand_in(right, SPELLINGS[right], token),), clean=True)
    if token.type == "RBRACE" and t.block is not None:
        return None
    fault = Diagnostic(
        "E104", f"`{last.text}` is closed by {shown(token)}", token.span, suggestion=SPELLINGS[right],
        related=(Related("opened here", last.span),),
    )  # fmt: skip
    return Mend(fault, insert=(token._replace(type=right, meant=SPELLINGS[right]),), drop=1, clean=True)


def unclosed(t: Trouble) -> Mend | None:
    """A bracket left open: a statement starts, its block closes, or the text ends inside it."""
    if not t.brackets:
        return None
    resume = None
    if t.token.type == END or (t.token.type == "RBRACE" and t.block is not None) or leads(t.lexemes, t.at):
        resume = t.at
    elif leads(t.lexemes, t.at - 1) and t.lexemes[t.at - 1].start > t.brackets[-1].start:
        resume = t.at - 1  # its first word was still taken for a word in the brackets
    if resume is None:
        return None
    first = t.brackets[0]
    missing = f"a `{SPELLINGS[CLOSERS[first.type]]}` is missing"
    line = t.lexemes[resume].span.line
    where = "" if t.lexemes[resume].type == END or line == first.span.line else f" before line {line}"
    return Mend(
        Diagnostic("E104", f"this `{first.text}` is not closed", first.span, help=missing + where), resume=resume
    )


def parentheses(t: Trouble) -> Mend | None:
    """Parentheses where a value belongs."""
    end = matching(t.lexemes, t.at) if t.token.type == "LPAR" and t.can("LSQB") else None
    if end is None:
        return None
    inside = t.lexemes[t.at + 1 : end]
    if any(lexeme.type == "SIGN" and lexeme.meant in _OPERATORS for lexeme in inside):
        span = between(t.token, t.lexemes[end])
        fault = Diagnostic("E110", "there is no arithmetic", span, help="write the number itself")
        return Mend(fault, insert=(stand_in("NUMBER", "0", t.token),), drop=end + 1 - t.at)
    message = "parentheses hold a component's arguments; a list stands in `[ ]`"
    if inside and not any(lexeme.type == "COMMA" for lexeme in inside):
        value = between(inside[0], inside[-1]).text
        fault = Diagnostic("E103", message, between(t.token, t.lexemes[end]), suggestion=value)
        return Mend(fault, insert=tuple(inside), drop=end + 1 - t.at, clean=True)
    fault = Diagnostic("E103", message, t.token.span, suggestion="[")
    listed = (
        t.token._replace(type="LSQB", meant="["),
        *inside,
        t.lexemes[end]._replace(type="RSQB", meant="]"),
    )
    return Mend(fault, insert=listed, drop=end + 1 - t.at, clean=True)


def missing_in_brackets(t: Trouble) -> Mend | None:
    """A value, `=` or `,` that is not there."""
    before, token = t.before, t.token
    if not t.brackets or before is None:
        return None
    if before.type == "EQUAL" and t.can("NAME", token.type):
        unread = before.source.text[before.end : token.start].lstrip()
        told = unread != "" and not unread.startswith("#")  # a character that the lexer has refused
        fault = None if told else Diagnostic("E103", "a value is missing behind this `=`", before.span)
        return Mend(fault, insert=(stand_in("NAME", "_", token, broken=True),))
    named = before.type in WORDS and t.lexemes[max(t.at - 2, 0)].type in ("LPAR", "LBRACE", "COMMA")
    if named and token.type in ("NUMBER", "STRING", "CONSTANT", "NONE", "LSQB") and t.can("EQUAL", token.type):
        fault = Diagnostic("E103", f"a `=` is missing behind {shown(before)}", token.span, suggestion=f"= {token.text}")
        return Mend(fault, insert=(stand_in("EQUAL", "=", token),), clean=True)
    if t.can("COMMA", token.type) and token.type in _VALUE_STARTS:
        fault = Diagnostic("E103", f"a `,` is missing before {shown(token)}", token.span, suggestion=f", {token.text}")
        return Mend(fault, insert=(stand_in("COMMA", ",", token),), clean=True)
    return None
