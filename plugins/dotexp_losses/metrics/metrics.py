"""Builders of the metrics. Needs torchmetrics.

A metric is updated with activated outputs and targets: (B, classes) with labels (B,), or (B, classes) with 0 and 1, or
numbers (B,). Counts are integers, so that a value does not depend on how the examples are batched.
"""

from __future__ import annotations

from typing import Any

from dotexp import DataFacts, Params
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
    MulticlassStatScores,
    MultilabelAccuracy,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
    MultilabelStatScores,
)

from dotexp_losses.metrics.params import TopKAccuracyParams

THRESHOLD = 0.5


class MulticlassErrorRate(MulticlassStatScores):
    """Wrong answers divided by all answers, which 1 - accuracy equals only up to rounding."""

    def compute(self) -> Tensor:
        """Divide the counts."""
        *_, wrong, answers = super().compute()
        rate: Tensor = wrong / answers
        return rate


class MultilabelErrorRate(MultilabelStatScores):
    """Wrong yes or no answers divided by all of them."""

    def compute(self) -> Tensor:
        """Divide the counts."""
        tp, fp, tn, fn, _ = super().compute()
        rate: Tensor = (fp + fn) / (tp + fp + tn + fn)
        return rate


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
    """Build micro-averaged accuracy."""
    return _averaged(MulticlassAccuracy, MultilabelAccuracy, facts, "micro")


def error_rate(params: Params, facts: DataFacts) -> Metric:
    """Build the micro-averaged error rate."""
    return _averaged(MulticlassErrorRate, MultilabelErrorRate, facts, "micro")


def top_k_accuracy(params: TopKAccuracyParams, facts: DataFacts) -> Metric:
    """Build micro-averaged top-k accuracy."""
    count = _count(facts)
    k = min(params.k, count)
    return MulticlassAccuracy(num_classes=count, top_k=k, average="micro", validate_args=False)


def f1(params: Params, facts: DataFacts) -> Metric:
    """Build macro-averaged F1."""
    return _averaged(MulticlassF1Score, MultilabelF1Score, facts, "macro")


def precision(params: Params, facts: DataFacts) -> Metric:
    """Build macro-averaged precision."""
    return _averaged(MulticlassPrecision, MultilabelPrecision, facts, "macro")


def recall(params: Params, facts: DataFacts) -> Metric:
    """Build macro-averaged recall."""
    return _averaged(MulticlassRecall, MultilabelRecall, facts, "macro")


def rmse(params: Params, facts: DataFacts) -> Metric:
    """Build the root mean squared error."""
    return RootMeanSquaredError()


def mae(params: Params, facts: DataFacts) -> Metric:
    """Build the mean absolute error."""
    return FlatMeanAbsoluteError()


def _averaged(of_classes: Any, of_labels: Any, facts: DataFacts, average: str) -> Metric:
    """Build a metric of one label or of several; of two classes, neither is the positive one."""
    metric: Metric
    if facts.task == "multilabel":
        metric = of_labels(num_labels=_count(facts), threshold=THRESHOLD, average=average, validate_args=False)
    else:
        metric = of_classes(num_classes=_count(facts), average=average, validate_args=False)
    return metric


def _count(facts: DataFacts) -> int:
    return len(facts.classes) if facts.classes is not None else facts.outputs
