"""Ratings from text files: what is read, what is refused, how rows are split and coded."""

from __future__ import annotations

import csv
import gzip
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from dotexp import ComponentError, DataContext, Problem, Use
from dotexp.engine.build.probe import Probe
from dotexp.experiment.checking import load as load_spec
from dotexp.planning.planner import make_plan
from dotexp.sdk.tables import files
from dotexp_collab.data import dataset as assembling
from dotexp_collab.data.columns import Rows, chunks
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.params import ColumnSplitParams, OnBad, RatingsParams
from dotexp_collab.data.ratings import build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from offered import offered
from paths import REPOSITORY
from pydantic import ValidationError

from specs import resolved

CPU = torch.device("cpu")
TINY = "1,10,4\n2,10,3.5\n10,9,5\n2,9,1\n1,11,2\n"
FEWER = "ann,matrix,4\nbob,alien,2\n"


def load(path: Path, seed: int = 42, **given: Any) -> RatingsData:
    return build(RatingsParams(path=path, **given), DataContext(seed))


def written(folder: Path, text: str | bytes, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def triples(data: RatingsData, name: str, batch_size: int = 2) -> list[tuple[str, str, float]]:
    """A part's rows with the codes turned back into ids."""
    users = ["?", *data.facts.vocabulary["users"]]
    items = ["?", *data.facts.vocabulary["items"]]
    part = data.part(name)
    rows = []
    for batch in part.batches(torch.arange(len(part)), batch_size, None, CPU):
        for user, item, rating in zip(*batch.inputs, batch.targets, strict=True):
            rows.append((users[int(user)], items[int(item)], float(rating)))
    return rows


def refused(path: Path, **given: Any) -> Problem:
    with pytest.raises(ComponentError) as caught:
        load(path, **given)
    return caught.value.problem


def column(name: int | str) -> Use:
    component = next(c for c in offered("collab") if (c.kind, c.name) == ("rating_split", "column"))
    return Use(component=component, params=ColumnSplitParams(column=name))


# what is read


def test_rows_become_codes_in_the_order_of_the_ids_numbers(tmp_path: Path) -> None:
    data = load(written(tmp_path, TINY), valid=written(tmp_path, "2,11,3\n", "valid.csv"))
    assert data.facts.vocabulary == {"users": ["1", "2", "10"], "items": ["9", "10", "11"], "item_counts": [2, 2, 1]}
    batch = next(iter(data.part("train").batches(torch.arange(5), 5, None, CPU)))
    assert [t.tolist() for t in batch.inputs] == [[1, 2, 3, 2, 1], [2, 2, 1, 1, 3]]
    assert batch.targets.tolist() == [4, 3.5, 5, 1, 2]
    assert [t.dtype for t in (*batch.inputs, batch.targets)] == [torch.int64, torch.int64, torch.float32]


def test_the_facts(tmp_path: Path) -> None:
    path, valid = written(tmp_path, TINY), written(tmp_path, "2,11,3\n", "valid.csv")
    facts = load(path, valid=valid).facts
    assert (facts.task, facts.train, facts.valid, facts.test, facts.outputs) == ("ratings", 5, 1, 0, 1)
    assert (facts.entities["users"], facts.entities["items"], facts.range, facts.notes) == (3, 3, (1, 5), ())
    assert facts.fingerprint == hashlib.sha256((TINY + "2,11,3\n").encode()).hexdigest()
    assert load(path, valid=1).facts.fingerprint == hashlib.sha256(TINY.encode()).hexdigest()


SAME = [("ann", "matrix", 4.0), ("bob", "alien", 2.0)]


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("ann,matrix,4\nbob,alien,2\n", {}),
        ("user,item,rating\nann,matrix,4\nbob,alien,2\n", {}),
        ("stars,who,what\n4,ann,matrix\n2,bob,alien\n", {"user": "who", "item": "what", "rating": "stars"}),
        ("stars,who,what\n4,ann,matrix\n2,bob,alien\n", {"user": 1, "item": "what", "rating": 0, "header": True}),
        ("4\t99\tann\tmatrix\n2\t98\tbob\talien", {"user": 2, "item": 3, "rating": 0, "separator": "\t"}),
        ("ann::matrix::4::99\nbob::alien::2::98\n", {"separator": "::"}),
        ("ann·matrix·4\nbob·alien·2\n", {"separator": "·"}),
        ("ann|matrix|4\r\nbob|alien|2\r\n", {"separator": "|"}),
        ("\n ann , matrix, 4.0 \n\n  \n,,\nbob,alien,2e0\n\n", {}),
        ("\ufeffann,matrix,4\nbob,alien,2\n", {}),
        ('"ann","matrix","4"\n"bob",alien,2\n', {}),
        ('"ann"::"matrix"::4\nbob::alien::2\n', {"separator": "::"}),
        (gzip.compress(b"ann,matrix,4\nbob,alien,2\n", mtime=0), {}),
    ],
)
def test_forms_of_the_same_ratings(tmp_path: Path, text: str | bytes, given: dict[str, Any]) -> None:
    path = written(tmp_path, text, "ratings.data")
    assert triples(load(path, valid=path, **given), "train") == SAME


