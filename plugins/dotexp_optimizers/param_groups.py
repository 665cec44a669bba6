"""What the optimizers share: weight decay in its three forms, fused kernels, state of a parameter. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dotexp_optimizers.params import Decay

Groups = list[dict[str, Any]]

_FUSED = frozenset({"cpu", "cuda"})


def torch_groups(decay: Decay, groups: Groups) -> Groups:
    """Return the groups with torch's weight decay: doubled for `in_loss`, whose gradient is 2*wd*w."""
    factor = 2 if decay is Decay.in_loss else 1
    return [{**group, "weight_decay": factor * group["weight_decay"]} for group in groups]


def own_groups(decay: Decay, groups: Groups) -> Groups:
    """Return the groups as `decayed` reads them, with `decoupled` beside the weight decay."""
    return [{**group, "decoupled": decay is Decay.decoupled} for group in torch_groups(decay, groups)]


def fused(groups: Groups) -> bool | None:
    """Return True where torch's fused kernels take all parameters; None lets torch choose another kernel."""
    tensors = [parameter for group in groups for parameter in group["params"]]
    fits = all(p.device.type in _FUSED and torch.is_floating_point(p) for p in tensors)
    return True if tensors and fits else None


def evaluate(closure: Callable[[], float] | None) -> float | None:
    """Evaluate the closure of `Optimizer.step`, if there is one, with gradients enabled."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def decayed(group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Decay a group of `own_groups`; return the parameters that have a gradient, and their gradients."""
    parameters = [p for p in group["params"] if p.grad is not None]
    gradients = [p.grad for p in parameters]
    decay = group["weight_decay"]
    if decay and parameters:
        if group["decoupled"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * decay)
        else:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
    return parameters, gradients


def moments(optimizer: Optimizer, name: str, parameters: list[Tensor]) -> list[Tensor]:
    """Return each parameter's state of this name, which starts at 0."""
    found = []
    for parameter in parameters:
        state = optimizer.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        found.append(state[name])
    return found
