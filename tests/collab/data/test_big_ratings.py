"""Many ratings: columns in files, a shuffle by blocks and its statistics, and the memory that reading takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from dotexp import DataContext
from dotexp.engine.build.probe import Probe
from dotexp.engine.executor import execute
from dotexp.engine.training.ordering import batches_of_pieces
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.checkpoints import positions
from dotexp.runs.folder import create_run
from dotexp.sdk.data import Batch, Shuffling, TensorPart
from dotexp_collab.data import columns, ratings
from dotexp_collab.data import dataset as assembling
from dotexp_collab.data import subsets as rating_parts
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.params import LatentRatingsParams, Memory, RatingsParams
from dotexp_collab.data.ratings import build, is_mapped
from dotexp_collab.data.subsets import MappedPart, block_order
from dotexp_collab.data.synthetic import build as make
from hypothesis import given, settings
from hypothesis import strategies as st
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from numpy.typing import NDArray
from pydantic import ValidationError

from specs import resolved

CPU = torch.device("cpu")
ROWS, BLOCK, BUFFER = 1 << 14, 64, 1 << 12


def order(count: int, seed: int, block: int = BLOCK, buffer: int = BUFFER) -> NDArray[np.int64]:
    """An epoch's order, whole."""
    return np.concatenate([piece.numpy() for piece in block_order(count, seed, block, buffer)])


def places(count: int, seed: int, **sizes: int) -> NDArray[np.int64]:
    """Where each row comes."""
    return np.argsort(order(count, seed, **sizes))


# the shuffle


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**62), st.integers(1, 50), st.integers(1, 120))
def test_every_row_comes_exactly_once(count: int, seed: int, block: int, buffer: int) -> None:
    pieces = list(block_order(count, seed, block, buffer))
    assert all(piece.dtype == torch.int64 for piece in pieces)
    assert max(len(piece) for piece in pieces) <= max(buffer, block)
    assert sorted(torch.cat(pieces).tolist()) == list(range(count))


def test_the_order_is_a_function_of_the_seed() -> None:
    assert np.array_equal(order(ROWS, 1), order(ROWS, 1))
    assert not np.array_equal(order(ROWS, 1), order(ROWS, 2))


def test_rows_move_as_far_as_in_a_full_permutation() -> None:
    """In a full permutation of N the distance between a row's place before and after has the mean (N² - 1) / 3N."""
    moved = [np.abs(places(ROWS, seed) - np.arange(ROWS)).mean() for seed in range(200)]
    full = [np.abs(np.random.default_rng(seed).permutation(ROWS) - np.arange(ROWS)).mean() for seed in range(200)]
    expected = (ROWS**2 - 1) / (3 * ROWS)
    for distances in (moved, full):
        error = np.std(distances) / 200**0.5
        assert abs(np.mean(distances) - expected) < 5 * error and error < 0.005 * expected


def test_where_a_row_comes_is_uniform_wherever_it_stood() -> None:
    """Tenths of the file against tenths of the epoch, one row a block, by Pearson's chi-square over many epochs.

    Blocks are permuted, so each epoch's table has its margins fixed, and the statistic, times (n - 1) / n, follows
    chi-square with 81 degrees of freedom: the sum over 300 epochs has a mean of 24,300 and a deviation of 220.
    """
    blocks = ROWS // BLOCK
    rows = np.arange(blocks) * BLOCK + 17
    statistic = 0.0
    for seed in range(300):
        there = places(ROWS, seed)[rows]
        table, _, _ = np.histogram2d(rows, there, bins=10, range=((0, ROWS), (0, ROWS)))
        fair = np.outer(table.sum(1), table.sum(0)) / blocks
        statistic += ((table - fair) ** 2 / fair).sum() * (blocks - 1) / blocks
    assert abs(statistic - 300 * 81) < 5 * (2 * 300 * 81) ** 0.5


