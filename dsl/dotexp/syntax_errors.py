"""What is said about a syntax error: hand rules, tried in order, each for one kind of mistake."""

from __future__ import annotations

from dotexp.diagnostics import Diagnostic, Related, closest
from dotexp.literals import number_value, quote, unquote
from dotexp.tokens import END, Lexeme
from dotexp.trouble import (
    ANY_LEADER,
    CLOSERS,
    LATER,
    LEADERS,
    MODEL,
    SPELLINGS,
    STAGE,
    TOP,
    WORDS,
    Mend,
    Trouble,
    between,
    first_on_line,
    leads,
    matching,
    shown,
    stand_in,
)

_OPERATORS = frozenset({"+", "-", "*", "/", "**", "//", "%", "^"})
_VALUE_ENDS = WORDS | {"NUMBER", "STRING", "CONSTANT", "RPAR", "RSQB", "RBRACE"}
_NEEDS = {
    "dotexp": "a version number, such as `dotexp 1`",
    "extends": "a path in quotes, such as `extends \"base.exp\"`",
    "experiment": "a name, such as `experiment pets`",
    "seed": "a number, such as `seed 42`",
    "param": "a name, `=` and a value, such as `param epochs = 2`",
    "metrics": "a metric, such as `metrics accuracy`",
    "stage": "a name and members, such as `stage head { … }`",
    "model": "a component, or `{ body …  head … }`",
    "groups": "groups of layers, such as `groups early [stem..layer2], late [layer3]`",
    "freeze": "layers or groups, such as `freeze body`",
    "runtime": "settings in parentheses",
}
_PLACES = {TOP: "at the top of a file", MODEL: "inside `model { … }`", STAGE: "inside a stage"}
_EXPECTED = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "text in quotes",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "RBRACE": "`}`",
    "LBRACE": "`{`",
    "LPAR": "`(`",
}


def explain(trouble: Trouble) -> Mend:
    """Say what is wrong where parsing stopped, and how to go on."""
    for rule in _RULES:
        mend = rule(trouble)
        if mend is not None:
            return mend
    return _out_of_place(trouble)


# Follow-ups and the end


def _told_already(t: Trouble) -> Mend | None:
    """A lexeme that touches one of which a fault is told: the two were one to the writer."""
    before, token = t.before, t.token
    if before is None:
        return Mend(None) if token.broken else None
    gap = token.source.text[before.end : token.start]
    joined = bool(gap) and not gap[0].isspace() and not gap[-1].isspace() and "#" not in gap
    joined |= not gap and before.type == "STRING" and before.text != before.meant
    return Mend(None) if token.broken or before.broken or joined else None


def _open_block(t: Trouble) -> Mend | None:
    """The text ends inside a stage or model."""
    if t.token.type != END or not t.complete or t.block is None:
        return None
    fault = Diagnostic("E104", "this `{` is not closed", t.block.span, help="a `}` is missing")
    return Mend(fault, insert=(stand_in("RBRACE", "}", t.token),), clean=True)


# Signs


def _arithmetic(t: Trouble) -> Mend | None:
    if not _is_operator(t, t.at):
        return None
    before, after = t.before, t.after
    if t.token.type == "SIGN" and before is not None and before.type == "NUMBER" and t.token.meant == "%":
        if not _operand(t, t.at + 1):
            meant = before.meant + "%"
            return Mend(Diagnostic("E105", "a `%` stands directly behind its number", between(before, t.token), suggestion=meant), drop=1)
    if before is None or before.type not in _VALUE_ENDS or before is t.lead:
        if t.token.meant in "+-" and after.type == "NUMBER":
            span = between(t.token, after)
            meant = t.token.meant + after.meant
            fault = Diagnostic("E105", "a sign stands directly before its number", span, suggestion=meant)
            return Mend(fault, insert=(after._replace(meant=meant, start=t.token.start),), drop=2, clean=True)
        message = f"there is no arithmetic: {shown(t.token)} means nothing here"
        return Mend(Diagnostic("E110", message, t.token.span), drop=1)
    end = _end_of_arithmetic(t)
    span, path = between(before, t.lexemes[end - 1]), _path(t, end)
    what = f"`{span.text}` is arithmetic" if len(span.text) <= 40 else "this is arithmetic"
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


def _operand(t: Trouble, at: int) -> bool:
    return t.lexemes[at].type in ("NUMBER", "NAME", "LPAR")


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
    try:
        results = {"*": left * right, "+": left + right, "-": left - right, "/": left / right}
        result = results.get(text[1].meant) if len(text) == 3 else left + right
    except (ZeroDivisionError, OverflowError):
        return None
    return None if result is None else f"{result:.12g}"


