"""Numbers in messages."""

from __future__ import annotations

import pytest
from dotexp.language.wording import counted, counted_plural, range_ends


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (0.55, 5.45, ("0.55", "5.45")),
        (1, 5, ("1", "5")),
        (0.1 + 0.2, 5.0, ("0.3", "5")),
        (1577836800.0, 1577836850.0, ("1577836800", "1577836850")),
        (881250949.0, 893286638.0, ("881251000", "893287000")),
        (1000000.001, 1000000.002, ("1000000.001", "1000000.002")),
    ],
)
def test_a_range_has_the_digits_that_tell_its_ends_apart(low: float, high: float, written: tuple[str, str]) -> None:
    assert range_ends(low, high) == written


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(count, "epoch") for count in (0, 1, 2, 1000)] == ["0 epochs", "1 epoch", "2 epochs", "1,000 epochs"]
    assert counted(1, "class", "classes") == "1 class" and counted(2, "class", "classes") == "2 classes"
    assert counted_plural(1, "categories") == "1 category" and counted_plural(1, "users") == "1 user"
