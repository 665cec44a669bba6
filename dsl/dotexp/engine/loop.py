"""The training loop of a stage: a function of the plan, the data and the seed, and little else on top of torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dotexp.diagnostics import RunError
from dotexp.engine.controls import Controls
from dotexp.engine.freezing import freeze, training_mode
from dotexp.engine.groups import parameter_groups
from dotexp.engine.guard import guard_for
from dotexp.engine.network import Network
from dotexp.engine.weights import all_finite
from dotexp.parts import Part
from dotexp.plan import StagePlan
from dotexp.seeds import Draw, derive

PROGRESS_SECONDS = 0.25


@dataclass(frozen=True)
class Machinery:
    """What a loop needs to know of the machine: device, autocast, seeding of a step, workers of the data."""

    device: torch.device
    cast: Callable[[], AbstractContextManager[object]]
    seed: Callable[[int], None]
    workers: int = 0


class StageLoop:
    """Trains a network through one stage, epoch by epoch, with an optimizer of its own.

    `step` counts the steps done. Raises RunError for a stage that trains nothing.
    """

    def __init__(
        self, stage: StagePlan, network: Network, loss: nn.Module, part: Part, seed: int, machinery: Machinery
    ) -> None:
        freeze(network, stage.frozen, stage.kept)
        groups = parameter_groups(network, stage)
        if not groups:
            raise RunError(f"stage `{stage.name}` trains nothing: all of it is frozen")
        if stage.steps_per_epoch * stage.batch_size > len(part):
            raise RunError(f"stage `{stage.name}` was planned for more examples than the {len(part)} there are")
        first = [(stage.rates[group.owner] or (0.0,))[0] for group in groups]
        self.stage = stage
        self.step = 0
        self._network = network
        self._loss = loss
        self._part = part
        self._seed = seed
        self._machinery = machinery
        self._trained = [parameter for group in groups for parameter in group.parameters]
        self.optimizer: Optimizer = stage.optimizer.build(
            [group.as_torch(lr) for group, lr in zip(groups, first, strict=True)]
        )
        self._controls = Controls(self.optimizer, [group.owner for group in groups], stage)
        self._guard = guard_for(self.optimizer, machinery.device, self._not_finite)

    @property
    def train_loss(self) -> float | None:
        """Debiased moving average of the loss (0.98 a step) since the stage began."""
        return self._guard.average.value

    @property
    def used(self) -> dict[str, Any]:
        """Learning rates and momentum that the optimizer had, step by step."""
        return self._controls.used()

    def epoch(self, index: int, progress: Callable[[int], None]) -> None:
        """Train epoch `index`, from 0. Raises RunError where the loss or the weights are no longer numbers."""
        training_mode(self._network, self.stage.frozen, self.stage.kept)
        self._steps(index, progress)
        self._guard.settle()
        if not all_finite([parameter.detach() for parameter in self._trained]):
            where = f"stage `{self.stage.name}`, after step {self.step} of {self.stage.steps} (epoch {index + 1})"
            raise RunError(f"{where}: some weights are no longer finite numbers{self._advice(self.step - 1)}")

    def _steps(self, index: int, progress: Callable[[int], None]) -> None:
        # Everything a step needs is bound to a local name: on small models the loop itself must cost next to nothing.
        stage, seed = self.stage, self._seed
        network, loss_of, optimizer = self._network, self._loss, self.optimizer
        apply, record, see = self._controls.apply, self._controls.record, self._guard.see
        cast, reseed = self._machinery.cast, self._machinery.seed
        due = monotonic() + PROGRESS_SECONDS
        step = index * stage.steps_per_epoch
        for batch in self._batches(Draw(seed, stage.name, index)):
            apply(step)
            reseed(derive(seed, "step", stage.name, step))
            optimizer.zero_grad(set_to_none=True)
            with cast():
                loss: Tensor = loss_of(network(*batch.inputs), batch.targets)
            see(loss, step)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            record()
            step += 1
            self.step = step
            if monotonic() >= due:
                progress(step)
                due = monotonic() + PROGRESS_SECONDS

    def _batches(self, draw: Draw) -> Any:
        generator = torch.Generator().manual_seed(draw.order())
        whole = self.stage.steps_per_epoch * self.stage.batch_size
        order = torch.randperm(len(self._part), generator=generator)[:whole]
        machinery = self._machinery
        return self._part.batches(order, self.stage.batch_size, draw, machinery.device, machinery.workers)

    def _not_finite(self, step: int, value: float) -> RunError:
        stage = self.stage
        epoch = step // stage.steps_per_epoch + 1
        where = f"stage `{stage.name}`, step {step + 1} of {stage.steps} (epoch {epoch})"
        return RunError(f"{where}: the loss is {value}; the step was not taken{self._advice(step)}")

    def _advice(self, step: int) -> str:
        named = zip(self.stage.groups, self.stage.rates, strict=True)
        rates = ", ".join(f"{rates[step]:.3g} for `{group.name}`" for group, rates in named if rates is not None)
        return (
            f". The learning rate was {rates}. Try a lower one first, then look for examples whose inputs or targets"
            " are not numbers, and for a loss that does not fit the targets"
        )
