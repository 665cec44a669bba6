"""Learning rates and momentum: set before every step, and written down as the optimizer had them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from dotexp.diagnostics import RunError
from dotexp.plan import StagePlan


class Controls:
    """Sets an optimizer's groups as the stage's plan says; `owners` gives each group's learning-rate group.

    Raises RunError where the optimizer has other groups than it was given, or has no such momentum.
    """

    def __init__(self, optimizer: Optimizer, owners: Sequence[int], stage: StagePlan) -> None:
        groups: list[dict[str, Any]] = optimizer.param_groups
        if len(groups) != len(owners):
            raise RunError(f"optimizer `{stage.optimizer.name}` made {len(groups)} groups of {len(owners)}")
        key = stage.momentum_key if stage.momentum is not None else None
        if key is not None and any(key not in group for group in groups):
            raise RunError(f"optimizer `{stage.optimizer.name}` has no `{key}`, which the momentum should move")
        self._stage = stage
        self._owners = tuple(owners)
        self._rates = [(group, _rates(stage, owner)) for group, owner in zip(groups, owners, strict=True)]
        self._used: list[list[float]] = [[] for _ in groups]
        self._used_momentum: list[Any] = []
        self._records = [(used.append, group) for used, group in zip(self._used, groups, strict=True)]
        self._key = key
        self._momentum = stage.momentum or ()

    def apply(self, step: int) -> None:
        """Set what step `step`, from 0, shall have."""
        for group, rates in self._rates:
            group["lr"] = rates[step]
        key = self._key
        if key is not None:
            momentum = self._momentum[step]
            for group, _ in self._rates:
                value = group[key]
                group[key] = (momentum, *value[1:]) if isinstance(value, tuple) else momentum

    def record(self) -> None:
        """Write down what the optimizer had in the step just made."""
        for append, group in self._records:
            append(group["lr"])
        if self._key is not None:
            self._used_momentum.append(self._rates[0][0][self._key])

    def used(self) -> dict[str, Any]:
        """Learning rates, a list a group of the plan (None where nothing in it trains), and momentum, step by step."""
        rates: list[list[float] | None] = [None] * len(self._stage.groups)
        for owner, used in zip(self._owners, self._used, strict=True):
            rates[owner] = used
        first = [value[0] if isinstance(value, tuple) else value for value in self._used_momentum]
        return {"name": self._stage.name, "lr": rates, "momentum": first if self._key is not None else None}


def _rates(stage: StagePlan, owner: int) -> tuple[float, ...]:
    rates = stage.rates[owner]
    if rates is None:
        raise RunError(f"stage `{stage.name}` trains group `{stage.groups[owner].name}` without a learning rate")
    return rates
