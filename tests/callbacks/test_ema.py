"""Averaged weights: against the same averages in float64, and without a trace in the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import Component, DataFacts, Params, Use
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.evaluation import evaluate_run
from dotexp.engine.executor import execute
from dotexp.experiment.experiment import FreezeLayers, Kept, LayerSpan
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult
from dotexp.sdk.callback import Callback, EpochRow, Training
from dotexp_callbacks.ema import AveragedWeights
from dotexp_callbacks.params import EmaParams
from toys import ImagesParams, callback, plan, same, stage

DATA = ImagesParams(batch_size=8)


STATISTICS = ("running_mean", "running_var")


class WatchParams(Params):
    """Records the network's state after each step and at each validation."""


class Watch(Callback):
    """Records the network's state after each step, and the state that is validated."""

    steps: list[dict[str, torch.Tensor]]
    validated: list[dict[str, torch.Tensor]]

    def __init__(self, params: WatchParams) -> None:
        Watch.steps, Watch.validated = [], []

    def stage_started(self, training: Training) -> None:
        """Take the network."""
        self.network = training.network

    def after_step(self, step: int) -> None:
        """Copy the state."""
        self.steps.append({name: tensor.clone() for name, tensor in self.network.state_dict().items()})

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Copy the state."""
        self.validated.append({name: tensor.clone() for name, tensor in self.network.state_dict().items()})
        return None


WATCH = Use(component=Component("callback", "watch", WatchParams, f"{__name__}:Watch"), params=WatchParams())


def run(planned: Plan, root: Path) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder)


def started(averaged: AveragedWeights, network: torch.nn.Module) -> AveragedWeights:
    """The callback, at the start of a stage that trains this network."""
    parameters = tuple(network.parameters())
    facts = DataFacts("classification", train=8, valid=8)
    averaged.stage_started(Training(stage(), facts, network, torch.optim.SGD(parameters), parameters, {}))
    return averaged


def averaging(*callbacks: Use, **more: Any) -> Plan:
    """One stage with these callbacks."""
    return plan(stage(data=DATA, callbacks=[*callbacks, WATCH], **more), data=DATA)


@pytest.mark.run
@pytest.mark.parametrize("warmup", [False, True])
def test_the_averages_are_those_of_the_state_after_each_step(tmp_path: Path, warmup: bool) -> None:
    """Of the weights, and of batch norm's statistics, which belong to the weights that they were measured with."""
    planned = averaging(callback("ema", decay=0.3, warmup=warmup))
    start = build_network(planned.model, planned.facts, 42).state_dict()
    averages = {name: tensor.double() for name, tensor in start.items() if tensor.is_floating_point()}
    folder, _ = run(planned, tmp_path)
    assert len(Watch.steps) == 8
    for step, state in enumerate(Watch.steps):
        decay = min(0.3, (1 + step) / (10 + step)) if warmup else 0.3
        averages = {name: decay * averages[name] + (1 - decay) * state[name].double() for name in averages}
        if step == 3:
            for name, average in averages.items():
                torch.testing.assert_close(Watch.validated[0][name].double(), average, rtol=1e-5, atol=1e-7)
    saved = load_weights(folder.model)
    assert sum(name.endswith(STATISTICS) for name in averages) == 4
    for name, average in averages.items():
        torch.testing.assert_close(saved[name].double(), average, rtol=1e-5, atol=1e-7)


@pytest.mark.run
def test_training_goes_on_as_without_them(tmp_path: Path) -> None:
    """Bit for bit: the averages are put in for the validation, and taken out again."""
    run(averaging(), tmp_path)
    expected = Watch.steps
    run(averaging(callback("ema", decay=0.9)), tmp_path)
    assert [same(one, other) for one, other in zip(expected, Watch.steps, strict=True)] == [
        set(one) for one in expected
    ]


