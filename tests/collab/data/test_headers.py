"""Headers of files of ratings: told from rows, and held against the columns that are taken by number."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dotexp import ComponentError, DataContext, Params, Problem, Use
from dotexp.components.registry import load_registry
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.headers import Role, is_header, role_of
from dotexp_collab.data.params import ColumnSplitParams, NewestParams, OnBad, RatingsParams
from dotexp_collab.data.ratings import build


def written(folder: Path, text: str, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def load(path: Path, **given: Any) -> RatingsData:
    return build(RatingsParams(path=path, **{"valid": 1, **given}), DataContext(42))


def refused(path: Path, **given: Any) -> Problem:
    with pytest.raises(ComponentError) as caught:
        load(path, **given)
    return caught.value.problem


# what a name denotes


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (Role.user, "user userId user_id userID USER-ID uid reviewerID customer_key userName 'User ID' member.no u"),
        (Role.item, "item itemId movieID movie_title asin ISBN product_code anime_id jokeId trackName Title i"),
        (Role.rating, "rating Book-Rating stars review_score user_rating movieRating overall r"),
        (Role.time, "timestamp ts rated_at reviewTime unixReviewTime date"),
        (Role.row_number, "'' 'Unnamed: 0' index __index_level_0__ row_id rownames rating_id review_id"),
        (Role.mark, "split is_train fold"),
        (None, "id name value price count genre Пользователь n2 helpful"),
    ],
)
def test_roles_of_names(role: Role | None, names: str) -> None:
    assert {name: role_of(name) for name in shlex.split(names)} == dict.fromkeys(shlex.split(names), role)


# whether there is a header


HEADERS = [
    "userId,movieId,rating",
    "user,item,2020",
    ",user,item,rating",
    "0,1,2,3",
    "who,what,stars",
    "#user,item,rating",
    "Пользователь,фильм,оценка",
]
ROWS = [
    "1,10,4",
    "ann,matrix,4",
    "ann,matrix,3.5e0",
    "1,10,x",
    "ann,10,good",
    "ann,matrix,NA",
    "ann,matrix,?",
    "ann,,4",
    "0,1,2",
]


@pytest.mark.parametrize("first", HEADERS)
def test_a_header_is_told_from_ratings(first: str) -> None:
    rows = [first.removeprefix("#").split(","), *([str(n), str(n + 5), "3", "9"] for n in range(1, 5))]
    assert is_header((0, 1, 2), rows)


@pytest.mark.parametrize("first", ROWS)
def test_a_rating_is_told_from_a_header(first: str) -> None:
    for rest in ([["7", "8", "3"], ["9", "8", "2"]], [["bob", "alien", "3"]], []):
        assert not is_header((0, 1, 2), [first.split(","), *rest])


def test_a_bad_first_row_whose_ids_come_again_is_no_header() -> None:
    rest = [["bob", "matrix", "3"], ["ann", "alien", "4"]]
    assert not is_header((0, 1, 2), [["ann", "brazil", "good"], *rest])
    assert not is_header((0, 1, 2), [["eve", "alien", "good"], *rest])
    assert is_header((0, 1, 2), [["who", "what", "how"], *rest, ["who", "what", "how"]])


def test_a_plan_shows_what_the_first_line_is_taken_for(tmp_path: Path) -> None:
    path = written(tmp_path, "userID,itemID,stars,when\n1,2,3,4\n2,3,4,5\n3,3,4,5\n")
    assert load(path).facts.guesses == {
        "header": "true (line 1 names columns: userID, itemID, stars, when)",
        "user": '"userID" (column 0, by the header)',
        "item": '"itemID" (column 1, by the header)',
        "rating": '"stars" (column 2, by the header)',
    }
    named = {"user": "userID", "item": "itemID", "rating": "stars"}
    assert load(path, **named).facts.guesses == {}
    assert load(path, **{**named, "user": 0}).facts.guesses == {"user": '"userID" (column 0, by the header)'}
    path = written(tmp_path, "1,2,3\n2,3,4\n")
    assert load(path).facts.guesses == {"header": "false (line 1 is data: 1, 2, 3)"}
    assert load(path, header=False).facts.guesses == {}


def test_a_header_that_the_spec_asks_for_and_that_looks_like_a_rating_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "1,10,4\n2,10,3\n3,9,5\n")
    *_, note = load(path, header=True, valid=path).facts.notes
    assert note == f"header = true leaves out the first row of {path}, which looks like a rating: 1, 10, 4"
    assert (
        load(written(tmp_path, "who,what,how\n1,10,4\n2,10,3\n"), header=True, valid=1)
        .facts.notes[0]
        .startswith("1 of 1 users")
    )


# columns that are taken by number


WRONG = [
    ("rating,userID,itemID", {}, 'user = "userID", item = "itemID", rating = "rating"'),
    ("item,user,rating", {}, 'user = "user", item = "item", rating = "rating"'),
    ("userId,movieId,timestamp,rating", {}, 'user = "userId", item = "movieId", rating = "rating"'),
    ("user_id,user_name,item,rating", {}, 'user = "user_id", item = "item", rating = "rating"'),
    (",user,item,rating", {}, 'user = "user", item = "item", rating = "rating"'),
    ("Unnamed: 0,user,item,rating", {}, 'user = "user", item = "item", rating = "rating"'),
    ("id,customer,product,stars", {}, 'user = "customer", item = "product", rating = "stars"'),
    ("user,movie,year,score", {}, 'user = "user", item = "movie", rating = "score"'),
    ("user,item,rating,date", {"item": 3}, 'item = "item"'),
    ("user,item,rating", {"user": 1, "item": 0}, 'user = "user", item = "item", rating = "rating"'),
]


@pytest.mark.parametrize(("header", "given", "cure"), WRONG)
@pytest.mark.parametrize("parquet", [False, True])
def test_a_header_that_says_otherwise_than_the_numbers_is_an_error(
    tmp_path: Path, header: str, given: dict[str, Any], cure: str, parquet: bool
) -> None:
    names = header.split(",")
    path = written(
        tmp_path, f"{header}\n" + "".join(f"{n},{n + 1},{n + 2},{n + 3}\n"[: 2 * len(names)] for n in range(4))
    )
    if parquet:
        path = tmp_path / "ratings.parquet"
        pl.DataFrame({name: [1.0, 2.0, 3.0] for name in names}).write_parquet(path)
    problem = refused(path, **given)
    assert problem.code == "E402" and problem.field in ("user", "item", "rating")
    name = names[given.get("user", 0)]
    assert (
        f"takes {f'`{name}`' if name else 'a column without a name'}" in problem.message
        and ", ".join(names) in problem.message
    )
    assert cure in problem.help


def test_a_column_that_is_taken_by_its_name_may_be_called_anything(tmp_path: Path) -> None:
    path = written(tmp_path, "rating,userID,itemID\n1,2,3\n2,3,4\n")
    data = load(path, user="rating", item="userID", rating="itemID")
    assert data.facts.vocabulary["columns"] == {"user": "rating", "item": "userID", "rating": "itemID"}


@pytest.mark.parametrize(
    "header", ["user,item,rating", "who,what,how", "userId,title,stars", "name,thing,value", "u,i,r"]
)
def test_headers_that_agree_or_say_nothing_are_fine(tmp_path: Path, header: str) -> None:
    facts = load(written(tmp_path, f"{header},more\n1,2,3,4\n2,3,4,5\n")).facts
    assert (facts.train, facts.notes) == (
        1,
        (
            "1 of 1 users in the validation set is not in the training set",
            "1 of 1 items in the validation set is not in the training set",
        ),
    )


def test_times_and_splits_by_number_are_held_against_the_header_too(tmp_path: Path) -> None:
    def use(name: str, params: Params) -> Use:
        (component,) = load_registry().find("rating_split", name)
        return Use(component=component, params=params)

    path = written(tmp_path, "user,item,rating,when,timestamp,is_test\n1,1,3,0,9,0\n2,2,3,1,8,1\n3,3,3,2,7,0\n")
    newest = use("newest", NewestParams(part=1))
    assert "time = 3 takes `when`" in refused(path, valid=newest, time=3).message
    assert load(path, valid=newest, time=4).facts.valid == 1
    problem = refused(path, valid=use("column", ColumnSplitParams(column=4)))
    assert (problem.field, "valid = 4 takes `timestamp`" in problem.message) == ("valid", True)
    assert load(path, valid=use("column", ColumnSplitParams(column=5))).facts.valid == 1


# files whose headers differ


def test_two_files_that_name_a_column_differently_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "who,what,how\n1,2,3\n2,3,4\n")
    for header in ("what,who,how", "who,what,so", "x,who,what"):
        problem = refused(path, valid=written(tmp_path, f"{header}\n1,2,3\n", "valid.csv"))
        assert problem.field == "valid" and "column" in problem.message and "by name" in problem.help
    assert load(path, valid=written(tmp_path, "WHO,What,how,more\n1,2,3,4\n", "valid.csv")).facts.valid == 1
    assert load(path, valid=written(tmp_path, "1,2,3\n", "valid.csv")).facts.valid == 1
    swapped = written(tmp_path, "item,user,rating\n1,2,3\n", "valid.csv")
    problem = refused(written(tmp_path, "user,item,rating\n1,2,3\n", "named.csv"), valid=swapped)
    assert problem.field == "valid" and 'user = "user", item = "item"' in problem.help


# what columns hold


def test_a_column_that_numbers_the_rows_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 5},{n % 3},{n % 4}\n" for n in range(30))
    notes = load(written(tmp_path, rows)).facts.notes
    assert "each of the 30 rows has a user of its own: is the user column the right one?" in notes
    times = "".join(f"{n % 5},{n % 3},{880000000 + n}\n" for n in range(30))
    notes = load(written(tmp_path, times)).facts.notes
    assert "all ratings are about 880000000: is the rating column the right one?" in notes  # one float32
    times = "".join(f"{n % 5},{n % 3},{880000000 + 10000 * n}\n" for n in range(30))
    notes = load(written(tmp_path, times)).facts.notes
    assert any(note.startswith("ratings run from 880000000 to 88028") for note in notes)


MARKET = "%%MatrixMarket matrix coordinate integer general\n% made by hand\n%\n7 6 31\n"


def test_the_size_line_of_a_matrix_is_no_rating(tmp_path: Path) -> None:
    entries = "".join(f"{n % 7 + 1} {n % 6 + 1} {n % 4 + 1}\n" for n in range(31))
    data = load(written(tmp_path, MARKET + entries), separator=" ")
    assert (data.facts.train, data.facts.range) == (30, (1, 4))
    assert data.facts.notes == (
        f"{tmp_path / 'ratings.csv'}: the first 4 lines not read as data: the header of Matrix Market",
    )
    problem = refused(written(tmp_path, "7 6 31\n" + entries), separator=" ")
    assert "the first row" in problem.message and "how many rows follow, 31" in problem.message
    assert load(written(tmp_path, "7 6 31\n" + entries), separator=" ", header=True).facts.train == 30
    assert "dense" in refused(written(tmp_path, "%%MatrixMarket matrix array real general\n2 2\n1\n2\n")).message


def test_comments_before_the_rows_are_left_out_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, "% bip weighted\n% 3 3 3\n1 1 5\n2 2 4\n3 1 3\n")
    data = load(path, separator=" ")
    assert (data.facts.train, data.facts.vocabulary["users"] + ["%"]) == (2, [*data.facts.vocabulary["users"], "%"])
    assert f"{path}: the first 2 lines not read as data: comments, which begin with % or #" in data.facts.notes
    path = written(tmp_path, "# exported on Monday\n#user,item,rating\n1,1,5\n#2,2,4\n3,1,3\n")
    data = load(path, on_bad=OnBad.skip)
    assert data.facts.summary["rows"] == 3
    assert data.facts.guesses["user"] == '"user" (column 0, by the header)'


@pytest.mark.parametrize(("name", "said"), [("split", "18 rows as test"), ("is_valid", "18 rows as valid")])
def test_a_column_of_sets_that_the_spec_does_not_use_is_told(tmp_path: Path, name: str, said: str) -> None:
    cells = ("train", "test") if name == "split" else ("0", "1")
    rows = "".join(f"{u},{i},{u % 5},{cells[i % 2]}\n" for u in range(9) for i in range(4))
    path = written(tmp_path, f"user,item,rating,{name}\n{rows}")
    (note,) = [note for note in load(path, valid=4).facts.notes if "column" in note]
    assert note.startswith(f"the column `{name}` marks {said}, and the spec does not use it: ")
    assert load(path, valid=4, user="user", item="item", rating="rating").facts.notes == (note,)


def test_a_column_that_marks_the_training_set_holds_nothing_out(tmp_path: Path) -> None:
    rows = "".join(f"{u},{i},{u % 5},{i % 2}\n" for u in range(9) for i in range(4))
    (component,) = load_registry().find("rating_split", "column")
    split = Use(component=component, params=ColumnSplitParams(column="is_train"))
    problem = refused(written(tmp_path, f"user,item,rating,is_train\n{rows}"), valid=split)
    assert problem.message == "the column `is_train` marks the training set, and `valid` takes marked rows"


def test_ids_taken_for_ratings_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"{u % 5 + 1},{u},{1000 + i}\n" for u in range(20, 40) for i in range(4)))
    notes = load(path, valid=4).facts.notes
    assert any("the user column holds 5 numbers up to 10 alone, and the rating column 1000 to 1003" in n for n in notes)
