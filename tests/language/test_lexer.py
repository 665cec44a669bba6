"""Lexing: nothing is lost, and what is written wrongly is one fault with the right spelling."""

from __future__ import annotations

import re
import time

import pytest
from dotexp.language.diagnostics import Diagnostic
from dotexp.language.keywords import RESERVED
from dotexp.language.lexer import TRIVIA, Lexeme, tokenise
from dotexp.language.literals import number_value, quote, unquote
from dotexp.language.source import source_from_text
from hypothesis import given
from hypothesis import strategies as st
from lark import Lark


def lex(text: str) -> tuple[list[Lexeme], list[Diagnostic]]:
    lexemes, faults = tokenise(source_from_text(text))
    return [lexeme for lexeme in lexemes if lexeme.type not in TRIVIA], faults


def fault(text: str) -> Diagnostic:
    faults = lex(text)[1]
    assert len(faults) == 1, faults
    return faults[0]


@given(st.text())
def test_lexemes_joined_are_the_text(text: str) -> None:
    source = source_from_text(text)
    assert "".join(lexeme.text for lexeme in tokenise(source)[0]) == source.text


@given(st.text(alphabet="ab0.5e+-%\"'\\#= \n(){}[],ur_/\u00a0“"))
def test_lexemes_joined_are_the_text_of_likely_mistakes(text: str) -> None:
    lexemes, faults = tokenise(source_from_text(text))
    assert "".join(lexeme.text for lexeme in lexemes) == text
    assert all(fault.span is not None and 0 <= fault.span.start <= fault.span.end <= len(text) for fault in faults)


def test_types_are_those_of_lark() -> None:
    text = 'data a-b("x\\n", r"\\d", -1.5e-3, 20%, 0..5, [true, {k = none}]) # no\nfreeze stem..layer1, head\n'
    text += "fitter v.loss dataset data-x true_ headless unfreeze"
    lark = Lark.open_from_package("dotexp.language", "experiment.lark", parser="lalr", lexer="basic", start="start")
    expected = [(token.type, str(token)) for token in lark.lex(text)]
    assert [(lexeme.type, lexeme.text) for lexeme in lex(text)[0]] == expected


def test_keywords_are_the_grammars() -> None:
    lark = Lark.open_from_package("dotexp.language", "experiment.lark", parser="lalr", lexer="basic", start="start")
    words: dict[str, str] = {}
    for terminal in lark.terminals:
        if terminal.name not in ("NAME", "NUMBER", "STRING", "COMMENT", "SPACE"):
            words |= dict.fromkeys(re.findall(r"\b[a-z]{3,}\b", terminal.pattern.value), terminal.name)
    assert words == dict(RESERVED)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("3.0", 3.0),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("20%", 0.2),
        ("12.5%", 0.125),
        ("0.1%", 0.001),
        ("1e1%", 0.1),
        ("7%", 0.07),
    ],
)
def test_numbers(text: str, value: float) -> None:
    lexemes, faults = lex(text)
    assert (lexemes[0].type, lexemes[0].text, faults) == ("NUMBER", text, [])
    got = number_value(text)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("5.", "5.0"),
        ("1.e3", "1.0e3"),
        ("1_000", "1000"),
        (".5%", "0.5%"),
        ("0x1F", "31"),
        ("2x", "2"),
        ("1.2.3", None),
        ("1e", "1"),
    ],
)
def test_wrong_numbers(text: str, suggestion: str | None) -> None:
    found = fault(text)
    assert (found.code, found.suggestion) == ("E105", suggestion)
    assert found.span is not None and found.span.text == text


@pytest.mark.parametrize(
    ("text", "code"), [("1e999", "E105"), ("9" * 399, "E105"), ("1e-999", "E105"), ("1" * 5000, "E107")]
)
def test_numbers_beyond_the_limits(text: str, code: str) -> None:
    assert fault(text).code == code