def test_what_differs_is_that_rows_of_a_block_come_within_one_buffer() -> None:
    there = places(ROWS, 3).reshape(-1, BLOCK)
    assert (there.max(1) - there.min(1)).max() < BUFFER
    assert (there.max(1) - there.min(1)).mean() > 0.9 * BUFFER, "they are spread over all of it"
    after = [(order(ROWS, seed) // BLOCK)[:BUFFER] for seed in range(100)]
    together = np.mean([(blocks[1:] == blocks[:-1]).mean() for blocks in after])
    assert together == pytest.approx((BLOCK - 1) / (BUFFER - 1), rel=0.05)  # a full permutation: 63 of 16,383


def test_no_more_rows_than_the_buffers_are_a_full_permutation() -> None:
    """All 24 orders of 4 rows in blocks of 2, each as often: 23 degrees of freedom, whose 99.99 % point is 56."""
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(4800):
        found = tuple(order(4, seed, block=2, buffer=4).tolist())
        counts[found] = counts.get(found, 0) + 1
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 56


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 13), st.data())
def test_batches_of_pieces_are_those_of_the_whole_order(lengths: list[int], size: int, data: st.DataObject) -> None:
    rows = torch.arange(sum(lengths))
    whole = [piece.tolist() for piece in rows.split(size) if len(piece) == size]
    wanted = data.draw(st.integers(0, len(whole)))
    done = data.draw(st.integers(0, wanted))
    part = TensorPart([rows], rows)
    asked: list[int] = []

    def read(some: torch.Tensor) -> Any:
        asked.extend(some.tolist())
        return part.batches(some, size, None, CPU)

    found: list[Batch] = list(batches_of_pieces(rows.split(lengths), size, done, wanted, read))
    assert [batch.targets.tolist() for batch in found] == whole[done:wanted]
    assert len(asked) == len(set(asked)) and len(asked) <= wanted * size


# columns in files


def written(folder: Path, count: int = 500) -> Path:
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"u": random.integers(1, 30, count), "i": random.integers(1, 20, count), "r": random.integers(1, 6, count)}
    )
    frame.sort("u").write_csv(folder / "ratings.csv")
    return folder / "ratings.csv"


def load(path: Path, **more: Any) -> RatingsData:
    return build(RatingsParams(path=path, **more), DataContext(42))


def test_mapped_columns_hold_the_same_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.setattr(assembling, "chunks", lambda count: columns.chunks(count, 64))
    for held in ({"valid": 0.2, "test": 0.1}, {"valid": path}):
        ram, mapped = load(path, memory=Memory.ram, **held), load(path, memory=Memory.mapped, **held)
        assert ram.facts == mapped.facts
        for name, part in ram.parts.items():
            (one,) = part.batches(torch.arange(len(part)), len(part), None, CPU)
            (other,) = mapped.part(name).batches(torch.arange(len(part)), len(part), None, CPU)
            pairs = zip((*one.inputs, one.targets), (*other.inputs, other.targets), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
        assert isinstance(mapped.part("train"), Shuffling) and not isinstance(ram.part("train"), Shuffling)


@pytest.mark.skipif(os.name == "nt", reason="an open file has its name there")
def test_mapped_columns_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    data = load(path, memory=Memory.mapped)
    assert list((tmp_path / "scratch").iterdir()) == [] and len(data.part("train")) == 400


def test_auto_goes_by_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    assert not is_mapped(Memory.auto, path)
    assert is_mapped(Memory.mapped, path)
    monkeypatch.setattr(ratings, "LARGE", path.stat().st_size - 1)
    assert is_mapped(Memory.auto, path) and not is_mapped(Memory.ram, path)
    monkeypatch.setattr(ratings, "LARGE", 2 * path.stat().st_size)
    packed = tmp_path / "ratings.parquet"
    pl.read_csv(path).write_parquet(packed)
    monkeypatch.setattr(ratings, "LARGE", 4 * packed.stat().st_size - 4)
    assert is_mapped(Memory.auto, packed)
    assert isinstance(load(packed).part("train"), MappedPart)


def planned(path: Path, memory: str) -> Plan:
    spec = f"""experiment big
data ratings("{path}", memory = {memory}, valid = 20%, batch_size = 32)
model embedding_dot_bias(factors = 3)
loss mse
stage train {{ fit one_cycle(epochs = 2, lr = 1e-2) }}
"""
    made, _ = make_plan(resolved(spec), Probe())
    return made


@pytest.mark.run
def test_a_mapped_run_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating_parts, "BUFFER", 100)
    monkeypatch.setattr(rating_parts, "BLOCK", 10)
    plan = with_runtime(planned(written(tmp_path, 300), "mapped"), EVERY_STEP)
    whole = create_run("big", tmp_path)
    execute(plan, whole)
    again = create_run("big", tmp_path)
    execute(plan, again)
    expected = bits(whole)
    assert bits(again) == expected
    found = positions(whole.checkpoints)
    assert len(found) > 14
    for position in (None, *found[1:-1:5]):
        resumed = cut(whole, tmp_path / f"cut-{position.name if position else 'start'}", position)
        go_on(plan, resumed)
        assert bits(resumed) == expected, position


