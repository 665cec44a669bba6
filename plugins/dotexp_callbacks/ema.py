"""Averages of the weights over the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from dotexp.sdk.callback import Callback, Training
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dotexp_callbacks.params import EmaParams


class AveragedWeights(Callback):
    """Moves averages of the trained weights after each step: average = decay * average + (1 - decay) * weights.

    They begin as the weights the stage starts with. Buffers are not averaged: batch norm's statistics are averages
    already. Validation sees the averages, and the stage ends with them.
    """

    def __init__(self, params: EmaParams) -> None:
        self._decay = params.decay
        self._warmup = params.warmup
        self._weights: list[Tensor] = []
        self._averages: list[Tensor] = []
        self._trained: list[Tensor] | None = None

    def stage_started(self, training: Training) -> None:
        """Begin with the weights as they are."""
        self._weights = [parameter.detach() for parameter in training.parameters]
        self._averages = [weights.clone() for weights in self._weights]

    def after_step(self, step: int) -> None:
        """Move the averages."""
        decay = min(self._decay, (1 + step) / (10 + step)) if self._warmup else self._decay
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(self._averages, self._weights, None)

    def before_validation(self) -> None:
        """Put the averages in, and the weights aside."""
        self._trained = [weights.clone() for weights in self._weights]
        _copy(self._averages, self._weights)

    def after_validation(self) -> None:
        """Put the weights back."""
        if self._trained is not None:
            _copy(self._trained, self._weights)
            self._trained = None

    def state_dict(self) -> dict[str, Any]:
        """The averages."""
        return {"averages": self._averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        _copy(state["averages"], self._averages)


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    with torch.no_grad():
        for old, new in zip(source, target, strict=True):
            new.copy_(old)
