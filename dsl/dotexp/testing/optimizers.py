"""Checks of an optimizer. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dotexp.components.bases import OptimizerParams
from dotexp.components.component import Use
from dotexp.components.facts import OptimizerFacts
from dotexp.engine.state.state import from_bytes, pack, restore_optimizer, snapshot, to_bytes, unpack
from dotexp.language.diagnostics import Problem, RunError
from dotexp.testing.attributes import attributes, differing
from dotexp.testing.trial import Check, Finding, Skip, Trial

_RATE = 0.01
_DECAY = 0.5
_STEPS = 3
_TRAINING_STEPS = 200
_TURNING_STEPS, _TURNING_RATE = 10, 0.3
"""Steps so large that gradients change their signs: before, an optimizer of signs steps alike with any momentum."""
_OWN = ("state", "param_groups", "defaults")
"""What torch's optimizers keep themselves."""


@dataclass
class _Bench:
    """A small regression, two of whose weights are decayed, and an optimizer of it.

    `weights` (3, 1) and `bias` (1,) train, `fixed` (2,) has a learning rate of 0, and `unused` (1,) gets no gradient.
    """

    use: Use
    rate: float = _RATE
    decay: float = 0.0

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(64, 3, generator=generator)
        self.targets = self.inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
        self.weights = torch.full((3, 1), 0.3).requires_grad_()
        self.bias = torch.full((1,), 0.2).requires_grad_()
        self.fixed = torch.ones(2, requires_grad=True)
        self.unused = torch.ones(1, requires_grad=True)
        torch.manual_seed(1)
        self.optimizer: Optimizer = self.use.build(self.groups())

    def groups(self) -> list[dict[str, Any]]:
        """Groups as the engine makes them."""
        made = (
            ("all", [self.weights, self.unused], self.rate, self.decay),
            ("all_undecayed", [self.bias], self.rate, 0.0),
            ("fixed", [self.fixed], 0.0, 0.0),
        )
        return [{"params": p, "lr": lr, "weight_decay": decay, "name": name} for name, p, lr, decay in made]

    def step(
        self, steps: int = _STEPS, rate: float | None = None, key: str | None = None, value: float = 0.0
    ) -> list[float]:
        """Take steps, at another rate or with another momentum if they are given; return the losses."""
        losses = []
        for _ in range(steps):
            for group in self.optimizer.param_groups[:2]:
                group["lr"] = self.rate if rate is None else rate
                if key is not None:
                    group[key] = (value, *group[key][1:]) if isinstance(group[key], tuple) else value
            self.optimizer.zero_grad(set_to_none=True)
            loss = ((self.inputs @ self.weights + self.bias - self.targets) ** 2).mean()
            (loss + self.fixed.sum()).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def tensors(self) -> list[Tensor]:
        """Copies of what trains."""
        return [self.weights.detach().clone(), self.bias.detach().clone()]


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(map(torch.equal, first, second))


def builds(trial: Trial) -> Iterator[Finding]:
    """A torch optimizer over the groups that it was given, in their order."""
    bench = _Bench(trial.use)
    optimizer = bench.optimizer
    if not isinstance(optimizer, Optimizer):
        yield Problem(f"its builder returned a {type(optimizer).__name__}", help="return a torch.optim.Optimizer")
        return
    given = [[id(p) for p in group["params"]] for group in bench.groups()]
    if [[id(p) for p in group["params"]] for group in optimizer.param_groups] != given:
        help = "hand `groups` over as they are: a policy sets the learning rate of each before every step"
        yield Problem(f"it has {len(optimizer.param_groups)} parameter groups, not the {len(given)} given", help=help)


def trains(trial: Trial) -> Iterator[Finding]:
    """The loss of a small regression halves."""
    losses = _Bench(trial.use).step(_TRAINING_STEPS)
    if not losses[-1] < losses[0] / 2:
        yield Problem(
            f"the loss of a linear regression went from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} steps at"
            f" lr = {_RATE}",
            help="look at the sign of the step, and at the scale of its defaults",
        )


def obeys_lr(trial: Trial) -> Iterator[Finding]:
    """Steps depend on the group's `lr` as it is when the step is taken, and are none at 0."""
    one, other = _Bench(trial.use), _Bench(trial.use)
    one.step()
    other.step(rate=2 * _RATE)
    if _same(one.tensors(), other.tensors()):
        help = 'read `group["lr"]` in `step`: a policy sets it before every step'
        yield Problem("its steps are the same at twice the `lr`", help=help)
    if not torch.equal(one.fixed, torch.ones(2)):
        help = 'multiply the whole step, and the decay, by `group["lr"]`: where a schedule is at 0 nothing may move'
        yield Problem("parameters moved at a learning rate of 0", help=help)


