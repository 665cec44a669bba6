"""How long an epoch of MovieLens takes, against a plain PyTorch loop doing the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import dotexp as api
import torch
from dotexp import Use
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, seeder
from dotexp.engine.build.network import build_network
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.experiment.checking import load
from dotexp.experiment.experiment import Precision
from dotexp.planning.plan import Plan
from dotexp.sdk.callback import Training
from offered import offered
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks import argument_parser

REPOSITORY = Path(__file__).resolve().parents[2]
ROUNDS = 5
ROWS = 80_000
BATCH = 64


class Plain(nn.Module):
    """Latent factors and biases as a person would write them."""

    def __init__(self, users: int, items: int, factors: int) -> None:
        super().__init__()
        sizes = ((users, factors), (items, factors), (users, 1), (items, 1))
        self.tables = nn.ModuleList(nn.Embedding(rows, width) for rows, width in sizes)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Ratings from 0.6 to 5.4."""
        user, item, user_bias, item_bias = self.tables
        dot = (user(users) * item(items)).sum(1) + user_bias(users).squeeze(1) + item_bias(items).squeeze(1)
        return torch.sigmoid(dot) * 4.8 + 0.6


def planned() -> Plan:
    """Plan specs/movielens.exp with 80,000 training rows: MovieLens-100k where it is, else made ratings as many."""
    named = os.environ.get("DOTEXP_TEST_DATA")
    data = (Path(named) if named else REPOSITORY.parent / "shared" / "data") / "ml-100k" / "u.data"
    made = "data=latent_ratings(users=943, items=1682, density=6.31%, valid=20000)"
    sets = [f"data.path={data}", "data.valid=20000"] if data.exists() else [made]
    return api.plan(load(REPOSITORY / "specs" / "movielens.exp", sets))


def dotexp_loop(plan: Plan, *names: str) -> StageLoop:
    """The engine's loop over the plan's stage, with these callbacks."""
    device = torch.device("cpu")
    stage = plan.stages[0]
    network = build_network(plan.model, plan.facts, 42)
    part = DataStore().get(stage.data, 42).part("train")
    machinery = Machinery(device, autocast(device, Precision.f32), seeder(device))
    chosen = [each for each in offered("callbacks") if each.name in names]
    callbacks = StageCallbacks([Use(component=each, params=each.params()) for each in chosen])
    loop = StageLoop(stage, network, stage.loss.build(plan.facts), part, 42, machinery, callbacks)
    callbacks.stage_started(Training(stage, plan.facts, network, loop.optimizer, loop.trained, {}))
    return loop


def plain_epoch(model: Plain, optimizer: torch.optim.Optimizer, users: Tensor, items: Tensor, ratings: Tensor) -> float:
    """Train one epoch of shuffled batches and return its seconds."""
    start = perf_counter()
    for rows in torch.randperm(len(ratings))[: ROWS // BATCH * BATCH].split(BATCH):
        loss = functional.mse_loss(model(users[rows], items[rows]), ratings[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return perf_counter() - start


def seconds(loop: StageLoop, epoch: int) -> float:
    """Train an epoch."""
    start = perf_counter()
    loop.epoch(epoch, lambda step: None)
    return perf_counter() - start


def measure_callbacks() -> None:
    """Print what the callbacks that work at every step cost, as a ratio to an epoch without any."""
    torch.set_num_threads(1)
    plan = planned()
    loops = {name: dotexp_loop(plan, name) for name in ("none", "clip", "ema", "early_stopping")}
    times = [{name: seconds(loop, epoch) for name, loop in loops.items()} for epoch in range(ROUNDS)]
    print(f"the same epoch of {ROWS:,} ratings with a callback, to one without:")
    for name in loops:
        if name != "none":
            print(f"  {name:15s} {median(each[name] / each['none'] for each in times):4.2f}")


def measure(arguments: Sequence[str] = ()) -> None:
    """Print the ratio to a plain loop, and what callbacks add."""
    argument_parser("loop", __doc__).parse_args(arguments)
    measure_loop()
    measure_callbacks()


def measure_loop() -> None:
    """Print the seconds of an epoch of each, in turn, and their ratio."""
    torch.set_num_threads(1)
    plan = planned()
    users, items, ratings = torch.randint(943, (ROWS,)), torch.randint(1682, (ROWS,)), torch.rand(ROWS) * 4 + 1
    model = Plain(944, 1683, 40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    loop = dotexp_loop(plan)
    pairs = []
    for epoch in range(ROUNDS):
        pairs.append((seconds(loop, epoch), plain_epoch(model, optimizer, users, items, ratings)))
    print(f"an epoch of {ROWS:,} ratings in batches of {BATCH}, one thread (to stay within 1.3):")
    for own, plain in pairs:
        print(f"  {own:6.2f} s, plain loop {plain:6.2f} s: {own / plain:4.2f}")
    print(f"  median ratio {median(own / plain for own, plain in pairs):4.2f}")
