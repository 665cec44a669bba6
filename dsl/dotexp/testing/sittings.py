"""A plan's first stage trained in memory, whole, or from a state saved in its middle by new objects. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import machine
from dotexp.engine.evaluation import build_metrics
from dotexp.engine.stage_run import StageRun, open_network, open_stage
from dotexp.engine.state.state import from_bytes, pack, snapshot, to_bytes, unpack
from dotexp.engine.training.polling import Polling
from dotexp.planning.plan import Plan
from dotexp.sdk.callback import Callback


@dataclass(frozen=True)
class Saved:
    """A state as a checkpoint holds it: JSON and tensors, and the steps done."""

    step: int
    tree: Any
    tensors: bytes

    def state(self) -> Mapping[str, Any]:
        """Read it back."""
        state: Mapping[str, Any] = unpack(self.tree, from_bytes(self.tensors))
        return state


@dataclass(frozen=True)
class Trained:
    """A trained stage: the callbacks at its end, the weights, and the state saved in its middle."""

    callbacks: list[Callback]
    weights: Mapping[str, list[Any]]
    middle: Saved | None = None


def train(plan: Plan, start: Saved | None = None) -> Trained:
    """Train the plan's first stage, validating after each epoch; `start` is where an earlier training was saved."""
    with machine(plan.runtime) as device:
        store, stage = DataStore(), plan.stages[0]
        state = start.state() if start is not None else None
        tensors: dict[str, Tensor] | None = state["network"] if state is not None else None
        network = open_network(plan, store, device, tensors)
        run = open_stage(plan, stage, network, store, device)
        run.start()
        if state is not None:
            run.restore(state, 0.0)
        middle = _train(plan, run, device)
        run.callbacks.stage_ended()
        weights = {name: tensor.tolist() for name, tensor in network.state_dict().items()}
        return Trained(list(run.callbacks.built), weights, middle)


def _train(plan: Plan, run: StageRun, device: torch.device) -> Saved | None:
    """Train the epochs that are left; return the state after the first step of the second epoch, if it is passed."""
    stage = run.stage
    middle = min(stage.steps_per_epoch + 1, stage.steps)
    found: list[Saved] = []
    metrics = build_metrics(plan.metrics, plan.facts, device)

    def look(step: int) -> None:
        if step == middle and not found:
            tensors: dict[str, Tensor] = {}
            tree = pack({"network": dict(run.network.state_dict()), **run.state()}, tensors, "state")
            found.append(Saved(step, tree, to_bytes(snapshot(tensors))))

    for epoch in range(run.loop.step // stage.steps_per_epoch, stage.epochs):
        polling = Polling()
        polling.step = middle if run.loop.step < middle else stage.steps + 1
        run.loop.epoch(epoch, look, polling)
        if run.validate(epoch, metrics, lambda: False, lambda message: None).stopped is not None:
            break
    return found[0] if found else None
