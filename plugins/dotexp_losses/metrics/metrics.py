"""The metrics: exact over everything they were shown, however it was cut into batches. Needs torchmetrics.

Each is updated with activated outputs and targets: (B, classes) with labels (B,), or (B, classes) with 0 and 1, or
numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from dotexp import DataFacts, Params, Task
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.classification import (
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
)

from dotexp_losses.losses.params import TopKAccuracyParams

THRESHOLD = 0.5


class Hits(Metric):
    """Counts right answers among all answers, as integers; `compute` gives their share, or the share of the others."""

    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self, wrong: bool = False) -> None:
        super().__init__()
        self._wrong = wrong
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, output: Tensor, target: Tensor) -> None:
        """Count a batch."""
        hits = self.hits(output, target)
        self.right += hits.sum()
        self.total += hits.numel()

    def compute(self) -> Tensor:
        """Share of all answers so far."""
        return (self.total - self.right if self._wrong else self.right) / self.total

    @abstractmethod
    def hits(self, output: Tensor, target: Tensor) -> Tensor:
        """Which answers of a batch are right, as booleans."""


class ClassHits(Hits):
    """The likeliest class is the label."""

    def hits(self, output: Tensor, target: Tensor) -> Tensor:
        """(B,)."""
        return output.argmax(-1) == target


class LabelHits(Hits):
    """Each label's probability is on the right side of one half."""

    def hits(self, output: Tensor, target: Tensor) -> Tensor:
        """(B, classes)."""
        return (output > THRESHOLD) == (target > THRESHOLD)


class TopKHits(Hits):
    """The label is among the k likeliest classes."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self._k = k

    def hits(self, output: Tensor, target: Tensor) -> Tensor:
        """(B,)."""
        best = output.topk(min(self._k, output.shape[-1]), dim=-1).indices
        return (best == target.unsqueeze(-1)).any(-1)


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean squared error of numbers, (B,) or (B, 1) on either side."""

    def __init__(self) -> None:
        super().__init__(squared=False)

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add a batch."""
        super().update(output.flatten().float(), target.flatten().float())


class FlatMeanAbsoluteError(MeanAbsoluteError):
    """Mean absolute error of numbers, (B,) or (B, 1) on either side."""

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add a batch."""
        super().update(output.flatten().float(), target.flatten().float())


def accuracy(params: Params, facts: DataFacts) -> Metric:
    """Build accuracy."""
    return LabelHits() if facts.task is Task.multilabel else ClassHits()


def error_rate(params: Params, facts: DataFacts) -> Metric:
    """Build the error rate."""
    return LabelHits(wrong=True) if facts.task is Task.multilabel else ClassHits(wrong=True)


def top_k_accuracy(params: TopKAccuracyParams, facts: DataFacts) -> Metric:
    """Build top-k accuracy."""
    return TopKHits(params.k)


def f1(params: Params, facts: DataFacts) -> Metric:
    """Build macro F1."""
    return _macro(MulticlassF1Score, MultilabelF1Score, facts)


def precision(params: Params, facts: DataFacts) -> Metric:
    """Build macro precision."""
    return _macro(MulticlassPrecision, MultilabelPrecision, facts)


def recall(params: Params, facts: DataFacts) -> Metric:
    """Build macro recall."""
    return _macro(MulticlassRecall, MultilabelRecall, facts)


def rmse(params: Params, facts: DataFacts) -> Metric:
    """Build the root mean squared error."""
    return RootMeanSquaredError()


def mae(params: Params, facts: DataFacts) -> Metric:
    """Build the mean absolute error."""
    return FlatMeanAbsoluteError()


def _macro(of_classes: Any, of_labels: Any, facts: DataFacts) -> Metric:
    """Build a mean over the classes. Two classes are two classes: none of them is the positive one."""
    count = len(facts.classes) if facts.classes is not None else facts.outputs
    metric: Metric
    if facts.task is Task.multilabel:
        metric = of_labels(num_labels=count, threshold=THRESHOLD, average="macro", validate_args=False)
    else:
        metric = of_classes(num_classes=count, average="macro", validate_args=False)
    return metric
