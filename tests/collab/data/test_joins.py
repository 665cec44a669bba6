"""What joins ratings to other files: titles, features, files of held-out ratings; and ids that look the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dotexp import ComponentError, DataContext, Problem, Use
from dotexp.components.registry import load_registry
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.params import OnBad, RatingsParams
from dotexp_collab.data.ratings import build

RATINGS = "1,10,4\n2,10,3\n10,9,5\n2,9,1\n1,11,2\n"


def written(folder: Path, text: str, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def load(path: Path, **given: Any) -> RatingsData:
    return build(RatingsParams(path=path, **{"valid": path, **given}), DataContext(42))


def refused(path: Path, **given: Any) -> Problem:
    with pytest.raises(ComponentError) as caught:
        load(path, **given)
    assert caught.value.problem.code == "E402"
    return caught.value.problem


def table(path: Path, **given: Any) -> Use:
    (component,) = load_registry().find("features", "table")
    return Use(component=component, params=component.params(path=path, **given))


# features


FEATURES = [
    ("0001,a\n0002,b\n0010,a\n", "ids are written otherwise: `0001` for `1`, `0002` for `2`, `0010` for `10`"),
    ("1.0,a\n2.0,b\n", "ids are written otherwise: `1.0` for `1`, `2.0` for `2`"),
    ("user1,a\nuser2,b\n", "ids there: `user1`, here: `1`"),
    ("a,1\nb,2\n", "ids there: `a`, here: `1`"),
]


@pytest.mark.parametrize(("text", "cure"), FEATURES)
def test_features_of_no_user_are_an_error(tmp_path: Path, text: str, cure: str) -> None:
    path, users = written(tmp_path, RATINGS), written(tmp_path, text, "users.csv")
    problem = refused(path, user_features=table(users, categories=(1,)))
    assert problem.message == "the table of user_features has a row for none of the 3 users"
    assert (problem.field, problem.help) == ("user_features", cure)


def test_users_and_items_without_features_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, RATINGS)
    users, items = written(tmp_path, "1,a\n99,b\n", "users.csv"), written(tmp_path, "9,x\n10,y\n", "items.csv")
    given = {"user_features": table(users, categories=(1,)), "item_features": table(items, categories=(1,))}
    assert load(path, **given).facts.notes == (
        "2 of 3 users have no row in the table of user_features",
        "1 of 3 items has no row in the table of item_features",
    )
    whole = written(tmp_path, "1,a\n2,b\n10,\n", "users.csv")
    assert load(path, user_features=table(whole, categories=(1,))).facts.notes == ()


# titles


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("0010,Heat\n0009,Alien\n", "ids are written otherwise: `10` for `0010`, `9` for `0009`"),
        ("Heat,10\nAlien,9\n", "does item_id name the right column?"),
        ("tt10,Heat\ntt9,Alien\n", "a rated item is `10`, an item with a title `tt10`"),
    ],
)
@pytest.mark.parametrize("on_bad", list(OnBad))
def test_titles_of_no_item_are_an_error(tmp_path: Path, text: str, cure: str, on_bad: OnBad) -> None:
    problem = refused(written(tmp_path, RATINGS), items=written(tmp_path, text, "titles.csv"), on_bad=on_bad)
    assert problem.field == "items" and "no item of" in problem.message and cure in problem.help


def test_a_title_with_a_separator_is_refused(tmp_path: Path) -> None:
    text = "id,title,year\n9,Alien,1979\n10,Good, the Bad and the Ugly,1966\n11,Heat,1995\n"
    given = {"items": written(tmp_path, text, "titles.csv"), "item_id": "id", "title": "title"}
    problem = refused(written(tmp_path, RATINGS), **given)
    assert "line 3: more than 3 fields: is there a separator in the title?" in problem.message
    given["items"] = written(
        tmp_path, text.replace("Good, the Bad and the Ugly", '"Good, the Bad and the Ugly"'), "t.csv"
    )
    assert load(written(tmp_path, RATINGS), **given).facts.vocabulary["titles"]["10"] == "Good, the Bad and the Ugly"
    problem = refused(written(tmp_path, RATINGS), items=written(tmp_path, "9,Alien\n10,Heat\n11,One, two\n", "b.csv"))
    assert "line 3: more than 2 fields" in problem.message


@pytest.mark.parametrize("titles", ["9,Alien\n10,Heat\n11,One, two\n", "9,Alien, the\n10,Heat, the\n11,One, two\n9\n"])
def test_ratings_of_an_item_whose_title_is_told_are_no_faults_of_their_own(tmp_path: Path, titles: str) -> None:
    given = {"items": written(tmp_path, titles, "titles.csv")}
    if titles.startswith("9,Alien, "):  # the width is that of most rows
        given["items"] = written(tmp_path, "id,title\n" + titles, "titles.csv")
        given |= {"item_id": "id", "title": "title"}
    message = refused(written(tmp_path, RATINGS), **given).message
    assert "more than 2 fields: is there a separator in the title?" in message
    assert "no title" not in message and "no item of" not in message


UNTITLED = [
    ("9,Alien\n10,Heat\n", "1 of 3 items is not in {} and has no title (`11`)"),
    ("9,Alien\n", "2 of 3 items are not in {} and have no title (`10`, `11`)"),
    (
        "9,Alien\n010,Heat\n",
        "2 of 3 items are not in {} and have no title (`10`, `11`): ids are written otherwise: `10` for `010`",
    ),
]


@pytest.mark.parametrize(("text", "note"), UNTITLED)
@pytest.mark.parametrize("on_bad", list(OnBad))
def test_items_without_a_title_are_counted_and_trained(tmp_path: Path, text: str, note: str, on_bad: OnBad) -> None:
    titles = written(tmp_path, text, "titles.csv")
    facts = load(written(tmp_path, RATINGS), items=titles, on_bad=on_bad).facts
    assert facts.notes == (note.format(titles),)
    assert (facts.train, facts.entities["items"]) == (5, 3)
    assert facts.vocabulary["titles"]["9"] == "Alien" and "11" not in facts.vocabulary["titles"]


def test_advice_about_the_titles_separator_names_its_parameter(tmp_path: Path) -> None:
    titles = written(tmp_path, "9;Alien\n10;Heat\n11;Dune\n", "titles.csv")
    assert 'items_separator = ";"' in refused(written(tmp_path, RATINGS), items=titles).help
    titles = written(tmp_path, "sep=;\n9;Alien\n10;Heat\n11;Dune\n", "titles.csv")
    assert refused(written(tmp_path, RATINGS), items=titles).help == 'items_separator = ";"'


def test_an_item_with_two_titles_is_told(tmp_path: Path) -> None:
    titles = written(tmp_path, "9,Alien\n10,Heat\n11,Brazil\n10,Ronin\n9,Alien\n", "titles.csv")
    facts = load(written(tmp_path, RATINGS), items=titles).facts
    assert facts.notes == (f"1 item has more than one title in {titles}, and the first counts (`10`: `Heat`, `Ronin`)",)
    assert facts.vocabulary["titles"]["10"] == "Heat"


# files of held-out ratings


@pytest.mark.parametrize(
    ("valid", "said", "cure"),
    [
        ("01,010,4\n02,09,3\n", "no user of the validation file", "`01` for `1`, `02` for `2`"),
        ("01,10,4\n02,9,3\n", "no user of the validation file", "`01` for `1`, `02` for `2`"),
        ("1,10.0,4\n2,9.0,3\n", "no item of the validation file", "`10.0` for `10`, `9.0` for `9`"),
        ("77,88,3\n78,89,3\n", "no user and no item of the validation file", "`9` in training, `88` here"),
        ("ann,heat,3\n", "no user and no item of the validation file", "`9` and the like in training, `heat`"),
    ],
)
def test_a_held_out_file_of_other_ids_is_an_error(tmp_path: Path, valid: str, said: str, cure: str) -> None:
    problem = refused(written(tmp_path, RATINGS), valid=written(tmp_path, valid, "valid.csv"))
    assert problem.field == "valid" and problem.message.startswith(said) and cure in problem.help


def test_new_users_alone_may_be_validated_on(tmp_path: Path) -> None:
    facts = load(written(tmp_path, RATINGS), valid=written(tmp_path, "77,10,3\n78,9,3\n", "valid.csv")).facts
    assert facts.notes == ("2 of 2 users in the validation set are not in the training set",)


def test_ids_that_are_in_part_written_otherwise_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "1,a b,4\n2,Alien,3\n3,c,3\n")
    valid = written(tmp_path, "01,A B,4\n2.0,ALIEN,3\n3,c,1\n9,c,2\n", "valid.csv")
    assert load(path, valid=valid).facts.notes == (
        "3 of 4 users in the validation set are not in the training set: 2 of these look like one that is, written "
        "otherwise: `01` for `1`, `2.0` for `2`",
        "2 of 3 items in the validation set are not in the training set: 2 of these look like one that is, written "
        "otherwise: `A B` for `a b`, `ALIEN` for `Alien`",
    )


# ids that look the same


def test_ids_in_two_normal_forms_are_one(tmp_path: Path) -> None:
    text = "Ame\u0301lie,10,4\nAm\u00e9lie,11,3\nbob,cafe\u0301,3\nbob,Am\u00e9lie,2\n"
    facts = load(written(tmp_path, text)).facts
    assert facts.vocabulary["users"] == ["Am\u00e9lie", "bob"]
    assert facts.vocabulary["items"] == ["10", "11", "Am\u00e9lie", "caf\u00e9"]
    assert facts.notes == ("the user `Am\u00e9lie` is written in two Unicode forms, which are taken for one user",)


def test_normal_forms_do_not_matter_to_joins(tmp_path: Path) -> None:
    path = written(tmp_path, "ann,cafe\u0301,4\nbob,alien,3\n")
    titles = written(tmp_path, "caf\u00e9,Caf\u00e9 Society\nalien,Alien\n", "titles.csv")
    features = table(written(tmp_path, "cafe\u0301,x\nalien,y\n", "f.csv"), categories=(1,))
    facts = load(path, items=titles, item_features=features).facts
    assert facts.notes == () and facts.vocabulary["titles"]["caf\u00e9"] == "Caf\u00e9 Society"
    assert facts.vocabulary["item_features"]["lists"] == [[1], [0]]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("Ann", "ann", "differ in capitals alone"),
        ("ann", "an\u200bn", "an\\u200bn"),
        ("ann lee", "ann\u00a0lee", "ann\\xa0lee"),
        ("\ufeffann", "ann", "U+FEFF"),
        ("\u0430nn", "ann", "CYRILLIC SMALL LETTER A"),
        ("ann  lee", "ann lee", "white space alone"),
        ("\uff41nn", "ann", "FULLWIDTH"),
    ],
)
def test_ids_that_look_the_same_are_two_and_told(tmp_path: Path, one: str, other: str, said: str) -> None:
    facts = load(written(tmp_path, f"x,{one},4\ny,{other},3\n")).facts
    assert facts.entities["items"] == 2
    (note,) = facts.notes
    assert note.startswith("the items ") and said in note


def test_ids_that_stand_for_none_are_told(tmp_path: Path) -> None:
    facts = load(written(tmp_path, "nan,10,4\nNone,11,3\nann,12,3\nann,NULL,3\n")).facts
    assert facts.notes == (
        "the user `None`, `nan` looks like a missing id, and counts like the others",
        "the item `NULL` looks like a missing id, and counts like the others",
    )


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_nan_in_a_column_of_ids_is_a_missing_id(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "ratings.parquet"
    users = pl.Series([1.0, float("nan"), 3.0, None], dtype=dtype)
    items = pl.Series([1.0, 2.0, float("nan"), 4.0], dtype=dtype)
    pl.DataFrame({"user": users, "item": items, "rating": [3.0, 4.0, 5.0, float("nan")]}).write_parquet(path)
    listed = [line.strip() for line in refused(path, valid=1).message.split("\n")[1:]]
    assert listed == ["row 2: no user", "row 3: no item", "row 4: no user, no rating"]
    facts = load(path, on_bad=OnBad.skip).facts
    assert facts.vocabulary["users"] == ["1"] and facts.summary["skipped"] == 6  # it validates with the same file


# rows that are cut, and sets that share pairs


def test_rows_that_end_early_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item,rating,time\n1,10,4,7\n10,5,880000000\n")
    assert "line 3: fewer than 4 fields" in refused(path, valid=path).message
    path = written(tmp_path, RATINGS)
    titles = written(tmp_path, "9,A\n10\n11,B\n", "titles.csv")
    assert "line 2: fewer than 2 fields" in refused(path, items=titles, items_separator=",").message
    users = written(tmp_path, "1,a,3\n2,b\n10,a,4\n", "users.csv")
    problem = refused(path, user_features=table(users, header=False, categories=(1,)))
    assert "line 2: fewer than 3 fields" in problem.message
    users = written(tmp_path, "1,a,3\n2,b,\n10,a,4\n", "users.csv")
    assert load(path, user_features=table(users, header=False, categories=(1,)))


def test_pairs_of_a_held_out_file_that_are_trained_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"{u},{i},{u % 5}\n" for u in range(9) for i in range(5, 9)))
    held = written(tmp_path, "".join(f"{u},{i},3\n" for u in range(6) for i in (5, 99)), "test.csv")
    notes = load(path, valid=2, test=held).facts.notes
    assert any(note.endswith("of 12 pairs in the test set are in the training set, too") for note in notes), notes


@pytest.mark.parametrize(
    ("titles", "given"),
    [
        ("movieId,title\n9,Alien\n10,Heat\n11,Up\n", {}),
        ("nr,name\n9,Alien\n10,Heat\n11,Up\n", {}),
        ("title,item_id\nAlien,9\nHeat,10\nUp,11\n", {"item_id": 1, "title": 0}),
        ("9,Alien\n10,Heat\n11,Up\n", {}),
        ("9,title\n10,Heat\n11,Up\n", {}),
    ],
)
def test_a_header_of_titles_counts_as_no_item(tmp_path: Path, titles: str, given: dict[str, Any]) -> None:
    path = written(tmp_path, titles, "titles.csv")
    facts = load(written(tmp_path, RATINGS), items=path, **given).facts
    assert not any("item" in note for note in facts.notes), facts.notes
    assert facts.vocabulary["titles"]["10"] == "Heat" and len(facts.vocabulary["titles"]) == 3


def test_titles_of_text_ids_have_no_header_unless_it_is_called_so(tmp_path: Path) -> None:
    ratings = "u,alien,4\nv,heat,3\nu,heat,5\nw,up,5\nw,alien,1\n"
    path = written(tmp_path, "alien,Alien\nheat,Heat\nup,Up\n", "titles.csv")
    named = written(tmp_path, "item,title\nalien,Alien\nheat,Heat\nup,Up\n", "named.csv")
    first = load(written(tmp_path, ratings), items=path).facts.vocabulary
    assert load(written(tmp_path, ratings), items=named).facts.vocabulary == first
    assert "Alien" in str(first["titles"])
