"""The losses. Needs torch.

A loss maps the model's logits and the targets to their mean, a scalar; `activate` maps logits to probabilities, or
numbers to themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from dotexp import DataFacts
from torch import Tensor, nn
from torch.nn import functional

from dotexp_losses.losses.class_weights import balanced_weights, given_weights, positive_weights
from dotexp_losses.losses.params import Balance, BinaryCrossEntropyParams, CrossEntropyParams, MseParams


class CrossEntropy(nn.Module):
    """Cross-entropy of logits (B, classes) and labels (B,), or shares of each class (B, classes)."""

    weights: Tensor | None

    def __init__(self, params: CrossEntropyParams, facts: DataFacts) -> None:
        super().__init__()
        self._smoothing = params.label_smoothing
        self.register_buffer("weights", _weights(params.weights, balanced_weights, facts), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over the examples of -sum(target * weight * log probability) over the classes.

        The target is one-hot or shares, smoothed. The sum is divided by the number of examples, not by their weights,
        so that the mean over a set is the same however it is batched.
        """
        if self.weights is None:
            return functional.cross_entropy(output, target, label_smoothing=self._smoothing)
        wide = output.to(torch.promote_types(output.dtype, torch.float32))
        weights = self.weights.to(wide.dtype)
        total = functional.cross_entropy(wide, target, weights, reduction="sum", label_smoothing=self._smoothing)
        return total / len(target)

    def activate(self, output: Tensor) -> Tensor:
        """Return probabilities (B, classes), which sum to 1."""
        return output.softmax(-1)


class MeanSquaredError(nn.Module):
    """Mean squared error of numbers, (B,) or (B, 1) on either side."""

    def __init__(self, params: MseParams, facts: DataFacts) -> None:
        super().__init__()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean of the squared differences, in at least float32."""
        wide = torch.promote_types(output.dtype, torch.float32)
        return functional.mse_loss(output.to(wide).flatten(), target.to(wide).flatten())

    def activate(self, output: Tensor) -> Tensor:
        """Return the numbers unchanged."""
        return output


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy of logits (B, classes) and labels (B, classes) of 0 and 1, or class numbers (B,)."""

    weights: Tensor | None

    def __init__(self, params: BinaryCrossEntropyParams, facts: DataFacts) -> None:
        super().__init__()
        self.register_buffer("weights", _weights(params.pos_weights, positive_weights, facts), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over examples and classes."""
        if target.ndim < output.ndim:
            target = functional.one_hot(target, output.shape[-1])
        weights = None if self.weights is None else self.weights.to(output.dtype)
        return functional.binary_cross_entropy_with_logits(output, target.to(output.dtype), pos_weight=weights)

    def activate(self, output: Tensor) -> Tensor:
        """Return the probability of each class by itself (B, classes)."""
        return output.sigmoid()


def _weights(
    given: Balance | dict[str, float] | None, balanced: Callable[[DataFacts], tuple[float, ...]], facts: DataFacts
) -> Tensor | None:
    """Return the weights in the order of the classes."""
    if given is None:
        return None
    by_class = given_weights(given, facts) if isinstance(given, dict) else balanced(facts)
    return torch.tensor(by_class, dtype=torch.float32)