def _path(t: Trouble, end: int) -> str | None:
    """A path that lacks its quotes: names with slashes and no space between."""
    span = between(t.lexemes[t.at - 1], t.lexemes[end - 1])
    numbers = any(lexeme.type == "NUMBER" for lexeme in t.lexemes[t.at - 1 : end])
    return None if numbers or "/" not in span.text or any(c in span.text for c in " \t\n(") else quote(span.text)


def _equals(t: Trouble) -> Mend | None:
    """`:` or `==` for `=`, and `=` behind a keyword that takes none."""
    if t.token.type == "SIGN" and t.can("EQUAL"):
        fault = Diagnostic("E103", f"{shown(t.token)} stands where `=` belongs", t.token.span, suggestion="=")
        return Mend(fault, insert=(t.token._replace(type="EQUAL", meant="="),), drop=1, clean=True)
    if (t.token.type == "EQUAL" or t.token.meant in (":", "==", ":=")) and t.before is t.lead and t.lead is not None:
        lead = t.lead.meant
        message = f"`{lead}` takes no {shown(t.token)}"
        fault = Diagnostic("E103", message, t.token.span, label="delete it", help=f"`{lead}` needs {_need(lead)}")
        return Mend(fault, drop=1, clean=True) if t.can(t.after.type) else Mend(fault)
    return None


def _comma(t: Trouble) -> Mend | None:
    """A comma too many, or one for a decimal point."""
    before = t.before
    if before is None:
        return None
    if t.token.type == "COMMA" and before.type == t.after.type == "NUMBER" and t.complete:
        if before.end == t.token.start and t.token.end == t.after.start:
            span, meant = between(before, t.after), f"{before.meant}.{t.after.meant}"
            return Mend(Diagnostic("E105", "a decimal point is a `.`", span, suggestion=meant), drop=2)
    if t.token.type == "COMMA" and before.type in ("COMMA", "LPAR", "LSQB", "LBRACE"):
        return Mend(Diagnostic("E103", "nothing stands before this `,`", t.token.span, label="delete it"), drop=1, clean=True)
    if before.type == "COMMA" and not t.brackets and (t.token.type in (END, "RBRACE") or t.token.meant in ANY_LEADER):
        message = "a `,` may end a list inside brackets and nowhere else"
        return Mend(Diagnostic("E103", message, before.span, label="delete it, or name one more"), resume=t.at)
    if t.token.type == "COMMA" and t.complete and t.lead is not None and t.lead.meant not in ("metrics", "groups", "freeze"):
        return Mend(Diagnostic("E103", f"`{t.lead.meant}` takes one {_one(t.lead.meant)}", t.token.span))
    return None


# Brackets


def _closer(t: Trouble) -> Mend | None:
    """A bracket that closes nothing, or another kind than is open."""
    token = t.token
    if token.type not in CLOSERS.values():
        return None
    if not t.brackets:
        if token.type == "RBRACE" and not (t.complete and t.inside in (TOP, "")):
            return None
        return Mend(Diagnostic("E103", f"there is nothing that {shown(token)} could close", token.span), drop=1, clean=True)
    last = t.brackets[-1]
    right = CLOSERS[last.type]
    if right == token.type or not t.can(right):
        return None
    if token.type in (CLOSERS[bracket.type] for bracket in t.brackets):
        fault = Diagnostic("E104", f"this `{last.text}` is not closed", last.span, help=f"a `{SPELLINGS[right]}` is missing")
        return Mend(fault, insert=(stand_in(right, SPELLINGS[right], token),), clean=True)
    if token.type == "RBRACE" and t.block is not None:
        return None
    fault = Diagnostic(
        "E104", f"`{last.text}` is closed by {shown(token)}", token.span, suggestion=SPELLINGS[right],
        related=(Related("opened here", last.span),),
    )  # fmt: skip
    return Mend(fault, insert=(token._replace(type=right, meant=SPELLINGS[right]),), drop=1, clean=True)


def _unclosed(t: Trouble) -> Mend | None:
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
    return Mend(Diagnostic("E104", f"this `{first.text}` is not closed", first.span, help=missing + where), resume=resume)


def _tuple(t: Trouble) -> Mend | None:
    """Parentheses where a value belongs."""
    end = matching(t.lexemes, t.at) if t.token.type == "LPAR" and t.can("LSQB") else None
    if end is None:
        return None
    inside = t.lexemes[t.at + 1 : end]
    if any(lexeme.type == "SIGN" and lexeme.meant in _OPERATORS for lexeme in inside):
        span = between(t.token, t.lexemes[end])
        fault = Diagnostic("E110", "there is no arithmetic", span, help="write the number itself")
        return Mend(fault, insert=(stand_in("NUMBER", "0", t.token),), drop=end + 1 - t.at)
    fault = Diagnostic("E103", "parentheses hold a component's arguments; a list stands in `[ ]`", t.token.span, suggestion="[")
    listed = (
        t.token._replace(type="LSQB", meant="["),
        *inside,
        t.lexemes[end]._replace(type="RSQB", meant="]"),
    )
    return Mend(fault, insert=listed, drop=end + 1 - t.at, clean=True)


