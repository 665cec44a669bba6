"""The optimizers that PyTorch does not have in the form wanted. Needs torch.

All of them work on lists of tensors at once, leave parameters without a gradient alone, and read the rate and the
momentum from their groups at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer


class DecayedSGD(SGD):
    """SGD with momentum whose decay acts on the weights, w -= lr*wd*w, before the step."""

    def __init__(self, groups: list[dict[str, Any]], momentum: float, fused: bool | None) -> None:
        own = [{**group, "weight_decay": 0.0, "decay": group["weight_decay"]} for group in groups]
        super().__init__(own, momentum=momentum, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Decay, then step."""
        loss = _evaluate(closure)
        # a step that torch's fused kernel is told to skip must skip the decay too
        skipped: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            if group["decay"]:
                rate = group["lr"] * group["decay"]
                factor = 1 - rate if skipped is None else 1 - rate * (1 - skipped)
                parameters = [p for p in group["params"] if p.grad is not None]
                if parameters:
                    torch._foreach_mul_(parameters, factor)
        super().step()
        return loss


class AveragedSGD(Optimizer):
    """SGD along the moving average S = a*g + (1-a)*S of the gradients, a = 1 - momentum, S = 0 at first."""

    def __init__(self, groups: list[dict[str, Any]], momentum: float) -> None:
        super().__init__(groups, {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step."""
        loss = _evaluate(closure)
        for group in self.param_groups:
            parameters, gradients = _decayed(group)
            if parameters:
                averages = _moments(self, "average", parameters)
                torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
                torch._foreach_add_(parameters, averages, alpha=-group["lr"])
        return loss


class RMSprop(Optimizer):
    """RMSprop in fastai's form: momentum sums raw gradients, and the sum is divided by the root of the squares."""

    def __init__(self, groups: list[dict[str, Any]], alpha: float, eps: float, momentum: float) -> None:
        super().__init__(groups, {"alpha": alpha, "eps": eps, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step."""
        loss = _evaluate(closure)
        for group in self.param_groups:
            parameters, gradients = _decayed(group)
            if parameters:
                roots = self._roots(group, parameters, gradients)
                torch._foreach_addcdiv_(parameters, self._summed(group, parameters, gradients), roots, -group["lr"])
        return loss

    def _roots(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        squares = _moments(self, "square", parameters)
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        return list(roots)

    def _summed(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        if not group["momentum"]:
            return gradients
        sums = _moments(self, "sum", parameters)
        torch._foreach_mul_(sums, group["momentum"])
        torch._foreach_add_(sums, gradients)
        return sums


def _evaluate(closure: Callable[[], float] | None) -> float | None:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _decayed(group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters that have a gradient, and their gradients, after the group's weight decay in its form."""
    parameters = [p for p in group["params"] if p.grad is not None]
    gradients = [p.grad for p in parameters]
    decay = group["weight_decay"]
    if decay and parameters:
        if group["decoupled"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * decay)
        else:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
    return parameters, gradients


def _moments(optimizer: Optimizer, name: str, parameters: list[Tensor]) -> list[Tensor]:
    """What the optimizer remembers of each parameter under this name, from 0 at first."""
    found = []
    for parameter in parameters:
        state = optimizer.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        found.append(state[name])
    return found
