"""The training loop of a stage: a function of the plan, the data and the seed, and little else on top of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dotexp.components.facts import OptimizerFacts
from dotexp.engine.build.network import Network
from dotexp.engine.build.weights import all_finite
from dotexp.engine.state.state import restore_optimizer
from dotexp.engine.training.accumulation import Accumulation, Gradient
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.engine.training.controls import AppliedSchedule, Controls
from dotexp.engine.training.freezing import freeze, training_mode
from dotexp.engine.training.groups import parameter_groups, sparse_tables
from dotexp.engine.training.guard import EachStep, Guard, NotFiniteError, OnDevice
from dotexp.engine.training.loss_scale import LossScaler
from dotexp.engine.training.micro_batches import MicroBatches
from dotexp.engine.training.ordering import batches_of_pieces, read_batches
from dotexp.engine.training.polling import Polling
from dotexp.experiment.experiment import RewriteName
from dotexp.language.diagnostics import RunError
from dotexp.planning.plan import StagePlan
from dotexp.sdk.data import Batch, Part, Shuffling
from dotexp.sdk.seeds import Draw, derive


@dataclass(frozen=True)
class Machinery:
    """What a loop needs to know of the machine: device, autocast, seeding of a step, workers of the data.

    With `split`, a batch that does not fit into memory is taken in micro-batches; `split` hears of their size. With
    `scaled`, the loss is scaled for the backward pass, as f16 needs.
    """

    device: torch.device
    cast: Callable[[], AbstractContextManager[object]]
    seed: Callable[[int], None]
    workers: int = 0
    split: Callable[[int], None] | None = None
    scaled: bool = False


class StageLoop:
    """Trains a network through one stage, epoch by epoch, with an optimizer of its own.

    `step` counts the optimizer's steps done, `trained` are the parameters that it moves; `between_steps` says that the
    data failed, and not a step. Raises RunError for a stage that trains nothing.
    """

    def __init__(
        self,
        stage: StagePlan,
        network: Network,
        loss: nn.Module,
        part: Part,
        seed: int,
        machinery: Machinery,
        callbacks: StageCallbacks | None = None,
    ) -> None:
        freeze(network, stage.frozen, stage.kept)
        sparse_tables(network, stage.optimizer.facts_as(OptimizerFacts).sparse)
        groups = parameter_groups(network, stage)
        if not groups:
            raise RunError(f"stage `{stage.name}` trains nothing: all of it is frozen")
        if stage.steps_per_epoch * stage.batches_per_step * stage.batch_size > len(part):
            raise RunError(f"stage `{stage.name}` was planned for more examples than the {len(part)} there are")
        first = [(stage.rates[group.owner] or (0.0,))[0] for group in groups]
        self.stage = stage
        self.step = 0
        self._network = network
        self._loss = loss
        self._part = part
        self._seed = seed
        self.machinery = machinery
        self.callbacks = callbacks or StageCallbacks()
        self.trained = tuple(parameter for group in groups for parameter in group.parameters)
        self.optimizer: Optimizer = stage.optimizer.build(
            [group.as_torch(lr) for group, lr in zip(groups, first, strict=True)]
        )
        self._controls = Controls(self.optimizer, [group.owner for group in groups], stage)
        self.between_steps = False
        self._splitting: MicroBatches | None = None
        self._gradient: Gradient | None = None
        self._scaling = LossScaler(self.optimizer, machinery.device) if machinery.scaled else None
        self._backward: Callable[[Tensor], None] = Tensor.backward if self._scaling is None else self._scaling.backward
        self._choose_gradient()
        self._guard: Guard = (
            OnDevice(self._not_finite, self.optimizer, machinery.device)
            if stage.applies(RewriteName.async_loss_check)
            else EachStep(self._not_finite)
        )

    def _choose_gradient(self) -> None:
        """Choose micro-batches where a batch may not fit into memory, or gradient accumulation where asked for."""
        stage, machinery, backward = self.stage, self.machinery, self._backward
        change, cast = self.callbacks.change_batch, machinery.cast
        if machinery.split is not None:
            self._splitting = MicroBatches(
                self._network, self._loss, cast, stage.batch_size, machinery.split, change, backward
            )
            self._gradient = self._splitting
        elif stage.batches_per_step > 1:
            batches = stage.batches_per_step
            self._gradient = Accumulation(self._network, self._loss, cast, batches, change, backward)

    @property
    def train_loss(self) -> float | None:
        """Debiased moving average of the loss (0.98 a step) since the stage began."""
        return self._guard.average.value

    @property
    def skipped_steps(self) -> int:
        """Steps skipped since their gradients overflowed in f16."""
        return self._scaling.skipped if self._scaling is not None else 0

    @property
    def applied(self) -> AppliedSchedule:
        """Learning rates and momentum that the optimizer had, step by step."""
        return self._controls.applied()

    def epoch(self, index: int, look: Callable[[int], None], polling: Polling | None = None) -> None:
        """Train epoch `index`, from 0, or what is left of it; `look` is called when `polling` says so, between steps.

        Raises RunError where the loss or the weights are no longer numbers.
        """
        training_mode(self._network, self.stage.frozen, self.stage.kept)
        self._steps(index, look, polling or Polling())
        self.settle(index)

    def settle(self, index: int) -> None:
        """Look at what was not looked at yet; raises RunError where the loss or the weights are no longer numbers."""
        self._guard.settle()
        where = f"stage `{self.stage.name}`, after step {self.step} of {self.stage.steps} (epoch {index + 1})"
        if not all_finite([parameter.detach() for parameter in self.trained]):
            raise NotFiniteError(f"{where}: some weights are no longer finite numbers{self._advice(self.step - 1)}")
        if self._scaling is not None and self._scaling.hopeless:
            said = "gradients are not finite in f16, however the loss is scaled: take bf16 or f32"
            raise NotFiniteError(f"{where}: {said}")

    def state(self) -> dict[str, Any]:
        """All that the steps to come depend on, beside the network: a checkpoint's part of the stage."""
        return {
            "step": self.step,
            "average": self._guard.average.state,
            "optimizer": self.optimizer.state_dict(),
            "used": self._controls.applied().as_state(),
            "pieces": self._splitting.size if self._splitting is not None else None,
            "callbacks": self.callbacks.state(),
            "logged": self.callbacks.logged.state(),
            "scaling": self._scaling.state() if self._scaling is not None else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where a loop of the same stage had got to."""
        self.step = state["step"]
        self._guard.average.restore(state["average"])
        restore_optimizer(self.optimizer, state["optimizer"])
        self._controls.restore(AppliedSchedule.of_state(state["used"]))
        if self._splitting is not None and state["pieces"] is not None:
            self._splitting.size = state["pieces"]
        self.callbacks.restore(state.get("callbacks", {}))
        self.callbacks.logged.restore(state.get("logged", {}))
        if self._scaling is not None:
            self._scaling.restore(state["scaling"])

    def _steps(self, index: int, look: Callable[[int], None], polling: Polling) -> None:
        # Everything a step needs is bound to a local name: on small models the loop itself must cost next to nothing.
        stage, seed = self.stage, self._seed
        network, loss_of, optimizer = self._network, self._loss, self.optimizer
        apply, record, see = self._controls.apply, self._controls.record, self._guard.see
        cast, reseed, gradient = self.machinery.cast, self.machinery.seed, self._gradient
        change, before, after = self.callbacks.change_batch, self.callbacks.before_step, self.callbacks.after_step
        more, scaling, backward = stage.batches_per_step - 1, self._scaling, self._backward
        move = optimizer.step if scaling is None else scaling.step
        polling.rest()
        step = max(self.step, index * stage.steps_per_epoch)
        self.step = step
        batches = self._from(self._batches(Draw(seed, stage.name, index), step - index * stage.steps_per_epoch))
        for batch in batches:
            apply(step)
            optimizer.zero_grad(set_to_none=True)
            if gradient is None:
                reseed(derive(seed, "step", stage.name, step))
                if change is not None:
                    batch = change(batch)
                with cast():
                    loss: Tensor = loss_of(network(*batch.inputs), batch.targets)
                see(loss, step)
                backward(loss)
            else:
                see(gradient.backward(chain((batch,), islice(batches, more)), partial(self._reseed, step)), step)
            if scaling is not None:
                scaling.unscale()
            for hook in before:
                hook(step)
            move()
            for hook in after:
                hook(step)
            record()
            step += 1
            self.step = step
            if monotonic() >= polling.due or step >= polling.step:
                look(step)

    def _reseed(self, step: int, place: int) -> None:
        """Seed what is drawn for the batch at a place of a step, from 0; the first one's draws are the step's."""
        position = (step, place) if place else (step,)
        self.machinery.seed(derive(self._seed, "step", self.stage.name, *position))

    def _batches(self, draw: Draw, done: int) -> Iterator[Batch]:
        """The epoch's batches that are left after `done` steps."""
        stage, part, machinery = self.stage, self._part, self.machinery
        if done == stage.steps_per_epoch:
            return iter(())
        gather = stage.applies(RewriteName.gather_epoch)

        def read(rows: Tensor) -> Iterator[Batch]:
            return read_batches(part, rows, stage.batch_size, draw, machinery.device, machinery.workers, gather)

        each = stage.batches_per_step
        wanted = stage.steps_per_epoch * each
        if isinstance(part, Shuffling):
            return batches_of_pieces(part.order(draw.order()), stage.batch_size, done * each, wanted, read)
        generator = torch.Generator().manual_seed(draw.order())
        order = torch.randperm(len(part), generator=generator)[: wanted * stage.batch_size]
        return read(order[done * each * stage.batch_size :])

    def _from(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, and note where it was they that failed between two steps: the state can be saved then."""
        passed = 0
        try:
            for batch in batches:
                yield batch
                passed += 1
        except Exception:
            self.between_steps = passed % self.stage.batches_per_step == 0
            raise

    def _not_finite(self, step: int, value: float) -> RunError:
        stage = self.stage
        epoch = step // stage.steps_per_epoch + 1
        where = f"stage `{stage.name}`, step {step + 1} of {stage.steps} (epoch {epoch})"
        return NotFiniteError(f"{where}: the loss is {value}; the step was not taken{self._advice(step)}")

    def _advice(self, step: int) -> str:
        named = zip(self.stage.groups, self.stage.rates, strict=True)
        rates = ", ".join(f"{rates[step]:.3g} for `{group.name}`" for group, rates in named if rates is not None)
        return (
            f". The learning rate was {rates}. Try a lower one first, then look for examples whose inputs or targets"
            " are not numbers, and for a loss that does not fit the targets"
        )
