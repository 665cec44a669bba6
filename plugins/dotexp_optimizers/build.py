"""Builders of the optimizers. Needs torch.

PyTorch's fused optimizers are used wherever they compute exactly what is asked for: one pass over the memory, and
little Python in a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import SGD, Adam, Optimizer

from dotexp_optimizers.averaging import AveragedSGD, DecayedSGD, RMSprop
from dotexp_optimizers.params import AdamParams, Decay, MomentumForm, RmspropParams, SgdParams
from dotexp_optimizers.rows import RowAdam

Groups = list[dict[str, Any]]

_FUSED = frozenset({"cpu", "cuda"})


def sgd(params: SgdParams, groups: Groups) -> Optimizer:
    """Build SGD. Where nothing is remembered, decoupled decay and decay in the gradient are one and the same."""
    if params.momentum > 0 and params.momentum_form is MomentumForm.ewma:
        return AveragedSGD(_own(params.decay, groups), momentum=params.momentum)
    kind = DecayedSGD if params.momentum > 0 and params.decay is Decay.decoupled else SGD
    optimizer = kind(_torch(params.decay, groups), momentum=params.momentum, fused=_fused(groups))
    if params.momentum > 0:
        _start_sums(optimizer)
    return optimizer


def rmsprop(params: RmspropParams, groups: Groups) -> Optimizer:
    """Build RMSprop in fastai's form, which is PyTorch's when there is no momentum."""
    return RMSprop(_own(params.decay, groups), alpha=params.alpha, eps=params.eps, momentum=params.momentum)


def adam(params: AdamParams, groups: Groups) -> Optimizer:
    """Build Adam; decoupled, it is AdamW."""
    kind = Adam if params.sparse is None else RowAdam
    return kind(
        _torch(params.decay, groups),
        betas=params.betas,
        eps=params.eps,
        decoupled_weight_decay=params.decay is Decay.decoupled,
        fused=_fused(groups),
    )


def _torch(decay: Decay, groups: Groups) -> Groups:
    """Double the decay of the loss form, whose gradient is 2*wd*w."""
    factor = 2 if decay is Decay.in_loss else 1
    return [{**group, "weight_decay": factor * group["weight_decay"]} for group in groups]


def _own(decay: Decay, groups: Groups) -> Groups:
    return [{**group, "decoupled": decay is Decay.decoupled} for group in _torch(decay, groups)]


def _fused(groups: Groups) -> bool | None:
    """Whether PyTorch's fused kernels serve; None lets it choose among the others."""
    tensors = [parameter for group in groups for parameter in group["params"]]
    fits = all(p.device.type in _FUSED and torch.is_floating_point(p) for p in tensors)
    return True if tensors and fits else None


def _start_sums(optimizer: Optimizer) -> None:
    """Start every momentum buffer at 0, which gives the first step PyTorch's.

    Left to itself the fused kernel fails when a parameter gets its first gradient after the others got theirs.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