def test_quoted_fields_may_hold_separators_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = written(tmp_path, '1,"Matrix, The",4\n2,"say ""hi""",3\n3,"two\nlines",2\n')
    assert [item for _, item, _ in triples(load(path, valid=path), "train")] == [
        "Matrix, The",
        'say "hi"',
        "two\nlines",
    ]


def test_quotes_can_be_plain_characters(tmp_path: Path) -> None:
    path = written(tmp_path, '1\t"G" Cats\t4\n2\t12" vinyl\t3\n')
    problem = refused(path, valid=path, separator="\t")
    assert problem.code == "E402" and "line 1" in problem.message and "quotes = false" in problem.help
    data = load(path, valid=path, separator="\t", quotes=False)
    assert data.facts.vocabulary["items"] == ['"G" Cats', '12" vinyl']


def test_other_encodings(tmp_path: Path) -> None:
    path = written(tmp_path, "1,Amélie,4\n2,Alien,3\n".encode("latin-1"))
    problem = refused(path)
    assert problem.code == "E402" and "line 1" in problem.message and "latin-1" in problem.help
    data = load(path, valid=path, encoding="latin-1")
    assert data.facts.vocabulary["items"] == ["Alien", "Amélie"]


def test_a_header_is_told_from_ratings(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,1\nc,d,2\n")
    assert load(path, valid=path).facts.train == 2
    assert load(path, valid=path, header=True).facts.train == 1
    named = written(tmp_path, "userId,movieId,rating\n1,2,3\n2,3,4\n")
    assert load(named, valid=named).facts.train == 2
    assert "`rating` is not a number" in refused(named, header=False).message


def test_ids_are_text(tmp_path: Path) -> None:
    path = written(tmp_path, "007,a,1\n7,b,2\n 7 ,a,3\n7.0,b,4\n")
    assert load(path, valid=path).facts.vocabulary["users"] == ["007", "7", "7.0"]


def test_integer_ids_are_sorted_as_numbers_whatever_their_size(tmp_path: Path) -> None:
    path = written(tmp_path, "10,-1,1\n9,+3,2\n010,2,3\n123456789012345678,5,4\n")
    vocabulary = load(path, valid=path).facts.vocabulary
    assert vocabulary["users"] == ["9", "010", "10", "123456789012345678"]
    assert vocabulary["items"] == ["-1", "2", "+3", "5"]


# what is refused


def test_every_malformed_row_is_counted_and_the_first_ten_are_listed(tmp_path: Path) -> None:
    bad = ["1,2", "1,2,", ",2,3", "1, ,3", "1,2,good", "1,2,nan", "1,2,inf", "1,2,1e300", ",,x", "1,2,3,4"] + [
        "1,2"
    ] * 5
    problem = refused(written(tmp_path, "\n".join(["1,1,1", "", *bad, "2,2,2"])), header=False)
    lines = problem.message.split("\n")
    assert (problem.code, problem.field) == ("E402", "path")
    assert lines[0].startswith("15 of 17 rows of ") and lines[0].endswith(" cannot be used")
    assert [line.strip() for line in lines[1:]] == [
        "line 3: no rating",
        "line 4: no rating",
        "line 5: no user",
        "line 6: no item",
        "line 7: rating `good` is not a number",
        "line 8: rating `nan` is not a finite number",
        "line 9: rating `inf` is not a finite number",
        "line 10: rating `1e300` is not a finite number",
        "line 11: no user, no item, rating `x` is not a number",
        "line 12: more than 3 fields",
        "and 5 more",
    ]


def test_line_numbers_count_the_header_and_the_lines_inside_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, 'user,item,rating\n1,"two\nlines",3\n\n2,b,x\n')
    assert "\n  line 5: rating `x` is not a number" in refused(path).message


