"""Exponential moving averages of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from dotexp.sdk.callback import Callback, Training
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dotexp_callbacks.params import EmaParams

_STATISTICS = ("running_mean", "running_var")


class AveragedWeights(Callback):
    """Moves averages after each step: average = decay * average + (1 - decay) * weights.

    Averaged are the weights that train and the running statistics of the norm layers, as in timm's ModelEma: batch
    norm's statistics belong to the weights that they were measured with. The averages start as the stage's starting
    weights. They are what is validated, and what the stage ends with.
    """

    def __init__(self, params: EmaParams) -> None:
        self._decay = params.decay
        self._warmup = params.warmup
        self._tensors: list[Tensor] = []
        self._averages: list[Tensor] = []
        self._trained: list[Tensor] | None = None

    def stage_started(self, training: Training) -> None:
        """Start the averages from the current weights and statistics."""
        weights = [parameter.detach() for parameter in training.parameters]
        self._tensors = [*weights, *_running_statistics(training.network)]
        self._averages = [tensor.clone() for tensor in self._tensors]

    def after_step(self, step: int) -> None:
        """Move the averages."""
        decay = min(self._decay, (1 + step) / (10 + step)) if self._warmup else self._decay
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(self._averages, self._tensors, None)

    def before_validation(self) -> None:
        """Swap the averages in and set the trained tensors aside."""
        self._trained = [tensor.clone() for tensor in self._tensors]
        _copy(self._averages, self._tensors)

    def after_validation(self) -> None:
        """Put the trained tensors back."""
        if self._trained is not None:
            _copy(self._trained, self._tensors)
            self._trained = None

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"averages": self._averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the averages."""
        _copy(state["averages"], self._averages)


def _running_statistics(network: nn.Module) -> list[Tensor]:
    """Return the running mean and variance of every norm layer that keeps them (batch and instance norm)."""
    return [buffer for name, buffer in network.named_buffers() if name.rpartition(".")[2] in _STATISTICS]


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    with torch.no_grad():
        for old, new in zip(source, target, strict=True):
            new.copy_(old)