def obeys_weight_decay(trial: Trial) -> Iterator[Finding]:
    """The decay is the group's `weight_decay`, and a group at 0 has none."""
    if not isinstance(trial.use.params, OptimizerParams):
        yield Skip("its parameters do not extend OptimizerParams, so it has no weight decay")
        return
    plain, decayed = _Bench(trial.use), _Bench(trial.use, decay=_DECAY)
    plain.step(1)
    decayed.step(1)
    if torch.equal(plain.weights, decayed.weights):
        help = (
            'read `group["weight_decay"]` in `step`, or extend `Params`, which has no `wd`, and not `OptimizerParams`'
        )
        yield Problem("its steps are the same with and without weight decay", help=help)
    if not torch.equal(plain.bias, decayed.bias):
        help = 'read `group["weight_decay"]`: biases and norms are in groups of their own, where it is 0'
        yield Problem("a group with `weight_decay` 0 is decayed", help=help)
    other = _Bench(
        trial.use.replace(params=trial.use.params.model_copy(update={"wd": 2 * trial.use.params.wd + _DECAY}))
    )
    other.step(1)
    if not _same(plain.tensors(), other.tensors()):
        help = 'read `group["weight_decay"]` and not `params.wd`, which does not know what is not decayed'
        yield Problem("its steps depend on `wd` where every group's `weight_decay` is 0", help=help)


def obeys_momentum(trial: Trial) -> Iterator[Finding]:
    """The key that `OptimizerFacts.momentum` names is in every group, and read in each step."""
    key = trial.use.facts_as(OptimizerFacts).momentum
    if key is None:
        yield Skip("its facts name no momentum for a policy to set")
        return
    bench, other = _Bench(trial.use), _Bench(trial.use)
    if any(key not in group for group in bench.optimizer.param_groups):
        help = f"hand it to torch's Optimizer among the defaults: `super().__init__(groups, {{'{key}': …}})`"
        yield Problem(f"its groups have no `{key}`, which its facts name as the momentum", help=help)
        return
    bench.step(_TURNING_STEPS, _TURNING_RATE, key, 0.5)
    other.step(_TURNING_STEPS, _TURNING_RATE, key, 0.9)
    if _same(bench.tensors(), other.tensors()):
        help = f'read `group["{key}"]` in `step`, or leave `momentum` out of the facts'
        yield Problem(f"its steps are the same whatever `{key}` is", help=help)


def is_deterministic(trial: Trial) -> Iterator[Finding]:
    """The same steps from the same start, bit for bit."""
    one, other = _Bench(trial.use), _Bench(trial.use)
    one.step()
    other.step()
    if not _same(one.tensors(), other.tensors()):
        help = "draw from torch's generators, which are seeded before every step, and keep nothing in the module"
        yield Problem("the same steps from the same start end elsewhere", help=help)


def resumes(trial: Trial) -> Iterator[Finding]:
    """Saved, loaded into a new one and stepped on, it is where it would have been, bit for bit."""
    whole, first, second, again = (_Bench(trial.use) for _ in range(4))
    whole.step(2 * _STEPS)
    again.step(2 * _STEPS)
    first.step()
    tensors: dict[str, Tensor] = {}
    try:
        tree = pack(first.optimizer.state_dict(), tensors, "state")
        saved = unpack(tree, from_bytes(to_bytes(snapshot(tensors))))
        with torch.no_grad():
            for mine, theirs in zip((second.weights, second.bias), first.tensors(), strict=True):
                mine.copy_(theirs)
        restore_optimizer(second.optimizer, saved)
    except RunError as error:
        help = "keep tensors, numbers and text in `self.state[parameter]` and in the groups"
        yield Problem(str(error), help=help)
        return
    second.step()
    lost = differing(*(attributes(each.optimizer, _OWN) for each in (whole, again, second)))
    names = ", ".join(f"`self.{name}`" for name in lost)
    if not _same(whole.tensors(), second.tensors()):
        outside = f": {names} {'is' if len(lost) == 1 else 'are'} not saved" if lost else ""
        help = "keep what later steps depend on in `self.state[parameter]` or in the groups, which a checkpoint saves"
        yield Problem(f"saved and loaded it takes other steps{outside}", help=help)
    elif lost:
        help = "keep it in `self.state[parameter]` or in the groups: later steps may depend on it"
        yield Problem(f"it keeps {names} outside `self.state`, which a checkpoint does not save", help=help)


CHECKS: tuple[Check, ...] = (
    builds, trains, obeys_lr, obeys_weight_decay, obeys_momentum, is_deterministic, resumes,
)  # fmt: skip
