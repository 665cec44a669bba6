"""Tables of what is known of users and items: columns into features, and what is wrong with them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from dotexp import ComponentError
from dotexp_collab.data.features import FeatureLists, read_features
from dotexp_collab.data.params import FeatureTableParams
from pydantic import ValidationError

USERS = "1|24|M|writer\n2|53|F|\n3|23|M|artist\n4|33|F|writer\n"


def read(tmp_path: Path, text: str, **given: Any) -> FeatureLists:
    path = tmp_path / "table.txt"
    path.write_text(text)
    return read_features(FeatureTableParams(path=path, **{"separator": "|", **given}), sha256(), "user_features")


def named(described: FeatureLists, one: str) -> list[str]:
    return [described.names[code] for code in described.lists[one]]


def test_each_value_of_a_category_is_a_feature_and_an_empty_field_none(tmp_path: Path) -> None:
    found = read(tmp_path, USERS, categories=(2, 3))
    assert set(found.names) == {"2=M", "2=F", "3=writer", "3=artist"}
    assert named(found, "1") == ["2=M", "3=writer"] and named(found, "2") == ["2=F"]


def test_columns_go_by_name_too(tmp_path: Path) -> None:
    found = read(tmp_path, "id|age|sex|job\n" + USERS, id="id", categories=("job",))
    assert named(found, "4") == ["job=writer"] and named(found, "2") == []


def test_flags(tmp_path: Path) -> None:
    found = read(tmp_path, "1|1|0\n2|true|1\n3|False|\n", flags=(1, 2))
    assert [named(found, one) for one in "123"] == [["1"], ["1", "2"], []]


def test_lists_of_values(tmp_path: Path) -> None:
    found = read(tmp_path, "1,Action|Comedy\n2,Comedy\n3,\n", separator=",", lists=(1,))
    assert [named(found, one) for one in "123"] == [["1=Action", "1=Comedy"], ["1=Comedy"], []]


def test_numbers_are_cut_into_bins_of_equally_many_rows(tmp_path: Path) -> None:
    text = "".join(f"{one}|{one * one}\n" for one in range(1, 9))
    found = read(tmp_path, text, numbers=(1,), bins=4)
    assert [named(found, str(one))[0] for one in range(1, 9)] == [
        "1:0", "1:0", "1:1", "1:1", "1:2", "1:2", "1:3", "1:3",
    ]  # fmt: skip


def test_equal_numbers_share_a_bin(tmp_path: Path) -> None:
    found = read(tmp_path, "1|5\n2|5\n3|5\n4|9\n5|\n", numbers=(1,), bins=4)
    assert named(found, "1") == named(found, "3") != named(found, "4")
    assert named(found, "5") == []


def test_years_stand_anywhere_in_the_text(tmp_path: Path) -> None:
    found = read(tmp_path, "1|01-Jan-1995\n2|Heat (1971)\n3|unknown\n4|1995\n", years=(1,), bins=2)
    assert named(found, "1") == named(found, "4") != named(found, "2")
    assert named(found, "3") == []


def test_lists_are_in_the_order_of_the_known_ids(tmp_path: Path) -> None:
    found = read(tmp_path, USERS, categories=(2, 3)).vocabulary(["4", "2", "9"])
    assert found == {"names": ["2=F", "3=writer"], "lists": [[0, 1], [0], []]}


def test_faults_are_told_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as told:
        read(tmp_path, "1|x|2\n2|7|1\n3|inf|maybe\n", numbers=(1,), flags=(2,))
    message = told.value.problem.message
    assert message.startswith("2 of 3 rows") and told.value.problem.field == "user_features"
    assert [line.strip() for line in message.split("\n")[1:]] == [
        "line 1: column 2: `2` is none of 0, 1, true, false, column 1: `x` is not a finite number",
        "line 3: column 2: `maybe` is none of 0, 1, true, false, column 1: `inf` is not a finite number",
    ]


def test_a_row_with_too_many_fields_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"line 3: more than 3 fields: is there a separator in one\?"):
        read(tmp_path, "userId,name,city\n1,Ann,Oslo\n2,Smith, Bob,Rome\n", separator=",", categories=("city",))
    with pytest.raises(ComponentError, match="line 2: more than 2 fields"):
        read(tmp_path, "1|a\n2|b|c\n", categories=(1,))
    assert len(read(tmp_path, '1,"a, b",x\n2,c,y,\n', separator=",", categories=(1,)).lists) == 2


def test_an_id_with_two_rows_that_differ_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, "1|M\n2|F\n1|F\n2|F\n3|M\n3|\n", categories=(1,))
    assert named(found, "1") == ["1=M"]
    (note,) = found.notes
    assert note.startswith("2 users have more than one row in") and note.endswith("the first counts: `1`, `3`")
    assert read(tmp_path, "1|M\n1|M\n", categories=(1,)).notes == ()


def test_a_header_is_told_from_rows_and_says_which_column_is_the_id(tmp_path: Path) -> None:
    found = read(tmp_path, "userId|age|job\n1|20|artist\n2|30|writer\n", numbers=(1,), categories=(2,), bins=2)
    assert set(found.lists) == {"1", "2"} and "2=job" not in found.names
    with pytest.raises(ComponentError, match=r"id = 0 takes `age`, and the header says otherwise") as told:
        read(tmp_path, "age|userId|job\n20|1|artist\n", categories=("job",))
    assert (told.value.problem.field, told.value.problem.help) == (
        "user_features",
        'take columns by name: id = "userId"',
    )
    with pytest.raises(ComponentError, match=r"id = 0 takes `movieId`"):
        read(tmp_path, "movieId|age\n1|20\n", numbers=(1,))


def test_a_missing_file_and_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as gone:
        read_features(FeatureTableParams(path=tmp_path / "no.txt", flags=(1,)), sha256(), "item_features")
    assert (gone.value.problem.code, gone.value.problem.field) == ("E401", "item_features")
    with pytest.raises(ComponentError, match="no column 7"):
        read(tmp_path, USERS, categories=(7,))


@pytest.mark.parametrize("given", [{}, {"flags": (0,)}, {"flags": (1,), "numbers": (1,)}, {"flags": (1,), "bins": 1}])
def test_columns_that_make_no_sense(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeatureTableParams(path=Path("x"), **given)


def test_movielens_tables(real_data: Path) -> None:
    folder = real_data / "ml-100k"
    users = read_features(
        FeatureTableParams(path=folder / "u.user", separator="|", numbers=(1,), categories=(2, 3)), sha256(), "f"
    )
    assert len(users.lists) == 943 and len(users.names) == 2 + 21 + 7
    assert {users.names[code] for code in users.lists["1"]} >= {"2=M", "3=technician"}
    films = FeatureTableParams(
        path=folder / "u.item", separator="|", encoding="latin-1", quotes=False, years=(2,), flags=tuple(range(5, 24))
    )
    items = read_features(films, sha256(), "f")
    assert len(items.lists) == 1682
    toy_story = {items.names[code] for code in items.lists["1"]}
    assert {"8", "9", "10"} <= toy_story  # animation, children's, comedy