def test_a_malformed_row_of_the_validation_file_is_its_own_fault(tmp_path: Path) -> None:
    problem = refused(written(tmp_path, TINY), valid=written(tmp_path, "1,10,3\n2,9,?\n", "valid.csv"))
    assert problem.field == "valid" and "valid.csv" in problem.message and "line 2" in problem.message


@pytest.mark.parametrize("field", ["path", "valid", "test"])
def test_missing_files(tmp_path: Path, field: str) -> None:
    given: dict[str, Any] = {"path": written(tmp_path, TINY), "valid": 1, field: tmp_path / "nowhere.csv"}
    problem = refused(**given)
    assert (problem.code, problem.field) == ("E401", field) and "nowhere.csv" in problem.message


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    problem = refused(tmp_path)
    assert (problem.code, problem.field) == ("E401", "path") and "folder" in problem.message


@pytest.mark.parametrize(
    ("text", "given", "field", "says"),
    [
        ("", {}, "path", "is empty"),
        ("\n  \n", {}, "path", "is empty"),
        ("user,item,rating\n", {}, "path", "no rows"),
        (gzip.compress(TINY.encode(), mtime=0)[:-9], {}, "path", "does not unpack"),
        ("1,2,3\n4,5,6\n", {"rating": 3}, "rating", "no column 3"),
        ("1 2 3\n4 5 6\n", {}, "item", "no column 1"),
        ("user,item,stars\n1,2,3\n", {"rating": "rating"}, "rating", "no column called `rating`"),
        ("user,item,item,rating\n1,2,3,4\n", {"item": "item", "rating": 3}, "item", "2 columns called `item`"),
        ("1,2,3\n4,5,6\n", {"user": "user", "header": False}, "user", "no header"),
        ("u,i,r\n1,2,3\n", {"user": "u", "item": 0}, None, "two of these are the same"),
        ("1,2,3\n1,2,3,4\n", {}, "path", "line 2: more than 3 fields"),
        ("1,2,3\n", {}, "valid", "0 of 1"),
        ("1::2\x1f::3\n", {"separator": "::"}, "path", "control character"),
    ],
)
def test_unusable_files(tmp_path: Path, text: str | bytes, given: dict[str, Any], field: str | None, says: str) -> None:
    problem = refused(written(tmp_path, text), **given)
    assert (problem.code, problem.field) == ("E402", field)
    assert says in problem.message


def test_a_missing_column_tells_which_there_are(tmp_path: Path) -> None:
    path = written(tmp_path, "who,what,stars\n1,2,3\n2,3,4\n")
    assert refused(path, rating="rating").help == "its columns are who, what, stars"
    assert refused(written(tmp_path, TINY), rating=7).help == "its columns are 0, 1, 2"


@pytest.mark.parametrize(("written_with", "said"), [("\t", '"\\t"'), ("::", '"::"'), (";", '";"'), ("|", '"|"')])
def test_another_separator_is_suggested(tmp_path: Path, written_with: str, said: str) -> None:
    path = written(tmp_path, TINY.replace(",", written_with))
    assert refused(path).help == f"its columns are 0; is the separator another one? separator = {said}"


