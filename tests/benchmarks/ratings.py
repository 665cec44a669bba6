"""Seconds and memory per million ratings, as ratings and tables grow: `python -m tests.benchmarks ratings --help`.

Every size is measured in a process of its own, on one thread: ratings of known factors are made in memory, or random
ones written to a file and read (`--file`), and the first steps of an epoch are trained by the engine's loop.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
import torch
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, seeder
from dotexp.engine.build.network import build_network
from dotexp.engine.build.probe import Probe
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.engine.training.polling import Polling
from dotexp.experiment.checking import load
from dotexp.experiment.experiment import Precision
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan

from tests.benchmarks import argument_parser
from tests.benchmarks.loop import REPOSITORY

SIZES = {
    "quick": ("1e6:1e5:2e4",),
    "fixed": ("1e6:1e5:2e4", "1e7:1e5:2e4", "5e7:1e5:2e4"),
    "growing": ("1e7:1e5:2e4", "1e7:2e5:4e4", "1e7:5e5:1e5"),
}
COLUMNS = 12
"""Bytes of a rating in memory: user and item as int32, the rating as float32."""

_CHUNK = 1_000_000


@dataclass(frozen=True)
class Measured:
    """Seconds until the data is there, until an epoch's first step is done, and of a million ratings' steps.

    Memory in bytes, beyond what the process had before: the most until the data was there, and the most of all.
    """

    size: str
    source: float
    order: float
    train: float
    batch: float
    source_memory: int
    memory: int


class EnoughError(Exception):
    """As many steps were taken as were to be measured."""


def measure(arguments: Sequence[str] = ()) -> None:
    """Measure the sizes asked for, each in its own process, and print a table."""
    given = _arguments().parse_args(arguments)
    if given.child:
        print(json.dumps(asdict(measured(given.child, given))))
        return
    source = "read" if given.file else "made"
    print(f"{given.factors} factors, batches of {given.batch}, {given.optimizer}, one thread")
    header = ("ratings", "users", "items", f"{source} s/M", "memory", "x columns", "order s/M", "train s/M", "ms/batch")
    print("".join(f"{name:>11}" for name in (*header, "memory")))
    epochs = []
    for size in given.size or SIZES[given.sizes]:
        call = [sys.executable, "-m", "tests.benchmarks", "ratings", *arguments, "--child", size]
        told = subprocess.run(call, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = Measured(**json.loads(told.splitlines()[-1]))
        epochs.append(_show(found))
    if len(epochs) > 1:
        print(f"an epoch's seconds per million, the highest to the lowest: {max(epochs) / min(epochs):.2f}")


def measured(size: str, given: argparse.Namespace) -> Measured:
    """Measure one size, `RATINGS:USERS:ITEMS`, in this process."""
    torch.set_num_threads(1)
    rows, users, items = _numbers(size)
    with tempfile.TemporaryDirectory() as folder:
        _planned(f"latent_ratings(users = 500, items = 300, {_held(15_000, given)}", given, folder)  # imports libraries
        density = rows / (users * items)
        data = f"latent_ratings(users = {users}, items = {items}, density = {density!r}, {_held(rows, given)}"
        if given.file:
            _planned(f'ratings("{_written(Path(folder), 40_000, 500, 300)}", {_held(40_000, given)}', given, folder)
            data = f'ratings("{_written(Path(folder), rows, users, items)}", {_held(rows, given)}'
        before, start = resident(), perf_counter()
        store = DataStore()
        plan = _planned(data, given, folder, store)
        source, top = perf_counter() - start, peak()
        order, batch = _trained(plan, store, int(given.most / given.batch))
    return Measured(size, source, order, batch / given.batch * 1e6, batch, top - before, peak() - before)


def _trained(plan: Plan, store: DataStore, most: int) -> tuple[float, float]:
    """Seconds until the first step is done, and the mean of those after it; an epoch's, or of the first `most`."""
    device, stage = torch.device("cpu"), plan.stages[0]
    part = store.get(stage.data, plan.seed).part("train")
    network = build_network(plan.model, plan.facts, plan.seed)
    machinery = Machinery(device, autocast(device, Precision.f32), seeder(device))
    loop = StageLoop(stage, network, stage.loss.build(plan.facts), part, plan.seed, machinery)
    marks: list[tuple[int, float]] = []
    watch = Polling()
    last = min(most, stage.steps_per_epoch)

    def look(step: int) -> None:
        if not marks or step >= last:
            marks.append((step, perf_counter()))
        watch.step = last
        watch.rest()
        if step >= last:
            raise EnoughError

    watch.step = 1
    start = perf_counter()
    with suppress(EnoughError):
        loop.epoch(0, look, watch)
    (first, begun), (steps, ended) = marks[0], marks[-1]
    return begun - start, (ended - begun) / max(1, steps - first)


def _planned(data: str, given: argparse.Namespace, folder: str, store: DataStore | None = None) -> Plan:
    spec = Path(folder) / "benchmark.exp"
    spec.write_text(
        f"experiment benchmark\ndata {data}\nmodel embedding_dot_bias(factors = {given.factors})\nloss mse\n"
        f"optimizer {given.optimizer}\nstage train {{ fit one_cycle(epochs = 1, lr = 5e-3) }}\n"
    )
    return make_plan(load(spec), Probe(store=store))[0]


def _held(rows: int, given: argparse.Namespace) -> str:
    return f"valid = {rows // 100}, batch_size = {min(given.batch, rows // 10)})"


def _written(folder: Path, rows: int, users: int, items: int) -> Path:
    """Write random ratings, a chunk at a time."""
    random = np.random.default_rng(0)
    path = folder / "ratings.csv"
    with path.open("wb") as file:
        for start in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - start)
            columns = {
                "user": random.integers(1, users + 1, count),
                "item": random.integers(1, items + 1, count),
                "rating": random.integers(1, 11, count) / 2,
            }
            pl.DataFrame(columns).write_csv(file, include_header=not start)
    return path


def _show(found: Measured) -> float:
    """Print a row; return the seconds per million of an epoch, its order included."""
    rows, users, items = _numbers(found.size)
    million = rows / 1e6
    order = max(0.0, found.order - found.batch) / million
    print(
        f"{rows:>11,}{users:>11,}{items:>11,}{found.source / million:>11.2f}{found.source_memory / 2**20:>7.0f} MiB"
        f"{found.source_memory / (COLUMNS * rows):>11.2f}{order:>11.3f}{found.train:>11.2f}{found.batch * 1e3:>11.1f}"
        f"{found.memory / 2**20:>7.0f} MiB",
        flush=True,
    )
    return order + found.train


def _numbers(size: str) -> tuple[int, int, int]:
    rows, users, items = (int(float(part)) for part in size.split(":"))
    return rows, users, items


def resident() -> int:
    """Memory of this process now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _arguments() -> argparse.ArgumentParser:
    parser = argument_parser("ratings", __doc__)
    parser.add_argument("sizes", nargs="?", choices=tuple(SIZES), default="quick", help="which sizes (quick)")
    parser.add_argument("--size", action="append", help="a size of one's own, RATINGS:USERS:ITEMS; may come again")
    parser.add_argument("--file", action="store_true", help="write the ratings to a .csv file and read them")
    parser.add_argument("--factors", type=int, default=40, help="factors of the model (40)")
    parser.add_argument("--batch", type=int, default=8192, help="ratings in a batch (8192)")
    parser.add_argument("--optimizer", default="adam(sparse = rows)", help="the optimizer, as a spec has it")
    parser.add_argument("--most", type=float, default=2e6, help="ratings to train with, of an epoch, at most (2e6)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser
