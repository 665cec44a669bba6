"""What is said about a syntax error: hand rules, tried in order, each for one kind of mistake."""

from __future__ import annotations

from dotexp.language.diagnostics import Diagnostic, Related
from dotexp.language.foreign_words import is_misspelt, is_translated, meaning
from dotexp.language.keywords import LATER, LEADERS, MODEL, RESERVED, STAGE, TOP, Form, Keyword, keyword_of
from dotexp.language.lexer import END, Lexeme
from dotexp.language.literals import quote, unquote
from dotexp.language.punctuation_faults import (
    arithmetic,
    closer,
    comma,
    equals,
    missing_in_brackets,
    parentheses,
    unclosed,
)
from dotexp.language.recovery import (
    ANY_LEADER,
    WORDS,
    Mend,
    Trouble,
    between,
    first_on_line,
    leads,
    needs,
    shown,
    stand_in,
)

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


# Statements


def _header(t: Trouble) -> Mend | None:
    """The beginning of a statement: its path, its name, its `=`, its `{`."""
    token, lead = t.token, t.lead
    keyword = keyword_of(lead.meant) if lead is not None else None
    if keyword is None or lead is None or t.brackets or t.complete or token.type == END:
        return None
    first = t.before is lead
    if first and keyword.form is Form.path and token.type == "NAME":
        return _unquoted_path(t)
    if first and keyword.form in (Form.name, Form.param, Form.stage) and token.type in ("STRING", "NUMBER"):
        return _quoted_name(t, keyword)
    if keyword.form is Form.param and t.can("EQUAL", token.type):
        fault = Diagnostic("E103", f"a `=` is missing before {shown(token)}", token.span, suggestion=f"= {token.text}")
        return Mend(fault, insert=(stand_in("EQUAL", "=", token),), clean=True)
    return _block_header(t, keyword, lead)


def _unquoted_path(t: Trouble) -> Mend:
    end = t.at + 1
    while t.lexemes[end].type != END and t.lexemes[end].start == t.lexemes[end - 1].end:
        end += 1
    span = between(t.token, t.lexemes[end - 1])
    return Mend(Diagnostic("E103", "a path stands in quotes", span, suggestion=quote(span.text)))


def _block_header(t: Trouble, keyword: Keyword, lead: Lexeme) -> Mend | None:
    """The name of a stage, and the `{` of a stage or a model."""
    token, word = t.token, keyword.word
    if keyword.form is Form.stage:
        if t.before is lead and token.type == "LBRACE":
            fault = Diagnostic("E103", f"a {word} needs a name", lead.span, help=f"`{word}` needs {keyword.needs}")
            return Mend(fault, insert=(stand_in("NAME", "_", token, broken=True),))
        end = next((at for at in range(t.at, t.at + 4) if _type(t, at) == "LBRACE"), None)
        if t.can("LBRACE") and end is not None:
            fault = Diagnostic("E103", f"a {word} has one name", between(token, t.lexemes[end - 1]))
            return Mend(fault, drop=end - t.at, clean=True)
    if keyword.form in (Form.stage, Form.block) and t.can("LBRACE", token.type):
        suggestion = f"{{ {token.text}"
        fault = Diagnostic("E103", f"a `{{` is missing before {shown(token)}", token.span, suggestion=suggestion)
        return Mend(fault, insert=(stand_in("LBRACE", "{", token),), clean=True)
    return None


def _type(t: Trouble, at: int) -> str:
    return t.lexemes[at].type if at < len(t.lexemes) else END


def _quoted_word(t: Trouble) -> Mend | None:
    """A component's name in quotes."""
    token = t.token
    name = unquote(token.meant) if token.type == "STRING" else ""
    if not name.isidentifier() or not t.can("NAME"):
        return None
    fault = Diagnostic("E103", "a name stands without quotes", token.span, suggestion=name)
    told = token.text != token.meant
    return Mend(None if told else fault, insert=(token._replace(type="NAME", meant=name),), drop=1, clean=True)


def _quoted_name(t: Trouble, keyword: Keyword) -> Mend:
    text = unquote(t.token.meant) if t.token.type == "STRING" else ""
    name = text if text.isidentifier() else None
    help = "" if name else "a letter or `_`, then letters, digits, `_` and inner `-`"
    if keyword.form is Form.name and t.token.type == "STRING" and not name:
        help = f"the name stands before the description: `{keyword.example}`"
    code = "E103" if t.token.type == "STRING" else "E108"
    fault = Diagnostic(code, f"{shown(t.token)} is not a name", t.token.span, suggestion=name, help=help)
    return Mend(fault, insert=(t.token._replace(type="NAME", meant=name or "_", broken=name is None),), drop=1)


