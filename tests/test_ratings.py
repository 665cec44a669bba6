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
import pytest
import torch
from dotexp import ComponentError, DataContext, Problem, Task, UsageError, Use
from dotexp_collab import dotexp_components
from dotexp_collab.encode import encode
from dotexp_collab.params import ColumnSplitParams, RatingsParams
from dotexp_collab.ratings import RatingsData, build
from pydantic import ValidationError

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
    component = next(c for c in dotexp_components() if (c.kind, c.name) == ("split", "column"))
    return Use(component=component, params=ColumnSplitParams(column=name))


# what is read


def test_rows_become_codes_in_the_order_of_the_ids_numbers(tmp_path: Path) -> None:
    data = load(written(tmp_path, TINY), valid=written(tmp_path, "2,11,3\n", "valid.csv"))
    assert data.facts.vocabulary == {"users": ["1", "2", "10"], "items": ["9", "10", "11"]}
    batch = next(iter(data.part("train").batches(torch.arange(5), 5, None, CPU)))
    assert [t.tolist() for t in batch.inputs] == [[1, 2, 3, 2, 1], [2, 2, 1, 1, 3]]
    assert batch.targets.tolist() == [4, 3.5, 5, 1, 2]
    assert [t.dtype for t in (*batch.inputs, batch.targets)] == [torch.int64, torch.int64, torch.float32]


def test_the_facts(tmp_path: Path) -> None:
    path, valid = written(tmp_path, TINY), written(tmp_path, "2,11,3\n", "valid.csv")
    facts = load(path, valid=valid).facts
    assert (facts.task, facts.train, facts.valid, facts.test, facts.outputs) == (Task.ratings, 5, 1, 0, 1)
    assert (facts.users, facts.items, facts.range, facts.notes) == (3, 3, (1, 5), ())
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
        ("1,1,1,0\n1,1,1,yes\n1,1,1,\n", {"valid": column(3)}, "path", "line 2: column 3: `yes` is none of 0, 1, true"),
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
    assert (facts.users, facts.items, facts.range) == (3, 3, (1, 5))
    assert facts.notes == (
        "1 user of the validation part is unknown: no training row has them",
        "2 items of the validation part are unknown: no training row has them",
    )


# predicting


VOCABULARY = {"users": ["1", "22", "ann"], "items": ["242", "Alien: Covenant"]}
PARAMS = RatingsParams(path=Path("gone.csv"))


def encoded(*inputs: str) -> tuple[list[dict[str, Any]], list[list[int]]]:
    result = encode(PARAMS, VOCABULARY, inputs)
    batches = list(result.batches)
    return list(result.rows), [torch.cat(column).tolist() for column in zip(*batches, strict=True)]


def test_pairs_are_coded_and_named() -> None:
    rows, codes = encoded("22:242", "ann:Alien: Covenant", " 1 : 5 ", "196:x")
    assert codes == [[2, 3, 1, 0], [1, 2, 0, 0]]
    assert rows == [
        {"user": "22", "item": "242", "unknown": []},
        {"user": "ann", "item": "Alien: Covenant", "unknown": []},
        {"user": "1", "item": "5", "unknown": ["item"]},
        {"user": "196", "item": "x", "unknown": ["user", "item"]},
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.txt", "22:242\n\n1:Alien: Covenant\n"),
        ("pairs.csv", "user,item\n22,242\n1,Alien: Covenant\n"),
        ("pairs.csv", '22,242,4\n1,"Alien: Covenant",5\n'),
        ("pairs.tsv", "User\tItem\n22\t242\n1\tAlien: Covenant\n"),
    ],
)
def test_files_of_pairs(tmp_path: Path, name: str, text: str) -> None:
    assert encoded(str(written(tmp_path, text, name)), "ann:242")[1] == [[2, 1, 3], [1, 2, 1]]


@pytest.mark.parametrize("text", ["196", "", ":", "196:", ":242", "nowhere.csv"])
def test_other_inputs_are_told_the_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"USER:ITEM \(196:242\)"):
        encoded(text)


def test_a_broken_line_of_a_file_of_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pairs\.csv:2: "):
        encoded(str(written(tmp_path, "1,242\n22\n", "pairs.csv")))
    with pytest.raises(UsageError, match=r"pairs\.txt:3: "):
        encoded(str(written(tmp_path, "1:242\n\n22\n", "pairs.txt")))


def test_many_pairs_come_in_batches_in_their_order() -> None:
    result = encode(
        PARAMS, {"users": [str(k) for k in range(1, 9001)], "items": ["x"]}, [f"{k}:x" for k in range(1, 9001)]
    )
    batches = list(result.batches)
    assert len(batches) > 1
    assert torch.cat([codes for codes, _ in batches]).tolist() == list(range(1, 9001))


def test_no_pairs_no_batches() -> None:
    result = encode(PARAMS, VOCABULARY, [])
    assert (list(result.rows), list(result.batches)) == ([], [])


# the plugin's face


def test_the_face_opens_no_heavy_library() -> None:
    code = (
        "import sys, dotexp_collab; c = dotexp_collab.dotexp_components(); "
        "print([x.name for x in c], [m for m in ('torch', 'polars', 'numpy', 'sklearn') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['ratings', 'latent_ratings', 'column', 'embedding_dot_bias'] []"


# real ratings


def test_movielens_has_its_published_counts(real_data: Path) -> None:
    path = real_data / "ml-100k" / "u.data"
    data = load(path, separator="\t", valid=0.1)
    assert (data.facts.train, data.facts.valid) == (90_000, 10_000)
    assert data.facts.range == (1, 5)
    whole = load(path, separator="\t", valid=path)
    assert (whole.facts.train, whole.facts.users, whole.facts.items) == (100_000, 943, 1682)


def test_movielens_is_read_as_the_standard_library_reads_it(real_data: Path) -> None:
    folder = real_data / "ml-100k"
    data = load(folder / "lesson-train.data", separator="\t", valid=folder / "lesson-valid.data")
    assert (data.facts.train, data.facts.valid, data.facts.users) == (90_000, 10_000, 943)
    for name in ("train", "valid"):
        with (folder / f"lesson-{name}.data").open(newline="") as file:
            wanted = [(u, i, float(r)) for u, i, r, _ in csv.reader(file, delimiter="\t")]
        known = set(data.facts.vocabulary["items"])
        assert triples(data, name, 4096) == [(u, i if i in known else "?", r) for u, i, r in wanted]
    trained = {row[1] for row in triples(data, "train", 4096)}
    assert data.facts.vocabulary["items"] == sorted(trained, key=int) and data.facts.items == len(trained)


def test_movielens_split_is_spread_over_users(real_data: Path) -> None:
    data = load(real_data / "ml-100k" / "u.data", separator="\t")
    mean = {name: np.mean([r for _, _, r in triples(data, name, 4096)]) for name in ("train", "valid")}
    assert mean["train"] == pytest.approx(mean["valid"], abs=0.04)  # five standard errors of 20,000 ratings
