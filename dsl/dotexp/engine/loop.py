"""The training loop of a stage: a function of the plan, the data and the seed, and little else on top of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dotexp.diagnostics import RunError
from dotexp.engine.controls import Controls, Used
from dotexp.engine.freezing import freeze, training_mode
from dotexp.engine.groups import parameter_groups
from dotexp.engine.guard import guard_for
from dotexp.engine.network import Network
from dotexp.engine.splitting import Splitting
from dotexp.engine.state import restore_optimizer
from dotexp.engine.watch import Watch
from dotexp.engine.weights import all_finite
from dotexp.parts import Batch, Part, TensorPart
from dotexp.plans import StagePlan
from dotexp.seeds import Draw, derive


@dataclass(frozen=True)
class Machinery:
    """What a loop needs to know of the machine: device, autocast, seeding of a step, workers of the data.

    With `split`, a batch that does not fit into memory is taken in pieces, and `split` hears of their size.
    """

    device: torch.device
    cast: Callable[[], AbstractContextManager[object]]
    seed: Callable[[int], None]
    workers: int = 0
    split: Callable[[int], None] | None = None


class StageLoop:
    """Trains a network through one stage, epoch by epoch, with an optimizer of its own.

    `step` counts the steps done; `between_steps` says that the data failed, and not a step. Raises
    RunError for a stage that trains nothing.
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
        self.between_steps = False
        self._splitting: Splitting | None = None
        if machinery.split is not None:
            self._splitting = Splitting(network, loss, machinery.cast, stage.batch_size, machinery.split)
        self._guard = guard_for(self.optimizer, machinery.device, self._not_finite)

    @property
    def train_loss(self) -> float | None:
        """Debiased moving average of the loss (0.98 a step) since the stage began."""
        return self._guard.average.value

    @property
    def used(self) -> Used:
        """Learning rates and momentum that the optimizer had, step by step."""
        return self._controls.used()

    def epoch(self, index: int, look: Callable[[int], None], watch: Watch | None = None) -> None:
        """Train epoch `index`, from 0, or what is left of it; `look` is called when `watch` says so, between steps.

        Raises RunError where the loss or the weights are no longer numbers.
        """
        training_mode(self._network, self.stage.frozen, self.stage.kept)
        self._steps(index, look, watch or Watch())
        self.settle(index)

    def settle(self, index: int) -> None:
        """Look at what was not looked at yet; raises RunError where the loss or the weights are no longer numbers."""
        self._guard.settle()
        if not all_finite([parameter.detach() for parameter in self._trained]):
            where = f"stage `{self.stage.name}`, after step {self.step} of {self.stage.steps} (epoch {index + 1})"
            raise RunError(f"{where}: some weights are no longer finite numbers{self._advice(self.step - 1)}")

    def state(self) -> dict[str, Any]:
        """All that the steps to come depend on, beside the network: a checkpoint's part of the stage."""
        return {
            "step": self.step,
            "average": self._guard.average.state,
            "optimizer": self.optimizer.state_dict(),
            "used": self._controls.used().as_state(),
            "pieces": self._splitting.size if self._splitting is not None else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where a loop of the same stage had got to."""
        self.step = state["step"]
        self._guard.average.restore(state["average"])
        restore_optimizer(self.optimizer, state["optimizer"])
        self._controls.restore(Used.of_state(state["used"]))
        if self._splitting is not None and state["pieces"] is not None:
            self._splitting.size = state["pieces"]

    def _steps(self, index: int, look: Callable[[int], None], watch: Watch) -> None:
        # Everything a step needs is bound to a local name: on small models the loop itself must cost next to nothing.
        stage, seed = self.stage, self._seed
        network, loss_of, optimizer = self._network, self._loss, self.optimizer
        apply, record, see = self._controls.apply, self._controls.record, self._guard.see
        cast, reseed, splitting = self._machinery.cast, self._machinery.seed, self._splitting
        watch.rest()
        step = max(self.step, index * stage.steps_per_epoch)
        self.step = step
        for batch in self._from(self._batches(Draw(seed, stage.name, index), step - index * stage.steps_per_epoch)):
            apply(step)
            drawn = derive(seed, "step", stage.name, step)
            reseed(drawn)
            optimizer.zero_grad(set_to_none=True)
            if splitting is None:
                with cast():
                    loss: Tensor = loss_of(network(*batch.inputs), batch.targets)
                see(loss, step)
                loss.backward()  # type: ignore[no-untyped-call]
            else:
                see(splitting.backward(batch, partial(reseed, drawn)), step)
            optimizer.step()
            record()
            step += 1
            self.step = step
            if monotonic() >= watch.due or step >= watch.step:
                look(step)

    def _batches(self, draw: Draw, done: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(draw.order())
        stage, part, machinery = self.stage, self._part, self._machinery
        if done == stage.steps_per_epoch:
            return iter(())
        order = torch.randperm(len(part), generator=generator)[: stage.steps_per_epoch * stage.batch_size]
        # Views of gathered tensors must lie in memory as they did before: rounding may depend on the alignment.
        skipped = 0 if isinstance(part, TensorPart) else done
        order = order[skipped * stage.batch_size :]
        batches = part.batches(order, stage.batch_size, draw, machinery.device, machinery.workers)
        return islice(batches, done - skipped, None)

    def _from(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, and note where it was they that failed: the state is whole then, and can be saved."""
        try:
            yield from batches
        except Exception:
            self.between_steps = True
            raise

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