NORMS: list[tuple[str, Callable[[], torch.nn.Module], tuple[int, ...]]] = [
    ("batch norm 1d", lambda: torch.nn.BatchNorm1d(3), (16, 3)),
    ("batch norm 2d", lambda: torch.nn.BatchNorm2d(3), (4, 3, 5, 5)),
    ("batch norm in a block", lambda: torch.nn.Sequential(torch.nn.Sequential(torch.nn.BatchNorm2d(3))), (4, 3, 2, 2)),
    ("instance norm", lambda: torch.nn.InstanceNorm2d(3, track_running_stats=True), (4, 3, 5, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "shape"), [pytest.param(make, shape, id=name) for name, make, shape in NORMS])
def test_the_statistics_fit_the_averaged_weights(make: Callable[[], torch.nn.Module], shape: tuple[int, ...]) -> None:
    """A weight grows by 1 a step: its average, of 600 steps, lags by 60 of them, and so must the statistics."""
    scale = torch.nn.Parameter(torch.zeros(()))
    norm = make()
    network = torch.nn.Module()
    network.scale, network.norm = scale, norm
    averaged = started(AveragedWeights(EmaParams(decay=0.99)), network)
    inputs = torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 1
    for step in range(600):
        with torch.no_grad():
            scale += 1
        norm(scale.detach() * inputs)
        averaged.after_step(step)

    def misfit() -> float:
        (running,) = (buffer for name, buffer in network.named_buffers() if name.endswith("running_mean"))
        fitting = scale.detach() * inputs.transpose(0, 1).flatten(1).mean(1)
        return ((running - fitting).abs() / fitting).max().item()

    assert scale.item() == 600 and misfit() < 0.03
    averaged.before_validation()
    assert scale.item() == pytest.approx(540) and misfit() < 0.03
    averaged.after_validation()
    assert scale.item() == 600 and misfit() < 0.03


@pytest.mark.run
def test_validation_sees_the_averages(tmp_path: Path) -> None:
    folder, result = run(averaging(callback("ema", decay=0.5)), tmp_path)
    weights = load_weights(folder.model)
    assert same(weights, Watch.validated[-1]) == set(weights)
    assert same(Watch.steps[-1], weights) == {name for name in weights if name.endswith("num_batches_tracked")}
    assert evaluate_run(averaging().inference, folder, "valid").loss == pytest.approx(
        result.stages[0].valid_loss, rel=1e-6
    )


@pytest.mark.run
def test_only_what_trains_is_averaged(tmp_path: Path) -> None:
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    planned = averaging(callback("ema"), freeze=body)
    start = build_network(planned.model, planned.facts, 42).state_dict()
    end = load_weights(run(planned, tmp_path)[0].model)
    assert set(start) - same(start, end) == {"head.3.weight", "head.3.bias"}


@pytest.mark.run
@pytest.mark.parametrize("kept", list(Kept))
def test_statistics_of_norms_kept_training_in_a_frozen_body_are_averaged(tmp_path: Path, kept: Kept) -> None:
    """`freeze body except batchnorm`: its statistics move, and with them their averages."""
    body = FreezeLayers(items=(LayerSpan(first="body"),), kept=kept)
    folder, _ = run(averaging(callback("ema", decay=0.5), freeze=body), tmp_path)
    end, raw = load_weights(folder.model), Watch.steps[-1]
    moved = {name for name in raw if name.endswith(STATISTICS)}
    assert len(moved) == 4 and not moved & same(raw, end)
    assert same(raw, Watch.validated[-1]) == same(raw, end)


@pytest.mark.run
def test_the_best_epoch_keeps_the_averaged_statistics(tmp_path: Path) -> None:
    """Whatever the order of the two: the weights and the statistics of one validation belong together."""
    for order in (
        [callback("ema", decay=0.5), callback("keep_best")],
        [callback("keep_best"), callback("ema", decay=0.5)],
    ):
        folder, result = run(averaging(*order, epochs=3), tmp_path)
        best = (result.stages[0].best_epoch or 3) - 1
        weights = load_weights(folder.model)
        assert same(weights, Watch.validated[best]) == set(weights)


@pytest.mark.run
def test_a_next_stage_starts_from_the_averages(tmp_path: Path) -> None:
    first = stage("first", data=DATA, callbacks=[callback("ema")])
    still = stage("second", data=DATA, epochs=1, lr=1e-8, callbacks=[WATCH])
    ended = load_weights(run(plan(first, data=DATA), tmp_path)[0].model)
    run(plan(first, still, data=DATA), tmp_path)
    torch.testing.assert_close(Watch.steps[0]["head.3.weight"], ended["head.3.weight"], rtol=1e-4, atol=1e-6)