@pytest.mark.parametrize(
    "given",
    [
        {"separator": ""},
        {"separator": ",,"},
        {"separator": '"'},
        {"separator": "\n"},
        {"separator": "1"},
        {"encoding": "no-such"},
        {"encoding": "base64"},
        {"user": 1},
        {"user": -1},
        {"user": ""},
        {"valid": 0},
        {"valid": 1.0},
        {"valid": 0.0},
        {"valid": None},
        {"test": -1},
        {"batch_size": 0},
    ],
)
def test_parameters_out_of_bounds(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RatingsParams(path=Path("x.csv"), **given)


# how rows are split


def numbered(folder: Path, n: int = 100) -> Path:
    """A file whose row k has the rating k."""
    return written(folder, "".join(f"{k % 7},{k % 11},{k}\n" for k in range(n)), "numbered.csv")


def ratings_of(data: RatingsData, name: str) -> list[int]:
    return [int(rating) for _, _, rating in triples(data, name, 64)]


def test_a_fraction_holds_out_that_part_of_the_rows_once_each(tmp_path: Path) -> None:
    data = load(numbered(tmp_path, 99), valid=0.2, test=0.1)
    sizes = data.facts.train, data.facts.valid, data.facts.test
    assert sizes == (71, 19, 9)  # floor(0.2 · 99) and floor(0.1 · 99); the rest trains
    assert sorted(r for name in ("train", "valid", "test") for r in ratings_of(data, name)) == list(range(99))


def test_a_count_holds_out_as_many(tmp_path: Path) -> None:
    data = load(numbered(tmp_path), valid=7, test=5)
    assert (data.facts.train, data.facts.valid, data.facts.test) == (88, 7, 5)


def test_the_split_depends_on_the_seed_and_nothing_else(tmp_path: Path) -> None:
    path = numbered(tmp_path)
    held = ratings_of(load(path, seed=1), "valid")
    assert ratings_of(load(path, seed=1, batch_size=7), "valid") == held
    assert ratings_of(load(path, seed=1, test=0.2), "valid") == held
    assert ratings_of(load(path, seed=9, split_seed=1), "valid") == held
    assert ratings_of(load(path, seed=2), "valid") != held


def test_a_test_part_is_another_draw_than_the_validation_part(tmp_path: Path) -> None:
    data = load(numbered(tmp_path), valid=0.2, test=0.2)
    assert not set(ratings_of(data, "valid")) & set(ratings_of(data, "test"))


def test_a_column_holds_out_its_marked_rows(tmp_path: Path) -> None:
    text = "u,i,r,v,t\n1,1,1,0,1\n1,2,2,TRUE,0\n2,1,3,false,0\n2,2,4,1,0\n"
    data = load(written(tmp_path, text), valid=column("v"), test=column(4))
    assert [ratings_of(data, name) for name in ("train", "valid", "test")] == [[3], [2, 4], [1]]


def test_a_random_validation_part_leaves_out_the_rows_marked_as_test(tmp_path: Path) -> None:
    text = "".join(f"1,1,{k},{int(k < 5)}\n" for k in range(20))
    data = load(written(tmp_path, text), valid=10, test=column(3))
    assert ratings_of(data, "test") == [0, 1, 2, 3, 4]
    assert len(ratings_of(data, "valid")) == 10 and min(ratings_of(data, "valid")) >= 5


@pytest.mark.parametrize(
    ("text", "given", "field", "says"),
    [
        (
            "1,1,1,0\n1,1,1,maybe\n1,1,1,\n",
            {"valid": column(3)},
            "path",
            "line 2: column 3: `maybe` is none of 0, 1, true",
        ),
        ("1,1,1,0\n1,1,1,0\n", {"valid": column(3)}, "valid", "no row"),
        ("1,1,1,1\n1,1,1,1\n", {"valid": column(3)}, "valid", "every row"),
        ("1,1,1,1\n1,1,1,0\n", {"valid": column(4)}, "valid", "no column 4"),
        ("1,1,1,1\n1,1,1,0\n", {"valid": column(3), "test": column(3)}, "test", "1 rows are in both"),
        ("1,1,1\n1,1,1\n", {"valid": 2}, "valid", "2 of 2"),
        ("1,1,1\n1,1,1\n1,1,1\n", {"valid": 1, "test": 2}, "test", "2 of 2"),
    ],
)
def test_splits_that_cannot_be(tmp_path: Path, text: str, given: dict[str, Any], field: str, says: str) -> None:
    problem = refused(written(tmp_path, text), **given)
    assert (problem.code, problem.field) == ("E402", field)
    assert says in problem.message


def test_files_for_validation_and_test(tmp_path: Path) -> None:
    valid, test = written(tmp_path, "1,9,2\n", "valid.csv"), written(tmp_path, "2,11,3\n", "test.csv")
    data = load(written(tmp_path, TINY), valid=valid, test=test)
    assert (data.facts.train, triples(data, "valid"), triples(data, "test")) == (5, [("1", "9", 2)], [("2", "11", 3)])


def test_no_test_part_unless_asked_for(tmp_path: Path) -> None:
    data = load(written(tmp_path, TINY))
    with pytest.raises(KeyError):
        data.part("test")


# the vocabulary is the training rows'


def test_ids_that_no_training_row_has_are_unknown(tmp_path: Path) -> None:
    valid = written(tmp_path, "1,77,5\n88,10,9\n88,77,-3\n2,78,4\n", "valid.csv")
    facts = (data := load(written(tmp_path, TINY), valid=valid)).facts
    assert triples(data, "valid") == [("1", "?", 5), ("?", "10", 9), ("?", "?", -3), ("2", "?", 4)]
    assert (facts.entities["users"], facts.entities["items"], facts.range) == (3, 3, (1, 5))
    assert facts.notes == (
        "1 of 3 users in the validation set is not in the training set",
        "2 of 3 items in the validation set are not in the training set",
    )


# rows that are left out


BAD = "1,10,4\n2,,3\n3,11,x\n\n4,12,5\n1,11,2,9\n2,10,1\n"


def test_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, BAD)
    assert "on_bad = skip" in refused(path).help
    data = load(path, valid=1, on_bad=OnBad.skip)
    assert (data.facts.train, data.facts.valid) == (2, 1)
    assert data.facts.summary == {"rows": 3, "duplicates": 0, "skipped": 3}
    (note,) = [note for note in data.facts.notes if "left out" in note]
    assert [line.strip() for line in note.split("\n")] == [
        f"3 of 6 rows of {path} are left out",
        "line 2: no item",
        "line 3: rating `x` is not a number",
        "line 6: more than 3 fields",
    ]
    assert load(written(tmp_path, TINY), valid=1, on_bad=OnBad.skip).facts.summary["skipped"] == 0
    assert "skipped" not in load(written(tmp_path, TINY), valid=1).facts.summary


