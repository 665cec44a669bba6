"""Pairs of a user and an item for `predict`: typed, and read from files as ratings are."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from dotexp import UsageError
from dotexp.sdk.tables import files
from dotexp_collab.data.params import LatentRatingsParams, RatingsParams
from dotexp_collab.predict.encode import encoder

VOCABULARY: Mapping[str, Any] = {"users": ["1", "22", "ann"], "items": ["242", "Alien: Covenant"]}
NUMBERS: Mapping[str, Any] = {"users": ["1", "22", "333"], "items": ["242", "300"]}
EXPECTED = [[2, 1], [1, 2]]


def encoded(
    *inputs: str | Path, vocabulary: Mapping[str, Any] = VOCABULARY, columns: Mapping[str, str] = {}, **given: Any
) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """The rows, and the codes of users and of items, for a run whose data had these columns and parameters."""
    params = RatingsParams(path=Path("gone.csv"), **given)
    result = encoder(params, {**vocabulary, "columns": dict(columns)})([str(each) for each in inputs])
    batches = list(result.batches)
    return list(result.rows), [torch.cat(column).tolist() for column in zip(*batches, strict=True)]


def written(folder: Path, text: str | bytes, name: str = "pairs.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(*inputs: str | Path, **given: Any) -> str:
    with pytest.raises(UsageError) as caught:
        encoded(*inputs, **given)
    return str(caught.value)


# typed


def test_pairs_are_coded_and_named() -> None:
    rows, codes = encoded("22:242", "ann:Alien: Covenant", " 1 : 5 ", "196:x")
    assert codes == [[2, 3, 1, 0], [1, 2, 0, 0]]
    assert rows == [
        {"user": "22", "item": "242", "unknown": []},
        {"user": "ann", "item": "Alien: Covenant", "unknown": []},
        {"user": "1", "item": "5", "unknown": ["item"]},
        {"user": "196", "item": "x", "unknown": ["user", "item"]},
    ]


@pytest.mark.parametrize("text", ["196", "", ":", "196:", ":242", "a" * 5000])
def test_other_inputs_are_told_the_form(text: str) -> None:
    assert "USER:ITEM (196:242)" in refused(text)


def test_ids_are_compared_in_one_normal_form(tmp_path: Path) -> None:
    vocabulary = {"users": ["Am\u00e9lie"], "items": ["caf\u00e9"]}
    path = written(tmp_path, "Ame\u0301lie,caf\u00e9\n")
    rows, codes = encoded("Ame\u0301lie:cafe\u0301", path, vocabulary=vocabulary)
    assert codes == [[1, 1], [1, 1]] and rows[0]["unknown"] == []


def test_many_pairs_come_in_batches_in_their_order() -> None:
    users = [str(k) for k in range(1, 9001)]
    result = encoder(LatentRatingsParams(), {"users": users, "items": ["x"]})([f"{k}:x" for k in users])
    batches = list(result.batches)
    assert len(batches) > 1
    assert torch.cat([codes for codes, _ in batches]).tolist() == list(range(1, 9001))


def test_no_pairs_no_batches() -> None:
    assert encoded() == ([], [])


# files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.txt", "22:242\n\n1:Alien: Covenant\n"),
        ("pairs.csv", "22,242\n1,Alien: Covenant\n"),
        ("pairs.csv", "user,item\n22,242\n1,Alien: Covenant\n"),
        ("pairs.csv", "\ufeffuser_id,movieId\r\n22,242\r\n\r\n1,Alien: Covenant\r\n"),
        ("pairs.csv", 'item,user\n242,22\n"Alien: Covenant",1\n'),
        ("pairs.csv", '22,242,4\n1,"Alien: Covenant",5\n'),
        ("pairs.csv", "22;242\n1;Alien: Covenant\n"),
        ("pairs.csv", "item;stars;user\n242;3;22\nAlien: Covenant;4;1\n"),
        ("pairs.tsv", "User\tItem\n22\t242\n1\tAlien: Covenant\n"),
        ("pairs.data", "22::242\n1::Alien: Covenant\n"),
        ("pairs", "22|242\n1|Alien: Covenant\n"),
        ("pairs.csv.gz", gzip.compress(b"user,item\n22,242\n1,Alien: Covenant\n", mtime=0)),
        ("pairs.txt.gz", gzip.compress(b"22:242\n1:Alien: Covenant\n", mtime=0)),
    ],
)
def test_forms_of_the_same_pairs(tmp_path: Path, name: str, text: str | bytes) -> None:
    rows, codes = encoded(written(tmp_path, text, name))
    assert codes == EXPECTED
    assert rows[1] == {"user": "1", "item": "Alien: Covenant", "unknown": []}


def test_parquet_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pl.DataFrame({"rating": [1.0, 2.0], "item": ["242", "Alien: Covenant"], "user": [22, 1]}).write_parquet(path)
    assert encoded(path)[1] == EXPECTED


def test_inputs_come_in_the_order_given_as_often_as_they_are_asked_for(tmp_path: Path) -> None:
    one, two = written(tmp_path, "User\tItem\n1\t242\n\n333\t300\n", "a.tsv"), written(tmp_path, "22:300\n", "b.txt")
    result = encoder(RatingsParams(path=Path("x")), NUMBERS)(["9:9", str(one), str(two), "1:1"])
    expected = [("9", "9"), ("1", "242"), ("333", "300"), ("22", "300"), ("1", "1")]
    for _ in range(2):
        assert [(row["user"], row["item"]) for row in result.rows] == expected
    assert "no pair of a user and an item" in refused("1:2", "nonsense")


@pytest.mark.parametrize("size", [1, 9, 1 << 19])
def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(files, "BLOCK", size)
    path = written(tmp_path, 'user,item\n22,"242"\n\n1,"Alien: Covenant"\n')
    assert encoded(path)[1] == EXPECTED


# headers


@pytest.mark.parametrize("header", ["who,what", "what,stars,who", "WHO,x,What"])
def test_the_runs_own_column_names_are_known(tmp_path: Path, header: str) -> None:
    fields = {"who": ("22", "1"), "what": ("242", "Alien: Covenant")}
    columns = [fields.get(name.lower(), ("4", "5")) for name in header.split(",")]
    path = written(tmp_path, "\n".join([header, *(",".join(row) for row in zip(*columns, strict=True))]))
    assert encoded(path, user="who", item="what", rating="stars")[1] == EXPECTED
    assert encoded(path, columns={"user": "who", "item": "what"})[1] == EXPECTED


def test_the_runs_own_names_come_before_the_usual_ones(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item,reviewer\nx,242,22\ny,Alien: Covenant,1\n")
    assert encoded(path, user="reviewer", item="item", rating="stars")[1] == EXPECTED


def test_a_header_of_other_names_is_no_pair(tmp_path: Path) -> None:
    path = written(tmp_path, "who,what\n22,242\n1,300\n")
    assert encoded(path, vocabulary=NUMBERS)[1] == [[2, 1], [1, 2]]
    assert "does not say which" in refused(written(tmp_path, "user,a,b\n22,242,9\n"), vocabulary=NUMBERS)
    assert encoded(written(tmp_path, "movie,customer\n242,22\n300,1\n"), vocabulary=NUMBERS)[1] == EXPECTED
    assert encoded(written(tmp_path, "film,userId\n242,22\n300,1\n"), vocabulary=NUMBERS)[1] == EXPECTED


def test_a_file_of_ratings_without_a_header_is_read_as_the_runs_own(tmp_path: Path) -> None:
    path = written(tmp_path, "4,242,22\n5,Alien: Covenant,1\n")
    assert encoded(path, user=2, item=1, rating=0)[1] == EXPECTED
    pairs = written(tmp_path, "22,242\n1,Alien: Covenant\n")
    assert encoded(pairs, user=2, item=1, rating=0)[1] == EXPECTED


# what is wrong with a file


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "1,242\n22\n,300\n1,300\n", ["2 of 4 rows of", "line 2: no item", "line 3: no user"]),
        ("p.csv", "user,item\n1,242,9\n22,300\n", ["line 2: more than 2 fields"]),
        ("p.txt", "1:242\n\n22\n:300\n", ["2 of 3 rows of", "line 3: `22` is no USER:ITEM", "line 4: `:300`"]),
        ("p.csv", 'user,item\n1,"242\n22,300\n', ["line 2: quotes that do not enclose a whole field"]),
        ("p.csv", "1\n22\n", ["one column, where pairs have a user and an item"]),
        ("p.csv", "", ["is empty"]),
        ("p.csv", "user,item\n", ["a header and no rows"]),
        ("p.csv", b"\x89PNG\r\n\x1a\n" + b"\0" * 30, ["is a PNG image, not a table of text"]),
        ("p.csv", "user,item\n1,é\n".encode("cp1252"), ["not utf-8 text", "save it as utf-8"]),
    ],
)
def test_faults_of_files_are_told_with_their_lines(
    tmp_path: Path, name: str, text: str | bytes, said: list[str]
) -> None:
    message = refused(written(tmp_path, text, name), vocabulary=NUMBERS)
    assert [part for part in said if part not in message] == []


def test_quotes_and_encoding_are_the_runs(tmp_path: Path) -> None:
    path = written(tmp_path, '22,"242\n1,"300\n'.encode("utf-16"))
    vocabulary = {"users": ["1", "22"], "items": ['"242', '"300']}
    assert encoded(path, quotes=False, encoding="utf-16", vocabulary=vocabulary)[1] == EXPECTED


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("242,22\n300,1\n", "users are in the first column, items in the second"),
        ("0022,0242\n0001,0300\n", "ids are written otherwise: `0022` for `22`, `0001` for `1`, `0242` for `242`"),
        ("22.0,242.0\n", "`22.0` for `22`"),
        ("ann,alien\n", 'a user of the training set is "1", one of the file "ann"'),
    ],
)
def test_a_file_of_strangers_is_an_error(tmp_path: Path, text: str, cure: str) -> None:
    vocabulary = {**NUMBERS, "users": ["1", "22", "333", "x"]}
    message = refused(written(tmp_path, text), vocabulary=vocabulary)
    assert "the run knows no user and no item of" in message and cure in message
    rows, _ = encoded(written(tmp_path, text + "22,9\n"), vocabulary=vocabulary)
    assert rows[-1] == {"user": "22", "item": "9", "unknown": ["item"]}


# what is no pair


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nope.csv", "there is no file nope.csv"),
        ("no/where.parquet", "there is no file no/where.parquet"),
        ("pairs.tsv", "there is no file pairs.tsv: did you mean pairs.csv?"),
        ("sub/pair.csv.gz", "there is no file sub/pair.csv.gz"),
        ("sub", "sub is a folder: name its files of pairs"),
        ("196", "`196` is no pair of a user and an item"),
    ],
)
def test_a_file_that_is_missing_is_told_as_such(
    tmp_path: Path, given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "1,242\n")
    (tmp_path / "sub").mkdir()
    assert refused("22:242", given).startswith(said)
    assert encoded("a:b.csv", "c:/no/such.tsv")[0][1]["item"] == "/no/such.tsv"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("é,242\n".encode("latin-1"), "not utf-8 text\nsave it as utf-8"),
        ("1,242\n".encode("utf-16"), "UTF-16 text, not utf-8\nsave it as utf-8"),
        (b'user,item\n"1 x,242\n', "quotes that do not enclose a whole field"),
        (b"sep=;\n1,242\n", "`sep=;` says that the separator is another one"),
    ],
)
@pytest.mark.parametrize("name", ["pairs.csv", "pairs.data"])
def test_advice_names_no_parameters_that_predict_lacks(tmp_path: Path, content: bytes, said: str, name: str) -> None:
    message = refused(written(tmp_path, content, name))
    assert said in message
    assert not any(f"{parameter} = " in message for parameter in ("encoding", "quotes", "separator", "header"))
