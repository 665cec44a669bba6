"""What heads, losses and metrics offer the engine. Needs torch."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["Head", "Loss", "Metric"]


class Head(Protocol):
    """A module from a body's features to the model's outputs."""

    def __call__(self, features: Tensor) -> Tensor:
        """Map features (N, C, h, w) to outputs (N, outputs), or (N,) for one."""
        ...


class Loss(Protocol):
    """A module that is trained on, and that says how an output reads."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the examples, a scalar."""
        ...

    def activate(self, output: Tensor) -> Tensor:
        """Map outputs to predictions: probabilities that sum to 1 for classes, numbers in the data's units."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move to a device; return itself."""
        ...


class Metric(Protocol):
    """A metric in the manner of torchmetrics; one of rankings is a `RankingMetric` beside."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take in a batch of predictions, the loss's `activate` applied, and targets."""
        ...

    def compute(self) -> Any:
        """Return the metric over everything taken in: a number, or a tensor that holds one."""
        ...

    def reset(self) -> None:
        """Forget everything taken in."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move to a device, in place."""
        ...