def test_rows_are_left_out_of_every_file(tmp_path: Path) -> None:
    path, valid = written(tmp_path, BAD), written(tmp_path, "1,10,?\n2,10,3\n", "valid.csv")
    data = load(path, valid=valid, on_bad=OnBad.skip)
    assert (data.facts.train, data.facts.valid, data.facts.summary["skipped"]) == (3, 1, 4)
    assert triples(data, "valid") == [("2", "10", 3)]


def test_a_file_without_a_good_row(tmp_path: Path) -> None:
    problem = refused(written(tmp_path, "1,2,x\n"), header=False, on_bad=OnBad.skip)
    assert problem.field == "path" and "no row that can be used" in problem.message


def test_the_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    path, valid = written(tmp_path, BAD), written(tmp_path, "1,10,?\n", "valid.csv")
    items = written(tmp_path, "10,Matrix\n11,Alien\n,Nobody\n", "items.csv")
    message = refused(path, valid=valid, header=False, items=items).message
    assert [line for line in message.split("\n") if not line.startswith("  ")] == [
        f"1 of 3 rows of {items} cannot be used",
        f"3 of 6 rows of {path} cannot be used",
        f"1 of 1 rows of {valid} cannot be used",
    ]
    assert "line 3: no id" in message


def test_all_missing_files_are_told_at_once(tmp_path: Path) -> None:
    problem = refused(tmp_path / "a.csv", valid=tmp_path / "b.csv", items=tmp_path / "c.csv")
    assert [Path(line).name for line in problem.message.split("\n")] == ["a.csv", "b.csv", "c.csv"]
    assert (problem.code, problem.field) == ("E401", "path")


# titles


def test_titles_are_joined_by_id(tmp_path: Path) -> None:
    path = written(tmp_path, TINY)
    items = written(tmp_path, "11|Amélie|x\n9| Alien |y\n10||z\n9|Other|y\n77|Unseen|y\n".encode("latin-1"), "u.item")
    given = {"items": items, "items_separator": "|", "items_encoding": "latin-1"}
    vocabulary = load(path, valid=1, **given).facts.vocabulary
    assert vocabulary["titles"] == {"9": "Alien", "11": "Amélie"}
    problem = refused(path, **{**given, "items_encoding": "utf-8"})
    assert problem.field == "items" and "line 1" in problem.message and "items_encoding" in problem.help


