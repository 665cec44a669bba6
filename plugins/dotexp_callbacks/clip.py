"""Gradient clipping."""

from __future__ import annotations

import torch
from dotexp.sdk.callback import Callback, Training
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import get_total_norm

from dotexp_callbacks.params import ClipParams


class ClipNorm(Callback):
    """Scales the gradient of all parameters together down to a largest norm."""

    def __init__(self, norm: float) -> None:
        self._norm = norm
        self._parameters: tuple[Parameter, ...] = ()

    def stage_started(self, training: Training) -> None:
        """Take the trained parameters."""
        self._parameters = training.parameters

    def before_step(self, step: int) -> None:
        """Scale the gradient."""
        gradients = _gradients(self._parameters)
        if gradients:
            share = (self._norm / (get_total_norm(gradients) + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, share)


class ClipValue(Callback):
    """Clamps each element of the gradient."""

    def __init__(self, value: float) -> None:
        self._value = value
        self._parameters: tuple[Parameter, ...] = ()

    def stage_started(self, training: Training) -> None:
        """Take the trained parameters."""
        self._parameters = training.parameters

    def before_step(self, step: int) -> None:
        """Clamp the elements."""
        for gradient in _gradients(self._parameters):
            gradient.clamp_(-self._value, self._value)


def _gradients(parameters: tuple[Parameter, ...]) -> list[Tensor]:
    """Return the gradients, to be changed in place; of a sparse one, the values of its rows, coalesced."""
    found = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            found.append(parameter.grad.values())
        elif parameter.grad is not None:
            found.append(parameter.grad)
    return found


def build(params: ClipParams) -> Callback:
    """Build clipping by norm or by value."""
    if params.value is not None:
        return ClipValue(params.value)
    assert params.norm is not None
    return ClipNorm(params.norm)