def _swallowed_statement(t: Trouble) -> Mend | None:
    """A name that is missing: the keyword of the next line was taken for it."""
    if t.at < 2 or t.brackets or not leads(t.lexemes, t.at - 1):
        return None
    lead = t.lexemes[t.at - 2]
    keyword = keyword_of(lead.meant) if lead.type in WORDS else None
    if keyword is None or keyword.form not in (Form.name, Form.stage):
        return None
    fault = Diagnostic("E103", f"`{lead.meant}` is not complete: it needs {keyword.needs}", lead.span)
    return Mend(fault, resume=t.at - 1)


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
    near, advice = meaning(token.meant, words)
    same_line = not first_on_line(t.lexemes, t.at)
    if near is None and not advice and same_line and t.lead is not None:
        return _missing_comma(t)
    if near in ("except", "before"):
        return Mend(Diagnostic("E103", f"`{token.meant}` is out of place", token.span, suggestion=near))
    return _unknown_statement(t, near, advice)


def _missing_comma(t: Trouble) -> Mend | None:
    token = t.token
    if not t.can("COMMA", token.type):
        return None
    fault = Diagnostic("E103", f"a `,` is missing before {shown(token)}", token.span, suggestion=f", {token.text}")
    return Mend(fault, insert=(stand_in("COMMA", ",", token),), clean=True)


def _unknown_statement(t: Trouble, near: str | None, advice: str) -> Mend:
    """A leading word that is no keyword: taken for the one that it surely means where the rest may follow that."""
    token = t.token
    if t.after.type == "EQUAL" and t.inside == TOP and near is None:
        message, help = f"unknown statement `{token.meant}`", "a named constant is declared by `param`"
        help = f"{advice}; {help}" if advice else help
        return Mend(Diagnostic("E109", message, token.span, suggestion=f"param {token.meant}", help=help))
    message = f"unknown statement `{token.meant}`" if t.inside == TOP else f"a {t.inside} has no member `{token.meant}`"
    help = advice or ("" if near else f"{_PLACES[t.inside]} stand {', '.join(LEADERS[t.inside])}")
    fault = Diagnostic("E109", message, token.span, suggestion=near, help=help)
    if near is None:
        return Mend(fault)
    terminal = RESERVED[near]
    if (is_misspelt(token.meant, near) or is_translated(token.meant, near)) and t.can(terminal, t.after.type):
        return Mend(fault, insert=(token._replace(type=terminal, meant=near),), drop=1, clean=True)
    return Mend(fault, meant=near)


def _misplaced(t: Trouble) -> Mend:
    """A statement of another place; at the top's words, the block before may lack its end."""
    token = t.token
    keyword = keyword_of(token.meant)
    homes = keyword.places if keyword else ()
    if t.block is not None and TOP in homes:
        line = t.block.source.line(t.block.span.line)
        level = len(line) - len(line.lstrip())
        outside = first_on_line(t.lexemes, t.at) and token.span.column - 1 <= level
        if outside or _only_on_top(token.meant):
            message = f"`{token.meant}` cannot stand inside a {t.inside}: is a `}}` missing before it?"
            fault = Diagnostic("E104", message, token.span, related=(Related("opened here", t.block.span),))
            return Mend(fault, insert=(stand_in("RBRACE", "}", token),), clean=True)
    belongs = " or ".join(_PLACES[home] for home in homes)
    return Mend(Diagnostic("E103", f"`{token.meant}` belongs {belongs}, not {_PLACES[t.inside]}", token.span))


def _only_on_top(word: str) -> bool:
    """Whether a word leads what begins a part of a file, which no writer means to put into a block."""
    keyword = keyword_of(word)
    return keyword is not None and (keyword.form in (Form.name, Form.stage) or keyword.kind == "stages")


def _incomplete(t: Trouble) -> Mend | None:
    """A statement that lacks the rest of it."""
    if t.complete or t.brackets or t.lead is None:
        return None
    token, lead = t.token, t.lead
    ends = token.type in (END, "RBRACE") or (token.meant in ANY_LEADER and first_on_line(t.lexemes, t.at))
    if ends and t.before is not None and t.before.type == "EQUAL":
        return Mend(Diagnostic("E103", "a value is missing behind this `=`", t.before.span), resume=t.at)
    if ends:
        return Mend(
            Diagnostic("E103", f"`{lead.meant}` is not complete: it needs {needs(lead.meant)}", lead.span), resume=t.at
        )
    if token.type in WORDS and token.type != "NAME" and t.can("NAME"):
        message = f"`{token.meant}` is a word of the language and cannot be a name here"
        return Mend(Diagnostic("E103", message, token.span, help=f"`{lead.meant}` needs {needs(lead.meant)}"))
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


_RULES = (
    _open_block,
    _told_already,
    arithmetic,
    equals,
    comma,
    closer,
    unclosed,
    parentheses,
    missing_in_brackets,
    _header,
    _quoted_word,
    _swallowed_statement,
    _leading_word,
    _incomplete,
)
