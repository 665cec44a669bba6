"""Names that look the same to the eye."""

from __future__ import annotations

import os

import pytest
from dotexp.sdk.names import composed, is_text, name_notes, printable


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Cat", "cat", "dog"), "the classes `Cat` and `cat` differ in capitals alone: they are kept apart"),
        (("great dane", "great  dane"), "differ in white space alone"),
        (("cat", "cat "), "differ in white space alone"),
        (("cat", "ca\u200bt"), "the classes `cat` and `ca\\u200bt` look alike (U+200B ZERO WIDTH SPACE)"),
        (("cat", "\ufeffcat"), "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        (("great dane", "great\u00a0dane"), "white space alone"),
        (("cat", "c\u0430t"), "U+0430 CYRILLIC SMALL LETTER A"),
        (("cat1", "cat\uff11"), "U+FF11 FULLWIDTH DIGIT ONE"),
        (("fish", "\ufb01sh"), "U+FB01 LATIN SMALL LIGATURE FI"),
        (("Stra\u00dfe", "STRASSE"), "differ in capitals alone"),
        (("ca\u00adt", "dog"), "1 of the classes have characters that cannot be seen (`ca\\xadt`: U+00AD SOFT HYPHEN)"),
        ((" dog", "cat"), "(` dog`: a space at an end)"),
    ],
)
def test_names_that_look_alike_are_told(names: tuple[str, ...], said: str) -> None:
    (note,) = name_notes(names, "classes")
    assert said in note


def test_names_of_all_scripts_apart_from_each_other_are_not_told() -> None:
    plain = (
        "cat",
        "dog",
        "кот",
        "σκύλος",
        "猫",
        "شِیر",
        "می\u200cخواهم",
        "great dane",
        "Größe",
        "café",
        "🧑\u200d🚀",
        "a-b",
    )
    assert list(name_notes(plain, "classes")) == []


def test_many_groups_are_counted() -> None:
    names = [name for i in range(5) for name in (f"cat{i}", f"Cat{i}")]
    assert len(list(name_notes(names, "classes"))) == 4
    assert list(name_notes(names, "classes"))[-1] == "2 more groups of classes look alike"


def test_composed_names_of_one_form_are_equal() -> None:
    assert composed("cafe\u0301") == "caf\u00e9" == composed("caf\u00e9")


def test_undecodable_bytes_are_shown_as_escapes() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert not is_text(name) and printable(name) == "caf\\xe9"
    assert is_text("café") and printable("café") == "café"
