"""A stage opened: what its training needs, made in one place for run, resume, lr-find, verify and the estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from dotexp.engine.blame import Owner, data_owners, network_owners
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, seeder
from dotexp.engine.build.network import Network, build_network, network_from, prepare_network, without_weights
from dotexp.engine.build.weights import all_finite
from dotexp.engine.evaluation import Metric, evaluate, named_metrics
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.engine.training.proof import Proof
from dotexp.experiment.experiment import OnOom, Precision, RewriteName
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.results import EpochRow
from dotexp.sdk.callback import Training
from dotexp.sdk.data import Data
from dotexp.sdk.seeds import derive


class ValidationStopped(Exception):
    """Raised from `StageRun.validate` where the user stops the run meanwhile; the trained weights are back in place."""


class StageRun:
    """A stage with everything that trains it: network, loss, data, loop with its optimizer, callbacks.

    What is frozen is frozen. Steps may be taken, and `proof` asked, once `start` was called.
    """

    proof: Proof

    def __init__(
        self, plan: Plan, stage: StagePlan, network: Network, loss: nn.Module, data: Data, loop: StageLoop
    ) -> None:
        self.stage = stage
        self.network = network
        self.loss = loss
        self.data = data
        self.loop = loop
        self.callbacks = loop.callbacks
        self._plan = plan
        self._epoch_started = perf_counter()
        self._warned = False
        self._warned_of_logged = False

    def start(self, digests: Mapping[str, str] | None = None) -> None:
        """Take the digests that freezing is proved with, and tell the callbacks that the stage starts.

        `digests` are those of the stage's start, where it is resumed in the middle.
        """
        self.proof = Proof(self.network, self.stage, digests or {})
        self._epoch_started = perf_counter()
        loop, named = self.loop, named_metrics(self._plan.metrics)
        training = Training(self.stage, self._plan.facts, self.network, loop.optimizer, loop.trained, named)
        self.callbacks.stage_started(training)

    def owners(self) -> Iterator[Owner]:
        """Yield the stage's objects that components' builders made, with the components."""
        yield from network_owners(self.network, self._plan.model)
        yield self.loss, self.stage.loss
        yield self.loop.optimizer, self.stage.optimizer
        yield from zip(self.callbacks.built, self.stage.callbacks, strict=True)
        yield from data_owners(self.data, self.stage.data)

    @property
    def epoch_seconds(self) -> float:
        """Time since the epoch under way began, interruptions left out."""
        return perf_counter() - self._epoch_started

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the stage, beside the network."""
        loop = self.loop
        loop.settle(max(0, loop.step - 1) // self.stage.steps_per_epoch)
        return {"loss": self.loss.state_dict(), "loop": loop.state()}

    def restore(self, state: Mapping[str, Any], epoch_seconds: float) -> None:
        """Continue from a checkpoint's `state`, so many seconds into the epoch."""
        self.loss.load_state_dict(state["loss"])
        self.loop.restore(state["loop"])
        self._epoch_started -= epoch_seconds

    def validate(
        self,
        epoch: int,
        metrics: Mapping[str, Metric],
        stopping: Callable[[], bool],
        warn: Callable[[str], None],
    ) -> EpochRow:
        """Validate after epoch `epoch`, from 0, and ask the callbacks whether to stop the stage.

        `warn` hears, once a stage, of numbers that are not finite. Raises ValidationStopped once `stopping` says so,
        which is asked after every batch.
        """

        def look() -> None:
            if stopping():
                raise ValidationStopped

        loop, callbacks, machinery = self.loop, self.callbacks, self.loop.machinery
        machinery.seed(derive(self._plan.seed, "valid", self.stage.name, epoch))
        callbacks.before_validation()
        try:
            numbers = evaluate(
                self.network, self.loss, metrics, self.data.part("valid"), self.stage.batch_size, machinery.device,
                machinery.cast, machinery.workers, look, self.data.part("train"),
                self.stage.applies(RewriteName.gather_epoch),
            )  # fmt: skip
        except ValidationStopped:
            callbacks.after_validation()
            raise
        row = EpochRow(
            self.stage.name, epoch + 1, loop.step, loop.train_loss, numbers.loss, numbers.metrics, self.epoch_seconds
        )
        if not self._warned and (faults := "; ".join(numbers.faults())):
            self._warned = True
            warn(f"stage `{self.stage.name}`, epoch {epoch + 1}: {faults}: {self._reason()}")
        reason = callbacks.epoch_ended(replace(row, logged=callbacks.logged.values()))
        callbacks.after_validation()
        self._epoch_started = perf_counter()
        logged, bad = callbacks.take_logged()
        if bad and not self._warned_of_logged:
            self._warned_of_logged = True
            warn(f"stage `{self.stage.name}`, epoch {epoch + 1}: {'; '.join(bad)}")
        return replace(row, stopped=reason if epoch + 1 < self.stage.epochs else None, logged=logged)

    def _reason(self) -> str:
        """Say where validation's numbers that are not finite may come from."""
        held = self.network.state_dict()
        bad = [name for name, tensor in held.items() if tensor.is_floating_point() and not all_finite([tensor])]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            return f"`{bad[0]}`{more} of the model holds numbers that are not finite"
        return "the model's own numbers are finite, so look for validation examples that hold others, or are extreme"


def open_network(
    plan: Plan,
    store: DataStore,
    device: torch.device,
    tensors: Mapping[str, Tensor] | None = None,
    source: Path = Path(),
    pretrained: bool = True,
) -> Network:
    """Build a plan's network on a device: with its initial weights, or filled with `tensors`, which are from `source`.

    Pretrained weights are opened for the initial ones alone, and not without `pretrained`. Raises ComponentError E405
    for weights that do not fit.
    """
    seeder(device)(derive(plan.seed, "build"))
    if tensors is not None:  # they hold what the model has learned of the training set, too
        return network_from(plan.model, plan.facts, tensors, source).to(device)
    network = build_network(plan.model if pretrained else without_weights(plan.model), plan.facts, plan.seed)
    prepare_network(network, store.get(plan.data, plan.seed).part("train"))
    return network.to(device)


def open_stage(
    plan: Plan,
    stage: StagePlan,
    network: Network,
    store: DataStore,
    device: torch.device,
    on_split: Callable[[int], None] | None = None,
) -> StageRun:
    """Open a stage over a network: freeze what it freezes, and build its loss, optimizer and callbacks.

    `on_split` hears of the size of micro-batches where a batch does not fit into memory and the plan allows them.
    Raises RunError for a stage that trains nothing.
    """
    machinery = _machinery(plan, device, on_split)
    machinery.seed(derive(plan.seed, "stage", stage.name))
    data = store.get(stage.data, plan.seed)
    loss: nn.Module = stage.loss.build(plan.facts).to(device)
    callbacks = StageCallbacks(stage.callbacks)
    loop = StageLoop(stage, network, loss, data.part("train"), plan.seed, machinery, callbacks)
    return StageRun(plan, stage, network, loss, data, loop)


def _machinery(plan: Plan, device: torch.device, on_split: Callable[[int], None] | None) -> Machinery:
    runtime = plan.runtime
    split = (on_split or _unheard) if runtime.on_oom is OnOom.in_pieces else None
    scaled = runtime.precision is Precision.f16
    return Machinery(device, autocast(device, runtime.precision), seeder(device), runtime.workers, split, scaled)


def _unheard(size: int) -> None:
    """Tell nobody."""