def test_titles_by_the_names_of_columns(tmp_path: Path) -> None:
    path = written(tmp_path, TINY)
    items = written(tmp_path, 'id,name\n11,"Matrix, The"\n9,Alien\n10,Brazil\n', "movies.csv")
    facts = load(path, valid=path, items=items, item_id="id", title="name").facts
    assert facts.vocabulary["titles"] == {"9": "Alien", "10": "Brazil", "11": "Matrix, The"}
    problem = refused(path, items=items, title="title", item_id="id")
    assert problem.field == "title" and problem.help == "its columns are id, name"


def test_without_titles_there_are_none(tmp_path: Path) -> None:
    vocabulary = load(written(tmp_path, TINY), valid=1).facts.vocabulary
    assert "titles" not in vocabulary and sum(vocabulary["item_counts"]) == 4


def test_counts_are_those_of_the_training_ratings(tmp_path: Path) -> None:
    data = load(written(tmp_path, TINY), valid=1, test=1)
    trained = [item for _, item, _ in triples(data, "train")]
    vocabulary = data.facts.vocabulary
    assert vocabulary["item_counts"] == [trained.count(item) for item in vocabulary["items"]]


def test_a_very_long_catalogue_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "LARGEST_CATALOGUE", 2)
    facts = load(path := written(tmp_path, TINY), valid=path).facts
    assert set(facts.vocabulary) == {"users", "items"}
    assert any("3 items are more than 2" in note for note in facts.notes)


# Parquet


def parquet(folder: Path, **columns: Any) -> Path:
    pl.DataFrame(columns).write_parquet(folder / "ratings.parquet")
    return folder / "ratings.parquet"


def test_parquet_is_read_as_text_is(tmp_path: Path) -> None:
    path = parquet(tmp_path, user=["ann", " bob "], item=["matrix", "alien"], rating=[4, 2])
    assert triples(load(path, valid=path), "train") == SAME
    named = {"user": "user", "item": "item", "rating": "rating"}
    assert triples(load(path, valid=path, **named), "train") == SAME
    assert load(path, valid=path).facts.fingerprint == hashlib.sha256(path.read_bytes() * 2).hexdigest()


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Float32, pl.Float64, pl.String, pl.Categorical])
def test_ids_of_any_type_are_the_same_text(tmp_path: Path, dtype: Any) -> None:
    ids = pl.Series(["1", "2", "10"]) if dtype in (pl.String, pl.Categorical) else pl.Series([1, 2, 10])
    path = parquet(tmp_path, u=ids.cast(dtype), i=ids.cast(dtype), r=[1.5, 2.25, 3.0])
    text = written(tmp_path, "1,1,1.5\n2,2,2.25\n10,10,3\n", "same.csv")
    data = load(path, valid=text)
    assert data.facts.vocabulary["users"] == ["1", "2", "10"] and data.facts.notes == ()
    assert triples(data, "train") == triples(data, "valid")


def test_bad_rows_of_parquet_are_told_by_their_number(tmp_path: Path) -> None:
    path = parquet(tmp_path, u=[1, None, 3, 4], i=["a", "b", "", "d"], r=[1.0, 2.0, 3.0, float("nan")])
    assert [line.strip() for line in refused(path).message.split("\n")[1:]] == [
        "row 2: no user",
        "row 3: no item",
        "row 4: no rating",
    ]


def test_parquet_that_is_none(tmp_path: Path) -> None:
    whole = parquet(tmp_path, u=[1, 2], i=[1, 2], r=[1.0, 2.0]).read_bytes()
    for content in (b"PAR1", whole[:-5], whole[:40], whole[:20] + b"\xff" * 60 + whole[80:]):
        problem = refused(written(tmp_path, content, "torn.parquet"))
        assert problem.code == "E402" and "Parquet" in problem.message
    assert "no rows" in refused(parquet(tmp_path, u=[], i=[], r=[])).message
    assert "List" in refused(parquet(tmp_path, u=[[1]], i=[2], r=[1.0])).message
    assert refused(parquet(tmp_path, u=[1], i=[2], r=[1.0]), user="who").help == "its columns are u, i, r"