def _missing_in_brackets(t: Trouble) -> Mend | None:
    """A value, `=` or `,` that is not there."""
    before, token = t.before, t.token
    if not t.brackets or before is None:
        return None
    if before.type == "EQUAL" and t.can("NAME", token.type):
        fault = Diagnostic("E103", "a value is missing behind this `=`", before.span)
        return Mend(fault, insert=(stand_in("NAME", "_", token, broken=True),))
    named = before.type in WORDS and t.lexemes[max(t.at - 2, 0)].type in ("LPAR", "LBRACE", "COMMA")
    if named and token.type in ("NUMBER", "STRING", "CONSTANT", "LSQB") and t.can("EQUAL", token.type):
        fault = Diagnostic("E103", f"a `=` is missing behind {shown(before)}", token.span, suggestion=f"= {token.text}")
        return Mend(fault, insert=(stand_in("EQUAL", "=", token),), clean=True)
    if t.can("COMMA", token.type) and token.type in _VALUE_ENDS | {"LSQB", "LBRACE"} - {"RPAR", "RSQB", "RBRACE"}:
        fault = Diagnostic("E103", f"a `,` is missing before {shown(token)}", token.span, suggestion=f", {token.text}")
        return Mend(fault, insert=(stand_in("COMMA", ",", token),), clean=True)
    return None


# Statements


def _header(t: Trouble) -> Mend | None:
    """The beginning of a statement: its name, its quotes, its `=`, its `{`."""
    token, lead = t.token, t.lead
    if lead is None or t.brackets or t.complete or token.type == END:
        return None
    first = t.before is lead
    if first and lead.meant == "extends" and token.type == "NAME":
        end = t.at + 1
        while t.lexemes[end].type != END and t.lexemes[end].start == t.lexemes[end - 1].end:
            end += 1
        span = between(token, t.lexemes[end - 1])
        return Mend(Diagnostic("E103", "a path stands in quotes", span, suggestion=quote(span.text)))
    if first and lead.meant in ("experiment", "stage", "param") and token.type in ("STRING", "NUMBER"):
        return _quoted_name(t, lead)
    if lead.meant == "param" and t.can("EQUAL", token.type):
        fault = Diagnostic("E103", f"a `=` is missing before {shown(token)}", token.span, suggestion=f"= {token.text}")
        return Mend(fault, insert=(stand_in("EQUAL", "=", token),), clean=True)
    if first and lead.meant == "stage" and token.type == "LBRACE":
        fault = Diagnostic("E103", "a stage needs a name", lead.span, help=f"`stage` needs {_need('stage')}")
        return Mend(fault, insert=(stand_in("NAME", "_", token, broken=True),))
    if lead.meant == "stage" and t.can("LBRACE") and "LBRACE" in (lexeme.type for lexeme in t.lexemes[t.at : t.at + 4]):
        end = next(at for at in range(t.at, t.at + 4) if t.lexemes[at].type == "LBRACE")
        fault = Diagnostic("E103", "a stage has one name", between(token, t.lexemes[end - 1]))
        return Mend(fault, drop=end - t.at, clean=True)
    if lead.meant in ("stage", "model") and t.can("LBRACE", token.type):
        fault = Diagnostic("E103", f"a `{{` is missing before {shown(token)}", token.span, suggestion=f"{{ {token.text}")
        return Mend(fault, insert=(stand_in("LBRACE", "{", token),), clean=True)
    return None


def _quoted_word(t: Trouble) -> Mend | None:
    """A component's name in quotes."""
    token = t.token
    name = unquote(token.meant) if token.type == "STRING" else ""
    if not name.isidentifier() or not t.can("NAME"):
        return None
    fault = Diagnostic("E103", "a name stands without quotes", token.span, suggestion=name)
    told = token.text != token.meant
    return Mend(None if told else fault, insert=(token._replace(type="NAME", meant=name),), drop=1, clean=True)


def _quoted_name(t: Trouble, lead: Lexeme) -> Mend:
    text = unquote(t.token.meant) if t.token.type == "STRING" else ""
    name = text if text.isidentifier() else None
    help = "" if name else "a letter or `_`, then letters, digits, `_` and inner `-`"
    if lead.meant == "experiment" and t.token.type == "STRING" and not name:
        help = "the name stands before the description: `experiment pets \"…\"`"
    code = "E103" if t.token.type == "STRING" else "E108"
    fault = Diagnostic(code, f"{shown(t.token)} is not a name", t.token.span, suggestion=name, help=help)
    return Mend(fault, insert=(t.token._replace(type="NAME", meant=name or "_", broken=name is None),), drop=1)


