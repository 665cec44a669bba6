"""Splits of ratings by time, by user, into folds and by given files: which rows are in which part."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from dotexp import ComponentError, DataContext, Params, Problem, Use
from dotexp.sdk.splits import random_split_rows
from dotexp_collab.data import splits as splitting
from dotexp_collab.data.columns import Rows
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.params import ColumnSplitParams, FoldParams, LeaveLastParams, NewestParams, RatingsParams
from dotexp_collab.data.ratings import build
from dotexp_collab.data.splits import TEST, TRAIN, VALID, split_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from offered import offered
from pydantic import ValidationError

from specs import checked

PARTS = ("train", "valid", "test")
NAMES = {ColumnSplitParams: "column", NewestParams: "newest", LeaveLastParams: "leave_last", FoldParams: "fold"}


def use(params: Params) -> Use:
    component = next(c for c in offered("collab") if (c.kind, c.name) == ("rating_split", NAMES[type(params)]))
    return Use(component=component, params=params)


def newest(part: float | int) -> Use:
    return use(NewestParams(part=part))


def leave_last(ratings: int = 1) -> Use:
    return use(LeaveLastParams(ratings=ratings))


def fold(k: int, n: int) -> Use:
    return use(FoldParams(k=k, n=n))


def column(name: int | str) -> Use:
    return use(ColumnSplitParams(column=name))


def load(folder: Path, rows: list[tuple[Any, ...]], seed: int = 42, **chosen: Any) -> RatingsData:
    """Ratings of (user, item, rating, time, …) rows."""
    path = folder / "ratings.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return build(RatingsParams(path=path, **{"time": 3, **chosen}), DataContext(seed))


def ratings(data: RatingsData, name: str) -> list[float]:
    """A part's ratings in its order: in these tests a row's rating is its number."""
    part = data.part(name)
    (batch,) = part.batches(torch.arange(len(part)), max(1, len(part)), None, torch.device("cpu"))
    found: list[float] = batch.targets.tolist()
    return found


def parts(data: RatingsData) -> list[list[float]]:
    names = [name for name in PARTS if name == "train" or getattr(data.facts, name)]
    return [ratings(data, name) for name in names]


def refused(folder: Path, rows: list[tuple[Any, ...]], **chosen: Any) -> Problem:
    with pytest.raises(ComponentError) as caught:
        load(folder, rows, **chosen)
    return caught.value.problem


# by a column


MARKED = [("a", 1, 0, "train"), ("b", 1, 1, "val"), ("a", 2, 2, "test"), ("b", 2, 3, "Train"), ("a", 3, 4, "TEST")]


def left_out(data: RatingsData) -> list[str]:
    return [note for note in data.facts.notes if "left out" in note]


def test_a_column_names_the_sets(tmp_path: Path) -> None:
    data = load(tmp_path, MARKED, valid=column(3), test=column(3))
    assert parts(data) == [[0, 3], [1], [2, 4]] and left_out(data) == []


def test_rows_of_a_set_that_nobody_asks_for_are_left_out(tmp_path: Path) -> None:
    data = load(tmp_path, MARKED, valid=column(3))
    assert parts(data) == [[0, 3], [1]]
    assert left_out(data) == [
        "2 rows are marked for the test set in column 3, which no `test` asks for: they are left out"
    ]
    assert data.facts.entities["items"] == 2, "an item of test rows alone is unknown"
    data = load(tmp_path, [*MARKED, *(("c", k, 9 + k, "train") for k in range(5))], test=column(3), valid=2)
    train, valid, test = parts(data)
    assert test == [2, 4] and len(valid) == 2 and sorted(train + valid) == [0, 3, 9, 10, 11, 12, 13]
    assert left_out(data) == [
        "1 row is marked for the validation set in column 3, which no `valid` asks for: they are left out"
    ]


@pytest.mark.parametrize("marks", [("dev", "testing"), ("validation", "Test"), ("valid", "TEST"), ("VAL", "test")])
def test_other_words_for_the_sets(tmp_path: Path, marks: tuple[str, str]) -> None:
    rows = [("a", 1, 0, "training"), ("b", 1, 1, marks[0]), ("a", 2, 2, marks[1])]
    assert parts(load(tmp_path, rows, valid=column(3))) == [[0], [1]]
    assert parts(load(tmp_path, rows, valid=column(3), test=column(3))) == [[0], [1], [2]]


def test_rows_of_no_set_take_no_part_in_other_splits(tmp_path: Path) -> None:
    rows = [("ab"[k % 2], k, k, ("train", "test", "val")[k % 3], k) for k in range(30)]
    unused = [k for k in range(30) if k % 3 == 2]
    for valid in (newest(0.2), leave_last(2), 0.2):
        data = load(tmp_path, rows, test=column(3), valid=valid, time=4)
        held = parts(data)
        assert held[2] == [k for k in range(30) if k % 3 == 1]
        assert sorted(held[0] + held[1]) == [k for k in range(30) if k % 3 == 0], valid
        assert not set(held[0] + held[1]) & set(unused)
    assert len(parts(load(tmp_path, rows, test=column(3), valid=0.2))[1]) == 4  # floor(0.2 · 20)


def test_two_columns_may_mark_a_set_each(tmp_path: Path) -> None:
    rows = [("a", 1, 0, "no", 0), ("b", 1, 1, "yes", 0), ("a", 2, 2, "no", 1), ("b", 2, 3, "test", 0)]
    data = load(tmp_path, rows, valid=column(3), test=column(4))
    assert parts(data) == [[0], [1], [2]] and len(left_out(data)) == 1


def test_a_mark_that_says_nothing_is_a_bad_row(tmp_path: Path) -> None:
    rows = [("a", 1, 0, "train"), ("b", 1, 1, "unknown"), ("a", 2, 2, ""), ("b", 2, 3, "valid")]
    assert [line.strip() for line in refused(tmp_path, rows, valid=column(3)).message.split("\n")[1:]] == [
        "line 2: column 3: `unknown` is none of 0, 1, true, false, train, valid, test",
        "line 3: column 3: nothing, where 0 or 1, or train, valid or test is needed",
    ]
    assert "no row" in refused(tmp_path, [row for row in MARKED if row[3] != "val"], valid=column(3)).message
    assert "no row to train" in refused(tmp_path, MARKED[1:3], valid=column(3)).message


# by time


TIMED = [("a", 1, 0, 50), ("b", 1, 1, 10), ("a", 2, 2, 30), ("b", 2, 3, 40), ("a", 3, 4, 20), ("b", 3, 5, 60)]


def test_the_newest_rows_are_held_out_and_keep_the_files_order(tmp_path: Path) -> None:
    assert parts(load(tmp_path, TIMED, valid=newest(2))) == [[1, 2, 3, 4], [0, 5]]
    assert parts(load(tmp_path, TIMED, valid=newest(0.34))) == [[1, 2, 3, 4], [0, 5]]  # floor(0.34 · 6)


def test_a_test_part_is_newer_than_the_validation_part(tmp_path: Path) -> None:
    assert parts(load(tmp_path, TIMED, valid=newest(2), test=newest(1))) == [[1, 2, 4], [0, 3], [5]]


def test_of_equal_times_the_last_rows_are_the_newest(tmp_path: Path) -> None:
    rows = [("a", k, k, 7 if k in (1, 3, 5) else 3) for k in range(6)]
    assert parts(load(tmp_path, rows, valid=newest(2))) == [[0, 1, 2, 4], [3, 5]]
    assert parts(load(tmp_path, rows, valid=newest(4))) == [[0, 2], [1, 3, 4, 5]]


@pytest.mark.parametrize(
    "times",
    [
        (1e9, 2e9, 1.5e9),
        ("1998-04-20", "1998-04-22", "1998-04-21"),
        ("1998-04-20 15:30", "1998-04-20 15:32:01.5", "1998-04-20 15:31"),
        ("1998-04-20T15:30:00Z", "1998-04-20T15:30:02Z", "1998-04-20T15:30:01.25Z"),
        ("1998-04-20T15:30:00+02:00", "1998-04-20T15:30:00-02:00", "1998-04-20T15:30:00Z"),
        ("1998-04-20 15:30 UTC", "1998-04-20 15:32 utc", "1998-04-20 15:31 GMT"),
        ("1998-04-20 15:30:00.5+0530", "1998-04-20 10:30:01+00", "1998-04-20 15:30 +05:30"),
        ("1998/04/20 15:30", "1998/04/20 15:32:01.5", "1998.4.20 15:31"),
        ("1998-04-20 23:30 -01:00", "1998-04-21 00:31", "1998-04-21 02:30:59.5 +0200"),
    ],
)
def test_times_are_numbers_or_dates(tmp_path: Path, times: tuple[Any, ...]) -> None:
    rows = [("a", k, k, time) for k, time in enumerate(times)]
    assert parts(load(tmp_path, rows, valid=newest(1))) == [[0, 2], [1]]


def test_a_time_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    rows = [("a", 1, 0, "1998-04-20"), ("a", 2, 1, ""), ("a", 3, 2, 17), ("a", 4, 3, "then")]
    message = refused(tmp_path, rows, valid=newest(1)).message
    assert [line.strip() for line in message.split("\n")[1:]] == [
        "line 2: no time",
        "line 3: time `17` is no date such as 1998-04-20 15:30",
        "line 4: time `then` is no date such as 1998-04-20 15:30",
    ]
    assert (
        "line 2: time `x` is not a number"
        in refused(tmp_path, [("a", 1, 0, 1), ("a", 2, 1, "x")], valid=newest(1)).message
    )


@pytest.mark.parametrize("time", ["04/05/1998", "20.04.1998 15:30", "Apr 20 1998"])
def test_dates_that_may_be_read_two_ways_are_refused(tmp_path: Path, time: str) -> None:
    message = refused(tmp_path, [("a", 1, 0, time), ("a", 2, 1, time)], valid=newest(1)).message
    assert f"line 1: time `{time}` is no date such as 1998-04-20 15:30" in message


def test_a_column_of_times_that_no_split_looks_at_is_not_read(tmp_path: Path) -> None:
    assert load(tmp_path, [("a", 1, 0, "x"), ("a", 2, 1, "")], valid=1).facts.train == 1


@pytest.mark.parametrize("way", [newest(1), leave_last()])
def test_a_split_by_time_asks_for_the_column(tmp_path: Path, way: Use) -> None:
    problem = refused(tmp_path, TIMED, valid=way, time=None)
    assert (problem.code, problem.field) == ("E402", "valid") and "time = 3" in problem.help


# by user


def test_every_users_last_ratings_are_held_out(tmp_path: Path) -> None:
    assert parts(load(tmp_path, TIMED, valid=leave_last())) == [[1, 2, 3, 4], [0, 5]]
    assert parts(load(tmp_path, TIMED, valid=leave_last(2))) == [[1, 4], [0, 2, 3, 5]]


def test_the_test_part_has_the_last_and_validation_the_one_before(tmp_path: Path) -> None:
    assert parts(load(tmp_path, TIMED, valid=leave_last(), test=leave_last())) == [[1, 4], [2, 3], [0, 5]]


def test_who_has_no_more_ratings_than_are_left_out_keeps_them(tmp_path: Path) -> None:
    rows = [("a", 1, 0, 5), ("b", 1, 1, 5), ("b", 2, 2, 4), ("c", 1, 3, 1), ("c", 2, 4, 2), ("c", 3, 5, 3)]
    assert parts(load(tmp_path, rows, valid=leave_last(2))) == [[0, 1, 2, 3], [4, 5]]
    data = load(tmp_path, rows, valid=leave_last(1))
    assert parts(data) == [[0, 2, 3, 4], [1, 5]] and data.facts.entities["users"] == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=60), st.integers(1, 4))
def test_leave_last_is_what_sorting_each_user_by_hand_gives(drawn: list[tuple[int, int]], count: int) -> None:
    users, times = (np.array(column) for column in zip(*drawn, strict=True))
    rows = Rows(users.astype(np.int32), users.astype(np.int32), users.astype(np.float32), times.astype(float))
    expected = np.zeros(len(rows), np.bool_)
    for user in set(users.tolist()):
        own = sorted((k for k in range(len(rows)) if users[k] == user), key=lambda k: (times[k], k))
        expected[own[-count:] if len(own) > count else []] = True
    look = splitting.Splittable(rows, np.ones(len(rows), np.bool_), 1, "valid")
    assert np.array_equal(splitting.leave_last(LeaveLastParams(ratings=count), look), expected)
    if 0 < count < len(rows):
        order = sorted(range(len(rows)), key=lambda k: (times[k], k))
        assert set(np.flatnonzero(splitting.newest(NewestParams(part=count), look))) == set(order[-count:])


def test_users_are_sorted_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    users = random.integers(0, 40, 1000).astype(np.int32)
    rows = Rows(users, users, np.zeros(1000, np.float32), random.permutation(1000).astype(float))
    look = splitting.Splittable(rows, random.random(1000) < 0.9, 1, "valid")
    whole = splitting.leave_last(LeaveLastParams(ratings=3), look)
    monkeypatch.setattr(splitting, "_BLOCK", 10)
    assert whole.sum() == 3 * 40
    assert np.array_equal(splitting.leave_last(LeaveLastParams(ratings=3), look), whole)


# folds


@pytest.mark.parametrize("k", [2, 5, 7])
def test_every_row_is_in_exactly_one_fold(tmp_path: Path, k: int) -> None:
    rows = [(f"u{i % 3}", i % 5, i, 0) for i in range(23)]
    held = [ratings(load(tmp_path, rows, valid=fold(k, n)), "valid") for n in range(1, k + 1)]
    assert sorted(rating for one in held for rating in one) == list(range(23))
    assert {len(one) for one in held} <= {23 // k, 23 // k + 1}
    trained = ratings(load(tmp_path, rows, valid=fold(k, 1)), "train")
    assert sorted(trained + held[0]) == list(range(23)) and trained == sorted(trained)


def test_folds_depend_on_the_split_seed_alone(tmp_path: Path) -> None:
    rows = [("a", i, i, 0) for i in range(50)]
    first = ratings(load(tmp_path, rows, valid=fold(5, 2)), "valid")
    assert ratings(load(tmp_path, rows, valid=fold(5, 2), batch_size=7), "valid") == first
    assert ratings(load(tmp_path, rows, seed=1, split_seed=42, valid=fold(5, 2), test=0.1), "valid") == first
    assert ratings(load(tmp_path, rows, seed=1, valid=fold(5, 2)), "valid") != first


def test_one_fold_validates_and_another_tests(tmp_path: Path) -> None:
    rows = [("a", i, i, 0) for i in range(20)]
    data = load(tmp_path, rows, valid=fold(4, 1), test=fold(4, 2))
    assert (data.facts.train, data.facts.valid, data.facts.test) == (10, 5, 5)
    assert sorted(chain.from_iterable(parts(data))) == list(range(20))
    assert "5 rows are in both" in refused(tmp_path, rows, valid=fold(4, 1), test=fold(4, 1)).message


def test_more_folds_than_rows(tmp_path: Path) -> None:
    assert "3 rows are fewer than 5 parts" in refused(tmp_path, TIMED[:3], valid=fold(5, 1)).message


@pytest.mark.parametrize("wrong", [{"k": 5, "n": 6}, {"k": 1}, {"n": 0}, {"k": 1001}])
def test_folds_out_of_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        FoldParams(**wrong)


# several at once


def test_a_named_split_comes_before_one_by_time_and_that_before_a_random_one(tmp_path: Path) -> None:
    rows = [("a", i, i, i, int(i >= 18)) for i in range(20)]
    data = load(tmp_path, rows, valid=column(4), test=newest(5))
    assert parts(data) == [list(range(13)), [18, 19], list(range(13, 18))]
    data = load(tmp_path, rows, valid=0.25, test=newest(4))
    assert ratings(data, "test") == [16, 17, 18, 19] and len(ratings(data, "valid")) == 5
    assert sorted(chain.from_iterable(parts(data))) == list(range(20))


def test_splits_that_leave_nothing_to_train_with(tmp_path: Path) -> None:
    rows = [("a", i, i, i, int(i < 10)) for i in range(20)]
    problem = refused(tmp_path, rows, valid=column(4), test=newest(10))
    assert (problem.code, problem.field) == ("E402", "test") and "leaves 0" in problem.message
    rows = [("a", i, i, i, int(i < 10), int(i >= 10)) for i in range(20)]
    assert "leave no row to train with" in refused(tmp_path, rows, valid=column(4), test=column(5)).message


@pytest.mark.parametrize("held", [0.2, 0.29, 3, 77])
def test_a_random_split_is_that_of_every_other_kind_of_data(held: float | int) -> None:
    none = np.zeros(100, np.int32)
    labels = split_rows(Rows(none, none, np.zeros(100, np.float32)), held, None, 7)
    kept, out = random_split_rows(100, held, 7)
    assert np.array_equal(np.flatnonzero(labels == TRAIN), kept) and np.array_equal(
        np.flatnonzero(labels == VALID), out
    )
    both = split_rows(Rows(none, none, np.zeros(100, np.float32)), held, 10, 7)
    assert np.array_equal(both == VALID, labels == VALID)
    assert np.array_equal(np.flatnonzero(both == TEST), kept[random_split_rows(len(kept), 10, 7, "test")[1]])


def test_very_many_rows_are_drawn_block_by_block_exactly_and_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_WHOLE", 1000)
    monkeypatch.setattr(splitting, "_BLOCK", 128)
    none = np.zeros(5000, np.int32)
    rows = Rows(none, none, np.zeros(5000, np.float32))
    counts = np.zeros(5000)
    for seed in range(200):
        labels = split_rows(rows, 0.2, 500, seed)
        assert ((labels == VALID).sum(), (labels == TEST).sum()) == (1000, 500)
        counts += labels == VALID
    blocks = counts.reshape(20, 250).sum(1)  # each 10,000 on average, with a standard deviation of about 87
    assert np.abs(blocks - 10_000).max() < 350
    assert counts.std() == pytest.approx((200 * 0.2 * 0.8) ** 0.5, rel=0.1)


# in a spec, and with real data


def test_splits_are_written_in_a_spec() -> None:
    def spec(way: str) -> str:
        data = f'data ratings("x.csv", time = 3, valid = {way})\nmodel embedding_dot_bias\n'
        return f"experiment a\n{data}loss mse\nstage s {{ fit one_cycle(epochs = 1, lr = 1e-3) }}\n"

    for way in (
        "newest(10%)",
        "newest(1000)",
        "newest",
        "leave_last",
        "leave_last(2)",
        "fold(5, 1)",
        "fold(k = 5, n = 2)",
    ):
        assert checked(spec(way))[1] == (), way
    for way, code in {
        "newest(110%)": "E207",
        "leave_last(0)": "E207",
        "fold(5, 6)": "E207",
        "newst(10%)": "E203",
    }.items():
        assert [d.code for d in checked(spec(way))[1]] == [code], way


def test_the_published_splits_of_movielens(real_data: Path) -> None:
    folder = real_data / "ml-100k"
    tested: list[tuple[int, int]] = []
    for n in range(1, 6):
        base, test = folder / f"u{n}.base", folder / f"u{n}.test"
        params = RatingsParams(path=base, valid=test, separator="\t")
        data = build(params, DataContext(1))
        assert (data.facts.train, data.facts.valid) == (80_000, 20_000)
        assert data.facts.summary == {"rows": 100_000, "duplicates": 0}
        frame = pl.read_csv(test, separator="\t", has_header=False, new_columns=["user", "item", "rating", "time"])
        tested += zip(frame["user"].to_list(), frame["item"].to_list(), strict=True)
        (batch,) = data.part("valid").batches(torch.arange(20_000), 20_000, None, torch.device("cpu"))
        assert batch.targets.tolist() == frame["rating"].to_list()
    assert len(set(tested)) == len(tested) == 100_000


def test_leave_last_on_movielens_is_polars_answer(real_data: Path) -> None:
    path = real_data / "ml-100k" / "u.data"
    data = build(RatingsParams(path=path, separator="\t", time=3, valid=leave_last(2)), DataContext(1))
    frame = pl.read_csv(path, separator="\t", has_header=False, new_columns=["user", "item", "rating", "time"])
    frame = frame.with_row_index().sort("time", maintain_order=True)
    expected = frame.group_by("user", maintain_order=True).tail(2).sort("index")
    assert data.facts.valid == 2 * 943 and ratings(data, "valid") == expected["rating"].to_list()
