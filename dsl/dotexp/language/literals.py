"""Numbers and strings: how they are written, what they mean, and what a wrong spelling was meant to be."""

from __future__ import annotations

import re
from math import isinf
from typing import NamedTuple

from dotexp.language.diagnostics import Diagnostic
from dotexp.language.source import Span

LONGEST_NUMBER = 400
"""Digits of a number; Python refuses to convert more than 4,300."""

_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)(?:[eE]([+-]?[0-9]+))?(%?)")
_HEXADECIMAL = re.compile(r"([+-]?)0([xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+)")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_MEANINGFUL = r"`\"`, `\\`, `\n`, `\t`, `\r` and `\uXXXX`"
_LETTERS = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}


class Reading(NamedTuple):
    """How a literal is read: its right spelling, the fault if it was written otherwise, and whether nobody knows."""

    meant: str
    fault: Diagnostic | None = None
    broken: bool = False


# Numbers


def number_value(text: str) -> int | float:
    """Value of a well-written number: an int without point and exponent; `20%` is 0.2, correctly rounded."""
    match = _NUMBER.fullmatch(text)
    assert match is not None, text
    digits, exponent, percent = match.groups()
    if percent:
        return float(f"{digits}e{int(exponent or 0) - 2}")
    return int(digits) if exponent is None and "." not in digits else float(text)


def read_number(span: Span) -> Reading:
    """Read what looks like a number. E105 for a wrong spelling or a magnitude no float has, E107 for its length."""
    text = span.text
    if sum(character.isdigit() for character in text) > LONGEST_NUMBER:
        return Reading("0", Diagnostic("E107", f"a number has at most {LONGEST_NUMBER} digits", span), broken=True)
    if _NUMBER.fullmatch(text):
        fault = _out_of_range(span)
        return Reading("0" if fault else text, fault, broken=fault is not None)
    meant, sure = respell(text)
    help = (
        "a number has digits on both sides of its point, and no letter touches it" if meant is None or not sure else ""
    )
    fault = Diagnostic("E105", f"`{text}` is not how a number is written", span, suggestion=meant, help=help)
    return Reading(meant or "0", fault, broken=not sure)


def read_decimal_comma(whole: str, part: str, span: Span) -> Reading:
    """Read `0,005` as 0.005. E105; `1,000` may be a thousand as well, so that nobody knows what it means."""
    meant = f"{whole}.{part}"
    thousands = re.fullmatch(r"[+-]?[1-9][0-9]{0,2}", whole) and re.fullmatch("[0-9]{3}", part)
    help = f"{meant}, or {whole}{part}: thousands are written without a sign between" if thousands else ""
    fault = Diagnostic("E105", "a decimal point is a `.`", span, suggestion=None if help else meant, help=help)
    return Reading(meant, fault, broken=bool(thousands))


def respell(text: str) -> tuple[str | None, bool]:
    """Right spelling of a wrong number, and whether it surely means the same.

    `.5` is 0.5 and `1_000` is 1000; `2x` may be 2, which is a guess.
    """
    number, percent = (text[:-1], "%") if text.endswith("%") else (text, "")
    if match := _HEXADECIMAL.fullmatch(number):
        return f"{match[1]}{int('0' + match[2], 0)}{percent}", True
    plain = re.sub(r"(?<=[0-9])_+(?=[0-9])", "", number)
    plain = re.sub("[‐‑‒–—−]", "-", plain)
    plain = re.sub(r"^([+-]?)\.", r"\g<1>0.", plain)
    plain = re.sub(r"\.(?=$|[eE])", ".0", plain)
    if _NUMBER.fullmatch(plain):
        return plain + percent, True
    beginning = _NUMBER.match(plain)
    if beginning and plain[beginning.end() :].isalpha():
        return beginning[0], False
    return None, False


def _out_of_range(span: Span) -> Diagnostic | None:
    value = float(span.text.rstrip("%"))
    if isinf(value):
        return Diagnostic("E105", f"`{_short(span.text)}` is beyond the largest number, about 1.8e308", span)
    if value == 0 and re.search("[1-9]", re.split("[eE]", span.text)[0]):
        return Diagnostic("E105", f"`{_short(span.text)}` is so small that it becomes 0", span)
    return None


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}…"


# Strings


def unquote(text: str) -> str:
    """Undo a well-written string literal: quotes off and escapes replaced, or the inside of a raw one as it stands."""
    if text.startswith("r"):
        return text[2:-1]
    plain = _ESCAPE.sub(lambda match: _unescape(match[0]), text[1:-1])
    return _SURROGATES.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), plain)


def quote(value: str) -> str:
    """Literal that means `value`: raw where that saves backslashes."""
    if "\\" in value and '"' not in value and value.isprintable():
        return f'r"{value}"'
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def read_string(span: Span) -> Reading:
    """Read a closed string. E106 for a backslash that means nothing, and for an escape that is not a character."""
    text = span.text
    if text.startswith("r"):
        return Reading(text)
    wrong = next((e for e in _ESCAPE.findall(text[1:-1]) if not _known(e)), None)
    if wrong is not None:
        inside = text[1:-1]
        doubled = _ESCAPE.sub(lambda match: match[0] if _known(match[0]) else "\\" + match[0], text)
        meant = f'r"{inside}"' if '"' not in inside else doubled
        help = f'only {_MEANINGFUL} mean something in a string; a raw string r"…" has no escapes'
        return Reading(
            meant, Diagnostic("E106", f"`{wrong}` means nothing in a string", span, suggestion=meant, help=help)
        )
    value = unquote(text)
    for character in value:
        if character == "\0" or "\ud800" <= character <= "\udfff":
            message = f"`\\u{ord(character):04x}` is not a character that text can hold"
            return Reading('""', Diagnostic("E106", message, span), broken=True)
    return Reading(text)


def read_unclosed(span: Span) -> Reading:
    """E106 for a string whose end is missing, at its opening quote."""
    opening = 2 if span.text.startswith("r") else 1
    place = span.source.span(span.start, span.start + opening)
    help = "a string ends on the line where it starts"
    if span.text.endswith('\\"'):
        help = 'a backslash before the closing quote takes its meaning away: double it, or write the raw form r"…"'
    return Reading('""', Diagnostic("E106", "this string is not closed", place, help=help), broken=True)


def read_foreign_string(span: Span) -> Reading:
    """E106 for text in quotes that the language does not have, offering double ones."""
    meant = quote(span.text[1:-1])
    fault = Diagnostic("E106", "text stands in double quotes", span, suggestion=meant)
    return Reading(meant, fault)


def _known(escape: str) -> bool:
    return escape[1:] in _LETTERS or len(escape) > 2


def _unescape(escape: str) -> str:
    return _LETTERS[escape[1:]] if len(escape) == 2 else chr(int(escape[2:], 16))