def _leading_word(t: Trouble) -> Mend | None:
    """A word where a statement may start, which leads none here."""
    token = t.token
    if not t.complete or token.type not in WORDS or not t.inside:
        return None
    if token.meant in ANY_LEADER:
        return _misplaced(t)
    if token.type != "NAME":
        return Mend(Diagnostic("E103", f"`{token.meant}` belongs to a freeze statement", token.span))
    if token.meant in LATER:
        return Mend(Diagnostic("E109", f"this version does not have the statement `{token.meant}` yet", token.span))
    words = LEADERS[t.inside] + tuple(word for word in ("except", "before") if t.can(word.upper()))
    near = closest(token.meant, words)
    same_line = not first_on_line(t.lexemes, t.at)
    if near is None and same_line and t.lead is not None:
        if t.can("COMMA", token.type):
            fault = Diagnostic("E103", f"a `,` is missing before {shown(token)}", token.span, suggestion=f", {token.text}")
            return Mend(fault, insert=(stand_in("COMMA", ",", token),), clean=True)
        return None
    if near in ("except", "before"):
        return Mend(Diagnostic("E103", f"`{token.meant}` is out of place", token.span, suggestion=near))
    if t.after.type == "EQUAL" and t.inside == TOP and near is None:
        help = "a named constant is declared by `param`"
        return Mend(Diagnostic("E109", f"unknown statement `{token.meant}`", token.span, suggestion=f"param {token.meant}", help=help))
    message = f"unknown statement `{token.meant}`" if t.inside == TOP else f"a {t.inside} has no member `{token.meant}`"
    help = "" if near else f"{_PLACES[t.inside]} stand {', '.join(LEADERS[t.inside])}"
    return Mend(Diagnostic("E109", message, token.span, suggestion=near, help=help))


def _misplaced(t: Trouble) -> Mend:
    """A statement of another place; at the top's words, the block before may lack its end."""
    token = t.token
    homes = [place for place, words in LEADERS.items() if token.meant in words]
    if t.block is not None and TOP in homes:
        line = t.block.source.line(t.block.span.line)
        level = len(line) - len(line.lstrip())
        outside = first_on_line(t.lexemes, t.at) and token.span.column - 1 <= level
        if outside or token.meant in ("stage", "stages", "experiment"):
            message = f"`{token.meant}` cannot stand inside a {t.inside}: is a `}}` missing before it?"
            fault = Diagnostic("E104", message, token.span, related=(Related("opened here", t.block.span),))
            return Mend(fault, insert=(stand_in("RBRACE", "}", token),), clean=True)
    belongs = " or ".join(_PLACES[home] for home in homes)
    return Mend(Diagnostic("E103", f"`{token.meant}` belongs {belongs}, not {_PLACES[t.inside]}", token.span))


def _incomplete(t: Trouble) -> Mend | None:
    """A statement that lacks the rest of it."""
    if t.complete or t.brackets or t.lead is None:
        return None
    token, lead = t.token, t.lead
    ends = token.type in (END, "RBRACE") or (token.meant in ANY_LEADER and first_on_line(t.lexemes, t.at))
    if ends:
        return Mend(Diagnostic("E103", f"`{lead.meant}` is not complete: it needs {_need(lead.meant)}", lead.span), resume=t.at)
    if token.type in WORDS and token.type != "NAME" and t.can("NAME"):
        message = f"`{token.meant}` is a word of the language and cannot be a name here"
        return Mend(Diagnostic("E103", message, token.span, help=f"`{lead.meant}` needs {_need(lead.meant)}"))
    return None


def _out_of_place(t: Trouble) -> Mend:
    expected = [text for type, text in _EXPECTED.items() if t.can(type)]
    help = f"expected {' or '.join(expected)}" if expected and not t.complete else ""
    if t.complete and t.inside:
        help = f"{_PLACES[t.inside]} each statement starts with one of {', '.join(LEADERS[t.inside])}"
    if t.token.type == END:
        before = t.before
        span = before.span if before is not None else t.token.span
        return Mend(Diagnostic("E103", "the text ends too early", span, help=help), resume=t.at)
    return Mend(Diagnostic("E103", f"{shown(t.token)} is out of place", t.token.span, help=help))


def _need(lead: str) -> str:
    return _NEEDS.get(lead, "a component, or changes in parentheses")


def _one(lead: str) -> str:
    return {"seed": "number", "param": "value", "extends": "path", "experiment": "name"}.get(lead, "component")


_RULES = (
    _told_already,
    _open_block,
    _arithmetic,
    _equals,
    _comma,
    _closer,
    _unclosed,
    _tuple,
    _missing_in_brackets,
    _header,
    _quoted_word,
    _leading_word,
    _incomplete,
)
