"""Losses and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, Facts, Task, hookimpl

from dotexp_losses import params

_CLASSES = Facts(tasks=(Task.classification,))
_LABELS = Facts(tasks=(Task.classification, Task.multilabel))
_NUMBERS = Facts(tasks=(Task.regression, Task.ratings))


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Return what the plugin offers."""
    return [*_losses(), *_metrics()]


def _losses() -> list[Component]:
    heavy = "dotexp_losses.losses"
    return [
        Component("loss", "cross_entropy", params.CrossEntropyParams, f"{heavy}:CrossEntropy", _CLASSES),
        Component("loss", "mse", params.MseParams, f"{heavy}:MeanSquaredError", _NUMBERS),
        Component(
            "loss", "binary_cross_entropy", params.BinaryCrossEntropyParams, f"{heavy}:BinaryCrossEntropy", _LABELS
        ),
    ]


def _metrics() -> list[Component]:
    heavy = "dotexp_losses.metrics"
    return [
        Component("metric", "accuracy", params.AccuracyParams, f"{heavy}:accuracy", _LABELS),
        Component("metric", "error_rate", params.ErrorRateParams, f"{heavy}:error_rate", _LABELS),
        Component(
            "metric", "top_k_accuracy", params.TopKAccuracyParams, f"{heavy}:top_k_accuracy", _CLASSES,
            check=params.check_top_k,
        ),
        Component("metric", "f1", params.F1Params, f"{heavy}:f1", _LABELS),
        Component("metric", "precision", params.PrecisionParams, f"{heavy}:precision", _LABELS),
        Component("metric", "recall", params.RecallParams, f"{heavy}:recall", _LABELS),
        Component("metric", "rmse", params.RmseParams, f"{heavy}:rmse", _NUMBERS),
        Component("metric", "mae", params.MaeParams, f"{heavy}:mae", _NUMBERS),
    ]  # fmt: skip
