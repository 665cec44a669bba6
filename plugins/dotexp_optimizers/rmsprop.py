"""RMSprop in fastai's form. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dotexp_optimizers.param_groups import Groups, decayed, evaluate, moments, own_groups
from dotexp_optimizers.params import RmspropParams


class RMSprop(Optimizer):
    """RMSprop whose momentum sums raw gradients; the sum is divided by the root of the squared gradients' average."""

    def __init__(self, groups: Groups, alpha: float, eps: float, momentum: float) -> None:
        super().__init__(groups, {"alpha": alpha, "eps": eps, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step."""
        loss = evaluate(closure)
        for group in self.param_groups:
            parameters, gradients = decayed(group)
            if parameters:
                roots = self._roots(group, parameters, gradients)
                torch._foreach_addcdiv_(parameters, self._summed(group, parameters, gradients), roots, -group["lr"])
        return loss

    def _roots(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        squares = moments(self, "square", parameters)
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        return list(roots)

    def _summed(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        if not group["momentum"]:
            return gradients
        sums = moments(self, "sum", parameters)
        torch._foreach_mul_(sums, group["momentum"])
        torch._foreach_add_(sums, gradients)
        return sums


def rmsprop(params: RmspropParams, groups: Groups) -> Optimizer:
    """Build RMSprop, which without momentum is torch's."""
    own = own_groups(params.decay, groups)
    return RMSprop(own, alpha=params.alpha, eps=params.eps, momentum=params.momentum)
