"""Letters and names: what is not one, and which character was meant."""

from __future__ import annotations

import unicodedata
from collections import Counter

from dotexp.language.diagnostics import Diagnostic
from dotexp.language.source import Span

NAME = r"[^\W\d]\w*(?:-+\w+)*"
"""Regular expression of a name; that of the grammar (experiment.lark) is the same."""

LONGEST_EXPERIMENT_NAME = 64

LOOK_ALIKES = dict(
    zip(
        "аеорсухіјѕԁһԛԝАВЕКМНОРСТУХІЅЈοαρυικνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "aeopcyxijsdhqwABEKMHOPCTYXISJoapuikvABEZHIKMNOPTYX",
        strict=True,
    )
)
"""Cyrillic and Greek letters, each with the Latin letter that it looks like."""

_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO"})
_MEANT = {
    "‐": "-",
    "‑": "-",
    "‒": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "..",
    "‥": "..",
    "×": "*",
    "÷": "/",
    "·": "*",
}


def describe(character: str) -> str:
    """Code point and Unicode name, such as `U+00A0 NO-BREAK SPACE`."""
    name = unicodedata.name(character, "a control character" if unicodedata.category(character) == "Cc" else "")
    return f"U+{ord(character):04X} {name}".rstrip()


def meant_character(character: str) -> str | None:
    """The character that the language does have and that looks like this one, or None."""
    if character in _MEANT:
        return _MEANT[character]
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 and plain != character and plain.isascii() and plain.isprintable() else None


def odd_character(span: Span) -> Diagnostic:
    """E102 for a run of one character that the language does not have."""
    character = span.text[0]
    shown = f"`{character}`" if character.isprintable() and character.isascii() else describe(character)
    if character == ";":
        return Diagnostic("E102", "statements need no `;`", span, label="delete it")
    meant = meant_character(character)
    if meant is not None:
        label = "write a space" if meant == " " else ""
        return Diagnostic("E102", f"{shown} is not a character of the language", span, label, suggestion=meant)
    help = ""
    if unicodedata.category(character) == "Cf":
        help = "it cannot be seen: delete it"
    elif unicodedata.combining(character):
        help = "write the letter with its mark as one character (the composed form, NFC)"
    return Diagnostic("E102", f"{shown} is not a character of the language", span, help=help)


def mixed_scripts(span: Span) -> Diagnostic | None:
    """E108 for a name whose letters come from more than one script, naming the odd letter; None for a good name."""
    text = span.text
    if text.isascii():
        return None
    scripts = {letter: _script(letter) for letter in text if not letter.isascii() or letter.isalpha()}
    kinds = set(scripts.values())
    if "" not in kinds and (len(kinds) == 1 or kinds <= _EAST_ASIAN):
        return None
    most = Counter(scripts[letter] for letter in text if letter in scripts).most_common()
    usual = "LATIN" if most[0][1] == dict(most).get("LATIN") else most[0][0]
    odd = next(
        letter for letter in text if (letter in scripts and scripts[letter] != usual) or scripts.get(letter) == ""
    )
    plain = "".join(_plain(letter) for letter in text)
    looks = f" looks like {_plain(odd)}" if _plain(odd) != odd else " is of another script than the rest"
    return Diagnostic(
        "E108",
        f"the name `{text}` mixes scripts",
        span,
        suggestion=plain if plain.isascii() else None,
        help=f"{describe(odd)}{looks}",
    )


def experiment_name(name: str, span: Span) -> Diagnostic | None:
    """E108 for a name that cannot name a run's folder: ASCII, at most 64 characters; None for a good one."""
    if not name.isascii():
        odd = next(letter for letter in name if not letter.isascii())
        return Diagnostic(
            "E108", "an experiment's name is ASCII: it names a folder", span, help=f"{describe(odd)} is not"
        )
    if len(name) > LONGEST_EXPERIMENT_NAME:
        message = f"an experiment's name has at most {LONGEST_EXPERIMENT_NAME} characters; this one has {len(name)}"
        return Diagnostic("E108", message, span, help="it names a folder; the description may be long")
    return None


def _plain(letter: str) -> str:
    return LOOK_ALIKES.get(letter) or unicodedata.normalize("NFKC", letter)


def _script(letter: str) -> str:
    """First word of the letter's Unicode name, which is its script; empty for letters that are forms of another one."""
    if unicodedata.normalize("NFKC", letter) != letter:
        return ""
    return unicodedata.name(letter, "").split(" ")[0]
