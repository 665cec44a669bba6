"""Kill runs at random moments, resume them, and compare their ends with a run that was never killed.

    python tests/support/kills.py --kills 100

One process imports everything once; each process of a run is a fork of it, in a process group of its own that gets
SIGKILL, data workers included.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

import torch
from children import fork
from dotexp import load, resume, run
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.executor import execute
from dotexp.engine.state.resuming import prepare
from dotexp.experiment.experiment import Device, FreezeLayers, LayerSpan, Runtime
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.lock import run_lock
from dotexp.runs.results import Status
from interruptions import bits, with_runtime
from PIL import Image
from toys import ImagesParams, SgdParams, plan, stage, use

IMAGES = """
experiment killed
data image_folder("{folder}", valid = 4, size = 32, batch_size = 4, augment = standard)
model {{ body squeezenet1_1(weights = none)  head mlp([8], dropout = 0.5) }}
loss cross_entropy
metrics accuracy
stage head {{ freeze body  fit one_cycle(epochs = 1, lr = 1e-3) }}
stage all {{ fit one_cycle(epochs = 1, lr = 1e-3) }}
runtime(device = cpu, threads = 1, workers = {workers}, checkpoint_steps = 2)
"""


@dataclass(frozen=True)
class Outcome:
    """Numbers of kills, runs, runs that ended differently from the one never killed, and failures."""

    kills: int
    runs: int
    different: int
    failures: int


def toy_plan() -> Plan:
    """Plan two stages of a small network with batch norm and dropout, saved at every third step."""
    data = ImagesParams(batch_size=8, examples=80)
    sgd = use("optimizer", "build_sgd", SgdParams(momentum=0.9))
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    stages = stage("head", freeze=body, data=data), stage("all", data=data, optimizer=sgd, momentum="momentum")
    return with_runtime(plan(*stages, data=data), Runtime(device=Device.cpu, threads=1, checkpoint_steps=3))


def run_toy(root: Path) -> None:
    """Execute a toy run, or resume it."""
    folder = RunFolder(root / "toy-1") if (root / "toy-1").is_dir() else create_run("toy", root)
    planned = toy_plan()
    with run_lock(folder):
        if folder.status is not Status.finished:
            resumption = prepare(planned, folder, {})
            execute(resumption.plan, folder, device=resumption.device, store=DataStore(), resumption=resumption)


def run_images(root: Path) -> None:
    """Execute the run of `root`'s spec, or resume it."""
    folder = RunFolder(root / "runs" / "killed-1")
    if folder.resolved.exists():
        resume(folder)
        return
    if folder.path.is_dir():  # killed before it had written its spec
        folder.path.rename(root / f"begun-{random.random()}")
    run(load(root / "killed.exp"), runs=root / "runs")


def write_images(root: Path, workers: int) -> None:
    """Write a spec and the small images that it trains on."""
    generator = torch.Generator().manual_seed(3)
    for label in ("cats", "dogs"):
        folder = root / "pictures" / label
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = torch.randint(256, (20, 24, 3), dtype=torch.uint8, generator=generator)
            Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")
    (root / "killed.exp").write_text(IMAGES.format(folder=root / "pictures", workers=workers))


def run_process(work: Callable[[], None], seconds: float | None) -> int | None:
    """Run a child and kill it after so many seconds; return its exit code, or None where it was killed."""
    pid = fork(work, group=True)
    if seconds is not None:
        sleep(seconds)
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def kill_runs(
    kills: int, seed: int, prepare_root: Callable[[Path], None], work: Callable[[Path], None], name: str
) -> Outcome:
    """Kill at `kills` random moments, run after run; `name` is the run's folder below a root."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="dotexp-kills-") as place:
        root = Path(place)
        prepare_root(root)
        whole = root / "whole"
        whole.mkdir()
        _link(root, whole)
        start = perf_counter()
        if run_process(lambda: work(whole), None) != 0:
            raise SystemExit("the run that is not killed failed")
        length = perf_counter() - start
        expected = bits(RunFolder(whole / name))
        landed = runs = different = failures = 0
        while landed < kills:
            runs += 1
            here = root / f"run-{runs}"
            here.mkdir()
            _link(root, here)
            code, deaths = None, 0
            while code is None:
                again = landed < kills and deaths <= runs % 3 // 2  # every third run is killed twice
                code = run_process(lambda here=here: work(here), moments.uniform(0, length) if again else None)  # type: ignore[misc]
                deaths += code is None
                landed += code is None
            failures += code != 0
            different += code == 0 and bits(RunFolder(here / name)) != expected
            shutil.rmtree(here)
        return Outcome(landed, runs, different, failures)


def _link(root: Path, folder: Path) -> None:
    if (root / "killed.exp").exists():
        (folder / "killed.exp").symlink_to(root / "killed.exp")


def main() -> None:
    """Kill runs; exit with 1 unless all end alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="number of kills, half of them in each kind of run")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    parser.add_argument("--workers", type=int, default=2, help="data workers of the image runs")
    arguments = parser.parse_args()
    half = arguments.kills // 2
    torch.set_num_threads(1)
    toys = kill_runs(arguments.kills - half, arguments.seed, lambda root: None, run_toy, "toy-1")
    print(f"toys in memory: {toys}", flush=True)
    pictures = Outcome(0, 0, 0, 0)
    if half:
        files = lambda root: write_images(root, arguments.workers)  # noqa: E731
        pictures = kill_runs(half, arguments.seed, files, run_images, "runs/killed-1")
        print(f"pictures with {arguments.workers} workers: {pictures}", flush=True)
    bad = toys.different + toys.failures + pictures.different + pictures.failures
    print(f"{toys.kills + pictures.kills} kills, {toys.runs + pictures.runs} runs, {bad} of them ended otherwise")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