@pytest.mark.run
def test_a_mapped_run_learns_what_one_in_memory_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file sorted by users, of which a buffer holds a fifth."""
    monkeypatch.setattr(rating_parts, "BUFFER", 800)
    monkeypatch.setattr(rating_parts, "BLOCK", 8)
    path = written(tmp_path, 5000)
    losses = []
    for memory in ("ram", "mapped"):
        run = create_run("big", tmp_path)
        execute(planned(path, memory), run)
        losses.append(run.read_epochs()[-1].valid_loss)
    assert losses[0] is not None and losses[1] == pytest.approx(losses[0], rel=0.02)


# made-up ratings of any size


def test_many_pairs_are_drawn_block_by_block() -> None:
    data = make(LatentRatingsParams(users=20_000, items=10_000, density=0.0005, factors=2), DataContext(1))
    facts = data.facts
    assert facts.train + facts.valid == facts.summary["rows"] == 100_000 and facts.summary["duplicates"] == 0
    assert facts.entities["users"] > 19_000
    (batch,) = data.part("valid").batches(torch.arange(20_000), 20_000, None, CPU)
    users = torch.tensor([0, *map(int, facts.vocabulary["users"])])[batch.inputs[0]]
    tenths = np.histogram(users[users > 0].numpy(), bins=10, range=(0, 20_000))[0]
    assert np.abs(tenths - tenths.mean()).max() < 5 * tenths.mean() ** 0.5


def test_too_many_ratings_to_make() -> None:
    with pytest.raises(ValidationError, match="200 million"):
        LatentRatingsParams(users=10**6, items=10**6, density=0.001)


# memory


MEASURE = """
import sys
import threading
from pathlib import Path
import torch
from dotexp import DataContext
from dotexp_collab.data import subsets as rating_parts
from dotexp_collab.data.params import Memory, RatingsParams
from dotexp_collab.data.ratings import build

rating_parts.BUFFER = 1 << 18

def told(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) * 1024

def epoch(part):
    pieces = part.order(1) if hasattr(part, "order") else [torch.randperm(len(part))]
    for piece in pieces:
        for batch in part.batches(piece, 8192, None, torch.device("cpu")):
            pass

path, small, memory = Path(sys.argv[1]), Path(sys.argv[2]), Memory(sys.argv[3])
epoch(build(RatingsParams(path=small), DataContext(1)).part("train"))
Path("/proc/self/clear_refs").write_text("5")
before, own, most, done = told("VmRSS"), told("RssAnon"), [0], threading.Event()

def watch():
    while not done.wait(0.005):
        most.append(max(most.pop(), told("RssAnon")))

watcher = threading.Thread(target=watch)
watcher.start()
epoch(build(RatingsParams(path=path, memory=memory), DataContext(1)).part("train"))
done.set()
watcher.join()
print(told("VmHWM") - before, most[0] - own)
"""


def peaks(folder: Path, memory: str, *counts: int) -> list[list[int]]:
    """The most memory, in bytes, that reading so many rows and an epoch take: all of it, and that of no file."""
    random = np.random.default_rng(0)
    found = []
    for count in (2000, *counts):
        columns = {"u": random.integers(1, 6001, count), "i": random.integers(1, 3001, count)}
        pl.DataFrame({**columns, "r": random.integers(1, 6, count)}).write_csv(folder / f"{count}.csv")
        call = [sys.executable, "-c", MEASURE, folder / f"{count}.csv", folder / "2000.csv", memory]
        told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        found.append([int(number) for number in told.split()])
    return found[1:]


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_reading_and_an_epoch_take_three_times_the_columns_at_most(tmp_path: Path) -> None:
    """12 bytes a row: users and items as int32, ratings as float32. What does not grow with the rows is apart."""
    few, many = (whole for whole, _ in peaks(tmp_path, "ram", 1_000_000, 4_000_000))
    assert (many - few) / 3_000_000 <= 3 * 12
    assert many <= 3 * 12 * 4_000_000 + (16 << 20)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_mapped_columns_take_little_memory_of_their_own(tmp_path: Path) -> None:
    """Beside what does not grow with the rows: labels of the parts, a byte a row each time they are looked at."""
    few, many = (own for _, own in peaks(tmp_path, "mapped", 5_000_000, 10_000_000))
    assert (many - few) / 5_000_000 <= 5
