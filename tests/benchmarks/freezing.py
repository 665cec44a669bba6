"""What freezing saves: seconds and memory of a step of ResNet-34 at 224 pixels, body frozen and not.

`python -m tests.benchmarks freezing`. Each is measured in a process of its own, beside plain PyTorch doing the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from argparse import SUPPRESS
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import dotexp as api
import torch
import torchvision
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, seeder
from dotexp.engine.build.network import build_network
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.experiment.checking import load
from dotexp.experiment.experiment import Precision
from torch import nn
from torch.nn import functional

from tests.benchmarks import argument_parser
from tests.benchmarks.loop import REPOSITORY
from tests.benchmarks.ratings import peak, resident

IMAGES, BATCH, SIDE, CLASSES = 256, 32, 224, 10
SPEC = f"""
experiment freezing
data digits(size = {SIDE}, batch_size = {BATCH}, valid = {1797 - IMAGES})
model {{
  body resnet34(weights = none)
  head mlp
}}
loss cross_entropy
optimizer adam(wd = 0.01)
stage frozen {{ freeze body  fit one_cycle(epochs = 2, lr = 1e-3) }}
stage unfrozen {{ unfreeze  fit one_cycle(epochs = 2, lr = 1e-3) }}
"""
ROUNDS = 2


def own_epoch(frozen: bool) -> Callable[[int], None]:
    """An epoch of the engine's, as a function of its number."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "freezing.exp"
        spec.write_text(SPEC)
        plan = api.plan(load(spec))
    device, stage = torch.device("cpu"), plan.stages[0 if frozen else 1]
    part = DataStore().get(stage.data, 42).part("train")
    machinery = Machinery(device, autocast(device, Precision.f32), seeder(device))
    network = build_network(plan.model, plan.facts, 42)
    loop = StageLoop(stage, network, stage.loss.build(plan.facts), part, 42, machinery)

    def epoch(number: int) -> None:
        loop.epoch(number, lambda step: None)

    return epoch


def plain_epoch(frozen: bool) -> Callable[[int], None]:
    """The same as a person would write it."""
    body = nn.Sequential(*list(torchvision.models.resnet34().children())[:-1], nn.Flatten())
    head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES))
    if frozen:
        body.eval().requires_grad_(False)
    trained = [p for p in (*body.parameters(), *head.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
    images, targets = torch.rand(IMAGES, 3, SIDE, SIDE), torch.randint(CLASSES, (IMAGES,))

    def epoch(number: int) -> None:
        for rows in torch.arange(IMAGES).split(BATCH):
            loss = functional.cross_entropy(head(body(images[rows])), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


def measured(who: str, what: str) -> tuple[float, int]:
    """Seconds of the fastest epoch, and the bytes that training took beyond what stood before it."""
    epoch = (own_epoch if who == "dotexp" else plain_epoch)(what == "frozen")
    before, times = resident(), []
    for number in range(ROUNDS):
        start = perf_counter()
        epoch(number)
        times.append(perf_counter() - start)
    return min(times), peak() - before


def measure(arguments: Sequence[str] = ()) -> None:
    """Print seconds and memory of each, and the ratios of frozen to unfrozen (to stay within 0.4)."""
    parser = argument_parser("freezing", __doc__)
    parser.add_argument("--child", nargs=2, help=SUPPRESS)
    child = parser.parse_args(arguments).child
    if child:
        print(json.dumps(measured(*child)))
        return
    print(f"ResNet-34, {IMAGES} images of {SIDE} pixels in batches of {BATCH}:")
    for who in ("dotexp", "plain"):
        seconds, memory = {}, {}
        for what in ("frozen", "unfrozen"):
            call = [sys.executable, "-m", "tests.benchmarks", "freezing", "--child", who, what]
            told = subprocess.run(call, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
            seconds[what], memory[what] = json.loads(told.splitlines()[-1])
            print(f"  {who:7s} {what:9s} {seconds[what]:6.1f} s {memory[what] / 2**20:7.0f} MiB", flush=True)
        ratios = (each["frozen"] / each["unfrozen"] for each in (seconds, memory))
        print("  {} frozen to unfrozen: {:.2f} of the time, {:.2f} of the memory".format(who, *ratios))