# blocks


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_file_is_read_in_blocks_without_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    rows = [f'u{k % 5},"a ""{k % 7}"",\n b",{k % 6}' if k % 3 else f"é{k % 4},plain,{k % 6}" for k in range(60)]
    text = "\n\nuser,item,rating\n" + "\n\n".join(rows) + "\n1,2\n"
    path = written(tmp_path, text, "whole.csv")
    packed = written(tmp_path, gzip.compress(text.encode(), mtime=0), "whole.csv.gz")
    whole, problem = load(path, valid=20, on_bad=OnBad.skip), refused(path)
    monkeypatch.setattr(files, "BLOCK", size)
    for file in (path, packed):
        data = load(file, valid=20, on_bad=OnBad.skip)
        assert data.facts.vocabulary == whole.facts.vocabulary
        assert all(triples(data, name) == triples(whole, name) for name in ("train", "valid"))
        assert refused(file).message.replace(".gz", "") == problem.message
    assert "line 163: no rating" in problem.message  # 3 lines, 60 rows of which 40 go over two, and 59 blank lines


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK", 1000)
    monkeypatch.setattr(files, "LONGEST", 5000)
    problem = refused(written(tmp_path, "1,2,3\n" + "x" * 20_000))
    assert "line 2: longer than 5,000 characters" in problem.message
    problem = refused(written(tmp_path, '1,2,3\n4,"5,6\n' + "7,8,9\n" * 3000))
    assert "line 2: quotes that do not enclose" in problem.message and "quotes = false" in problem.help


PIECES = st.sampled_from(
    ['"', ",", "\n", "\r\n", "1", "22", "-0.5", "nan", "é", " ", "\x00", "\ufeff", "a b", "\t", "::"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode())),
    st.sampled_from([",", "\t", "::"]),
    st.booleans(),
    st.sampled_from(["utf-8", "latin-1", "utf-16", "raw_unicode_escape", "utf-7", "shift_jis"]),
    st.sampled_from(list(OnBad)),
)
def test_whatever_is_in_a_file_it_is_read_or_refused(
    tmp_path: Path, content: bytes, separator: str, quotes: bool, encoding: str, on_bad: OnBad
) -> None:
    path = written(tmp_path, content)
    try:
        data = load(path, valid=path, separator=separator, quotes=quotes, encoding=encoding, on_bad=on_bad)
    except ComponentError as refused:
        assert refused.problem.code in ("E401", "E402") and refused.problem.message
    else:
        assert data.facts.train == data.facts.valid > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_parquet_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(parquet(tmp_path, u=[1, 2, 3] * 9, i=["a", "b", "c"] * 9, r=[1.0, 2.0, 3.5] * 9).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path, bytes(whole[: data.draw(st.integers(5, len(whole)))]), "damaged.parquet")
    try:
        assert load(path, valid=path).facts.train > 0
    except ComponentError as refused:
        assert refused.problem.code == "E402"


# ids that look alike


def test_two_ids_of_one_number_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "1,x,4\n01,x,3\n1.0,y,3\n2,Y,2\n")
    notes = load(path, valid=path).facts.notes
    assert notes == (
        "ids are text, so these are two users each: `01` and `1`, `01` and `1.0`",
        "the items `Y` and `y` differ in capitals alone: they are kept apart",
    )


def test_whole_numbers_of_any_size_and_text_are_numbered_as_one(tmp_path: Path) -> None:
    ids = ["7", "07", "4194303", "4194304", "99999999999999999999", "-1", "é", "7 8", "0"]
    text = "".join(f"{one},x,{k}\n" for k, one in enumerate(ids * 2))
    path = written(tmp_path, text)
    data = load(path, valid=path)
    assert triples(data, "train") == [(one, "x", k) for k, one in enumerate(ids * 2)]
    assert data.facts.entities["users"] == len(ids)


# counts


def test_repeated_pairs_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "1,1,4\n1,2,3\n1,1,2\n2,1,3\n1,1,4\n")
    assert load(path, valid=1).facts.summary == {"rows": 5, "duplicates": 2}
    assert load(path, valid=written(tmp_path, "2,1,5\n", "v.csv")).facts.summary == {"rows": 6, "duplicates": 3}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_repeated_pairs_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    random = np.random.default_rng(5)
    users, items = random.integers(0, 6, 200), random.integers(0, 9, 200)
    rows = Rows(users.astype(np.int32), items.astype(np.int32), np.zeros(200, np.float32))
    monkeypatch.setattr(assembling, "chunks", lambda count: chunks(count, size))
    monkeypatch.setattr(assembling, "_SORTED", 10 * size)
    assert assembling.duplicates([rows], 9) == 200 - len(set(zip(users.tolist(), items.tolist(), strict=True)))


