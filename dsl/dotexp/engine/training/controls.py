"""Learning rates and momentum: set before every step, and recorded as the optimizer had them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from dotexp.components.calls import PluginError
from dotexp.language.diagnostics import RunError
from dotexp.planning.plan import StagePlan
from dotexp.planning.schedule_json import schedule_json


@dataclass(frozen=True)
class AppliedSchedule:
    """The learning rates, by the plan's group, and momentum that an optimizer had in a stage: a number a step."""

    name: str
    lr: tuple[array[float] | None, ...]
    momentum: array[float] | None

    def as_json(self) -> dict[str, Any]:
        """The stage's entry in schedule.json."""
        return {"name": self.name, **schedule_json(self.lr, self.momentum)}

    def as_state(self) -> dict[str, Any]:
        """The same in tensors, for a checkpoint."""
        return {"name": self.name, "lr": [_tensor(rates) for rates in self.lr], "momentum": _tensor(self.momentum)}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> AppliedSchedule:
        """Read back what `as_state` made."""
        return cls(state["name"], tuple(_array(rates) for rates in state["lr"]), _array(state["momentum"]))


class Controls:
    """Sets an optimizer's groups as the stage's plan says; `owners` gives each group's learning-rate group.

    Raises PluginError where the optimizer has other groups than it was given, or has no such momentum.
    """

    def __init__(self, optimizer: Optimizer, owners: Sequence[int], stage: StagePlan) -> None:
        require_groups(optimizer, len(owners), stage)
        groups: list[dict[str, Any]] = optimizer.param_groups
        key = stage.momentum_key if stage.momentum is not None else None
        self._stage = stage
        self._owners = tuple(owners)
        self._rates = [(group, _rates(stage, owner)) for group, owner in zip(groups, owners, strict=True)]
        self._used = [array("d") for _ in groups]
        self._used_momentum = array("d")
        self._records = [(used.append, group) for used, group in zip(self._used, groups, strict=True)]
        self._key = key
        self._momentum = stage.momentum or ()

    def apply(self, step: int) -> None:
        """Set the learning rates and momentum of step `step`, from 0."""
        for group, rates in self._rates:
            group["lr"] = rates[step]
        key = self._key
        if key is not None:
            momentum = self._momentum[step]
            for group, _ in self._rates:
                value = group[key]
                group[key] = (momentum, *value[1:]) if isinstance(value, tuple) else momentum

    def record(self) -> None:
        """Record what the optimizer had in the step just taken."""
        for append, group in self._records:
            append(group["lr"])
        if self._key is not None:
            value = self._rates[0][0][self._key]
            self._used_momentum.append(value[0] if isinstance(value, tuple) else value)

    def applied(self) -> AppliedSchedule:
        """The schedule so far; None for a group in which nothing trains."""
        rates: list[array[float] | None] = [None] * len(self._stage.groups)
        for owner, used in zip(self._owners, self._used, strict=True):
            rates[owner] = used
        return AppliedSchedule(self._stage.name, tuple(rates), self._used_momentum if self._key is not None else None)

    def restore(self, applied: AppliedSchedule) -> None:
        """Continue the record of a run that was interrupted."""
        for owner, own in zip(self._owners, self._used, strict=True):
            own[:] = applied.lr[owner] or array("d")
        self._used_momentum[:] = applied.momentum or array("d")


def require_groups(optimizer: Optimizer, count: int, stage: StagePlan) -> None:
    """Raise PluginError where a stage's optimizer has other groups than it was given, or no such momentum."""
    groups = optimizer.param_groups
    if len(groups) != count:
        raise PluginError(stage.optimizer, f"made {len(groups)} parameter groups of the {count} that it was given")
    key = stage.momentum_key if stage.momentum is not None else None
    if key is not None and any(key not in group for group in groups):
        raise PluginError(stage.optimizer, f"has no `{key}` in its parameter groups, which its facts name as momentum")


def _tensor(values: array[float] | None) -> Tensor | None:
    return None if values is None else torch.from_numpy(np.array(values, dtype=np.float64))


def _array(values: Tensor | None) -> array[float] | None:
    return None if values is None else array("d", values.numpy().tobytes())


def _rates(stage: StagePlan, owner: int) -> tuple[float, ...]:
    rates = stage.rates[owner]
    if rates is None:
        raise RunError(f"stage `{stage.name}` trains group `{stage.groups[owner].name}` without a learning rate")
    return rates
