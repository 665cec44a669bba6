"""SGD, with momentum as torch sums it or as an average. Needs torch.

torch's fused kernel is used wherever it computes exactly what is asked for. All steps work on lists of tensors at once,
leave parameters without a gradient alone, and read learning rate and momentum from the groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from dotexp_optimizers.param_groups import Groups, decayed, evaluate, fused, moments, own_groups, torch_groups
from dotexp_optimizers.params import Decay, MomentumForm, SgdParams


class DecayedSGD(SGD):
    """SGD with momentum and decoupled decay: w -= lr*wd*w before the step."""

    def __init__(self, groups: Groups, momentum: float, fused: bool | None) -> None:
        own = [{**group, "weight_decay": 0.0, "decay": group["weight_decay"]} for group in groups]
        super().__init__(own, momentum=momentum, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Decay, then step."""
        loss = evaluate(closure)
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
    """SGD along the moving average S = a*g + (1-a)*S of the gradients, with a = 1 - momentum and S = 0 at first."""

    def __init__(self, groups: Groups, momentum: float) -> None:
        super().__init__(groups, {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step."""
        loss = evaluate(closure)
        for group in self.param_groups:
            parameters, gradients = decayed(group)
            if parameters:
                averages = moments(self, "average", parameters)
                torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
                torch._foreach_add_(parameters, averages, alpha=-group["lr"])
        return loss


def sgd(params: SgdParams, groups: Groups) -> Optimizer:
    """Build SGD; without momentum, decoupled decay and decay in the gradient are the same."""
    if params.momentum > 0 and params.momentum_form is MomentumForm.ewma:
        return AveragedSGD(own_groups(params.decay, groups), momentum=params.momentum)
    kind = DecayedSGD if params.momentum > 0 and params.decay is Decay.decoupled else SGD
    optimizer = kind(torch_groups(params.decay, groups), momentum=params.momentum, fused=fused(groups))
    if params.momentum > 0:
        _start_momentum(optimizer)
    return optimizer


def _start_momentum(optimizer: Optimizer) -> None:
    """Start every momentum buffer at 0, which gives the first step of torch's SGD.

    Without it the fused kernel fails when a parameter gets its first gradient after the others got theirs.
    """
    group: dict[str, Any]
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
