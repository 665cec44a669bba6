"""Records: immutable values that are cheap to define."""

from __future__ import annotations

import pytest
from dotexp.record import Record, values_of


class Point(Record):
    x: int
    y: int = 2


class Named(Point):
    name: str = "here"
    y: int = 5


def test_fields_are_given_by_place_or_name_and_have_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(x=3, y=4).y) == (1, 2, 4)
    assert repr(Named(1, name="there")) == "Named(x=1, y=5, name='there')"
    assert Named(1, 2, "a") == Named(y=2, x=1, name="a")


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 2}), ((1,), {"z": 2})], ids=str
)  # fmt: skip
def test_missing_surplus_and_unknown_fields_are_refused(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="Point"):
        Point(*values, **named)


def test_records_are_equal_by_class_and_values_and_hash_so() -> None:
    assert Point(1, 5) == Point(1, 5) != Point(1, 6)
    assert Point(1, 5) != Named(1, 5)
    assert len({Point(1), Point(1, 2), Point(2)}) == 2


def test_a_record_does_not_change_and_a_copy_may_differ() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="immutable"):
        point.x = 2  # type: ignore[misc]
    assert point.replace(y=7) == Point(1, 7)
    assert point == Point(1)
    assert values_of(Named(1)) == {"x": 1, "y": 5, "name": "here"}