def test_ranges_are_two_numbers() -> None:
    assert [(lexeme.type, lexeme.text) for lexeme in lex("0..5 -1..+1")[0]] == [
        ("NUMBER", "0"),
        ("DOTDOT", ".."),
        ("NUMBER", "5"),
        ("NUMBER", "-1"),
        ("DOTDOT", ".."),
        ("NUMBER", "+1"),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\tb\n\r\"\\"', 'a\tb\n\r"\\'),
        (r'"\u00e9"', "é"),
        (r'"\ud83d\ude00"', "😀"),
        (r'r"(.+)_\d+\.jpg$"', r"(.+)_\d+\.jpg$"),
        ('"a # b"', "a # b"),
        ('""', ""),
    ],
)
def test_strings(text: str, value: str) -> None:
    lexemes, faults = lex(text)
    assert (len(lexemes), lexemes[0].type, faults) == (1, "STRING", [])
    assert unquote(lexemes[0].meant) == value


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"), include_characters='\n\t\r\\"')))
def test_a_quoted_value_reads_as_itself(value: str) -> None:
    assert unquote(quote(value)) == value


@pytest.mark.parametrize(
    ("text", "marked", "suggestion"),
    [
        (r'"(.+)_\d+"', r'"(.+)_\d+"', r'r"(.+)_\d+"'),
        (r'"a\"\d"', r'"a\"\d"', r'"a\"\\d"'),
        (r'"\u12"', r'"\u12"', r'r"\u12"'),
        (r'"\ud800"', r'"\ud800"', None),
        (r'"\u0000"', r'"\u0000"', None),
        ('"abc', '"', None),
        ('r"abc', 'r"', None),
        ("'it'", "'it'", '"it"'),
        ("“it”", "“it”", '"it"'),
    ],
)
def test_wrong_strings(text: str, marked: str, suggestion: str | None) -> None:
    found = fault(text)
    assert found.code == "E106" and found.span is not None
    assert (found.span.text, found.suggestion) == (marked, suggestion)


def test_an_unclosed_string_leaves_the_bracket_that_it_did_not_open() -> None:
    lexemes, faults = lex('data f("a (b), size = 3) # why')
    assert [lexeme.type for lexeme in lexemes] == ["COMPONENT", "NAME", "LPAR", "STRING", "RPAR"]
    assert [found.code for found in faults] == ["E106"]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\u00a0", "U+00A0 NO-BREAK SPACE"),
        ("\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("\x00", "U+0000"),
        ("\u0301", "U+0301 COMBINING ACUTE ACCENT"),
        ("\ud800", "U+D800"),
    ],
)
def test_odd_characters_are_named(character: str, name: str) -> None:
    found = fault(f"loss {character} mse")
    assert found.code == "E102" and name in found.message
    assert found.span is not None and (found.span.line, found.span.column) == (1, 6)


def test_bidirectional_controls_are_found_in_comments_and_strings() -> None:
    faults = lex('# a\u202eb\nextends "a\u2066b"')[1]
    assert [(found.code, found.span.line if found.span else 0) for found in faults] == [("E102", 1), ("E102", 2)]


def test_a_look_alike_letter_is_named() -> None:
    found = fault("optimizer ad\u0430m")
    assert (found.code, found.suggestion) == ("E108", "adam")
    assert found.help == "U+0430 CYRILLIC SMALL LETTER A looks like a"


@pytest.mark.parametrize("name", ["été", "имя", "データセット集", "größe_2", "a-b-c", "_x"])
def test_names_of_one_script(name: str) -> None:
    lexemes, faults = lex(name)
    assert ([(lexeme.type, lexeme.text) for lexeme in lexemes], faults) == ([("NAME", name)], [])


@pytest.mark.parametrize("text", ['"' + "a\\n" * 500_000, '"' + "a" * 1_000_000 + '"', "'" * 100_000, '"\\' * 50_000])
def test_strings_take_time_in_proportion_to_their_length(text: str) -> None:
    start = time.process_time()
    lex(text)
    assert time.process_time() - start < 5