def test_the_counts_are_in_the_plan(tmp_path: Path) -> None:
    path = written(tmp_path, TINY * 20)
    spec = f'experiment a\ndata ratings("{path}")\nmodel embedding_dot_bias\nloss mse\n'
    found = resolved(spec + "stage s { fit one_cycle(epochs = 1, lr = 1e-3) }\n")
    made, _ = make_plan(found, Probe())
    assert made.as_json()["data"]["summary"] == {"rows": 100, "duplicates": 95}


# the plugin's face


@pytest.mark.process
def test_the_face_opens_no_heavy_library() -> None:
    code = (
        "import sys; from dotexp.components.registry import load_registry; "
        "c = [c for c in load_registry().components if c.provider == 'dotexp_collab']; "
        "print(len(c) > 5, [m for m in ('torch', 'polars', 'numpy', 'sklearn') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "True []"


# real ratings


def test_movielens_has_its_published_counts(real_data: Path) -> None:
    path = real_data / "ml-100k" / "u.data"
    data = load(path, separator="\t", valid=0.1)
    assert (data.facts.train, data.facts.valid) == (90_000, 10_000)
    assert data.facts.range == (1, 5)
    whole = load(path, separator="\t", valid=path)
    assert (whole.facts.train, whole.facts.entities["users"], whole.facts.entities["items"]) == (100_000, 943, 1682)


def test_movielens_is_read_as_the_standard_library_reads_it(real_data: Path) -> None:
    folder = real_data / "ml-100k"
    data = load(folder / "lesson-train.data", separator="\t", valid=folder / "lesson-valid.data")
    assert (data.facts.train, data.facts.valid, data.facts.entities["users"]) == (90_000, 10_000, 943)
    for name in ("train", "valid"):
        with (folder / f"lesson-{name}.data").open(newline="") as file:
            wanted = [(u, i, float(r)) for u, i, r, _ in csv.reader(file, delimiter="\t")]
        known = set(data.facts.vocabulary["items"])
        assert triples(data, name, 4096) == [(u, i if i in known else "?", r) for u, i, r in wanted]
    trained = {row[1] for row in triples(data, "train", 4096)}
    assert data.facts.vocabulary["items"] == sorted(trained, key=int) and data.facts.entities["items"] == len(trained)


def test_movielens_split_is_spread_over_users(real_data: Path) -> None:
    data = load(real_data / "ml-100k" / "u.data", separator="\t")
    mean = {name: np.mean([r for _, _, r in triples(data, name, 4096)]) for name in ("train", "valid")}
    assert mean["train"] == pytest.approx(mean["valid"], abs=0.04)  # five standard errors of 20,000 ratings


def planned(spec: str, *sets: str) -> dict[str, Any]:
    found, _ = make_plan(load_spec(REPOSITORY / "specs" / spec, sets), Probe())
    data: dict[str, Any] = found.as_json()["data"]
    return data


def test_the_spec_of_a_published_split(real_data: Path) -> None:
    folder = real_data / "ml-100k"
    files = {"path": "u1.base", "valid": "u1.test", "items": "u.item"}
    data = planned("movielens-u1.exp", *(f"data.{name}={folder / file}" for name, file in files.items()))
    assert (data["train"], data["valid"], data["users"], data["range"]) == (80_000, 20_000, 943, (1, 5))
    assert data["summary"] == {"rows": 100_000, "duplicates": 0}


@pytest.mark.slow
def test_the_spec_of_jester(real_data: Path) -> None:
    data = planned("jester.exp", f"data.path={real_data / 'jester-1' / 'ratings.csv.gz'}")
    assert (data["users"], data["items"], data["summary"]["rows"]) == (24_983, 100, 1_810_455)
    assert (data["valid"], data["train"]) == (181_045, 1_629_410)
    assert data["range"] == (pytest.approx(-9.95), 10)
