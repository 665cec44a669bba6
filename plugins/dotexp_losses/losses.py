"""The losses: what is trained on, and how an output reads as an answer. Needs torch.

Each takes the model's output and the target and gives the mean as a scalar; `activate` turns an output into
probabilities or numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dotexp_losses.params import BinaryCrossEntropyParams, CrossEntropyParams, MseParams


class CrossEntropy(nn.Module):
    """Cross-entropy of outputs (B, classes) and labels (B,)."""

    def __init__(self, params: CrossEntropyParams) -> None:
        super().__init__()
        self._smoothing = params.label_smoothing

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean of minus the log probability of the label."""
        return functional.cross_entropy(output, target, label_smoothing=self._smoothing)

    def activate(self, output: Tensor) -> Tensor:
        """Probabilities (B, classes), which sum to 1."""
        return output.softmax(-1)


class MeanSquaredError(nn.Module):
    """Mean squared error of numbers, (B,) or (B, 1) on either side."""

    def __init__(self, params: MseParams) -> None:
        super().__init__()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean of the squared differences, in at least float32."""
        wide = torch.promote_types(output.dtype, torch.float32)
        return functional.mse_loss(output.to(wide).flatten(), target.to(wide).flatten())

    def activate(self, output: Tensor) -> Tensor:
        """Return the numbers as they are."""
        return output


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy of outputs (B, classes) and labels (B, classes) of 0 and 1, or (B,) class numbers."""

    def __init__(self, params: BinaryCrossEntropyParams) -> None:
        super().__init__()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over examples and classes."""
        if target.ndim < output.ndim:
            target = functional.one_hot(target, output.shape[-1])
        return functional.binary_cross_entropy_with_logits(output, target.to(output.dtype))

    def activate(self, output: Tensor) -> Tensor:
        """Probability of each class by itself (B, classes)."""
        return output.sigmoid()
