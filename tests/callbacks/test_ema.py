"""Averaged weights: against the same averages in float64, and without a trace in the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import Component, Params, Use
from dotexp.engine.build.network import build_network
from dotexp.engine.build.weights import load_weights
from dotexp.engine.evaluation import evaluate_run
from dotexp.engine.executor import execute
from dotexp.experiment.experiment import FreezeLayers, LayerSpan
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult
from dotexp.sdk.callback import Callback, EpochRow, Training
from toys import ImagesParams, callback, plan, same, stage

DATA = ImagesParams(batch_size=8)


class WatchParams(Params):
    """Writes down the weights after each step."""


class Watch(Callback):
    """Writes down the trained weights, and the state that is validated."""

    steps: list[dict[str, torch.Tensor]]
    validated: list[dict[str, torch.Tensor]]

    def __init__(self, params: WatchParams) -> None:
        Watch.steps, Watch.validated = [], []

    def stage_started(self, training: Training) -> None:
        """Take the network."""
        self.network = training.network

    def after_step(self, step: int) -> None:
        """Copy the weights."""
        self.steps.append({name: p.detach().clone() for name, p in self.network.named_parameters()})

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Copy the state."""
        self.validated.append({name: tensor.clone() for name, tensor in self.network.state_dict().items()})
        return None


WATCH = Use(component=Component("callback", "watch", WatchParams, f"{__name__}:Watch"), params=WatchParams())


def run(planned: Plan, root: Path) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.experiment.name, root)
    return folder, execute(planned, folder)


def averaging(*callbacks: Use, **more: Any) -> Plan:
    """One stage with these callbacks."""
    return plan(stage(data=DATA, callbacks=[*callbacks, WATCH], **more), data=DATA)


@pytest.mark.parametrize("warmup", [False, True])
def test_the_averages_are_those_of_the_weights_after_each_step(tmp_path: Path, warmup: bool) -> None:
    planned = averaging(callback("ema", decay=0.3, warmup=warmup))
    start = dict(build_network(planned.experiment.model, planned.facts, 42).named_parameters())
    averages = {name: parameter.detach().double() for name, parameter in start.items()}
    folder, _ = run(planned, tmp_path)
    assert len(Watch.steps) == 8
    for step, weights in enumerate(Watch.steps):
        decay = min(0.3, (1 + step) / (10 + step)) if warmup else 0.3
        averages = {name: decay * averages[name] + (1 - decay) * weights[name].double() for name in averages}
        if step == 3:
            for name, average in averages.items():
                torch.testing.assert_close(Watch.validated[0][name].double(), average, rtol=1e-5, atol=1e-7)
    saved = load_weights(folder.model)
    for name, average in averages.items():
        torch.testing.assert_close(saved[name].double(), average, rtol=1e-5, atol=1e-7)


def test_training_goes_on_as_without_them(tmp_path: Path) -> None:
    """Bit for bit: the averages are put in for the validation, and taken out again."""
    plain, _ = run(averaging(), tmp_path)
    expected = Watch.steps
    averaged, _ = run(averaging(callback("ema", decay=0.9)), tmp_path)
    assert [same(one, other) for one, other in zip(expected, Watch.steps, strict=True)] == [
        set(one) for one in expected
    ]
    buffers = {name for name in load_weights(plain.model) if "running" in name or "batches" in name}
    assert same(load_weights(plain.model), load_weights(averaged.model)) == buffers
    assert len(buffers) == 6


def test_validation_sees_the_averages(tmp_path: Path) -> None:
    folder, result = run(averaging(callback("ema", decay=0.5)), tmp_path)
    weights = load_weights(folder.model)
    assert same(weights, Watch.validated[-1]) == set(weights)
    assert not same(Watch.steps[-1], weights)
    assert evaluate_run(averaging(), folder, "valid").loss == pytest.approx(result.stages[0].valid_loss, rel=1e-6)


def test_only_what_trains_is_averaged(tmp_path: Path) -> None:
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    planned = averaging(callback("ema"), freeze=body)
    start = build_network(planned.experiment.model, planned.facts, 42).state_dict()
    end = load_weights(run(planned, tmp_path)[0].model)
    assert set(start) - same(start, end) == {"head.3.weight", "head.3.bias"}


def test_a_next_stage_starts_from_the_averages(tmp_path: Path) -> None:
    first = stage("first", data=DATA, callbacks=[callback("ema")])
    still = stage("second", data=DATA, epochs=1, lr=1e-8, callbacks=[WATCH])
    ended = load_weights(run(plan(first, data=DATA), tmp_path)[0].model)
    run(plan(first, still, data=DATA), tmp_path)
    torch.testing.assert_close(Watch.steps[0]["head.3.weight"], ended["head.3.weight"], rtol=1e-4, atol=1e-6)
