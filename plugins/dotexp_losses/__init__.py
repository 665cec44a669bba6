"""Losses and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dotexp import Component, Facts, Task, hookimpl

from dotexp_losses.losses import class_weights, params
from dotexp_losses.metrics import params as metric_params
from dotexp_losses.ranking import params as ranking_params

_CLASSES = Facts(tasks=(Task.classification,))
_LABELS = Facts(tasks=(Task.classification, Task.multilabel))
_NUMBERS = Facts(tasks=(Task.regression, Task.ratings))
_MORE_CLASSES = replace(_CLASSES, better="higher")
_MORE = replace(_LABELS, better="higher")
_FEWER = replace(_LABELS, better="lower")
_RANKINGS = Facts(tasks=(Task.ratings,), better="higher")
_NEARER = replace(_NUMBERS, better="lower")


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Return what the plugin offers."""
    return [*_losses(), *_metrics()]


def _losses() -> list[Component]:
    heavy = "dotexp_losses.losses.modules"
    return [
        Component(
            "loss", "cross_entropy", params.CrossEntropyParams, f"{heavy}:CrossEntropy", _CLASSES,
            check=class_weights.check_weights,
        ),
        Component("loss", "mse", params.MseParams, f"{heavy}:MeanSquaredError", _NUMBERS),
        Component(
            "loss", "binary_cross_entropy", params.BinaryCrossEntropyParams, f"{heavy}:BinaryCrossEntropy", _LABELS,
            check=class_weights.check_pos_weights,
        ),
    ]  # fmt: skip


def _metrics() -> list[Component]:
    heavy = "dotexp_losses.metrics.metrics"
    return [
        Component("metric", "accuracy", metric_params.AccuracyParams, f"{heavy}:accuracy", _MORE),
        Component("metric", "error_rate", metric_params.ErrorRateParams, f"{heavy}:error_rate", _FEWER),
        Component(
            "metric", "top_k_accuracy", metric_params.TopKAccuracyParams, f"{heavy}:top_k_accuracy", _MORE_CLASSES,
            check=metric_params.check_top_k,
        ),
        Component("metric", "f1", metric_params.F1Params, f"{heavy}:f1", _MORE),
        Component("metric", "precision", metric_params.PrecisionParams, f"{heavy}:precision", _MORE),
        Component("metric", "recall", metric_params.RecallParams, f"{heavy}:recall", _MORE),
        Component("metric", "rmse", metric_params.RmseParams, f"{heavy}:rmse", _NEARER),
        Component("metric", "mae", metric_params.MaeParams, f"{heavy}:mae", _NEARER),
        *_rankings(),
    ]  # fmt: skip


def _rankings() -> list[Component]:
    heavy = "dotexp_losses.ranking.metrics"
    return [
        Component("metric", name, taken, f"{heavy}:{name}", _RANKINGS, check=ranking_params.check_ranking)
        for name, taken in (
            ("precision_at", ranking_params.PrecisionAtParams),
            ("recall_at", ranking_params.RecallAtParams),
            ("ndcg_at", ranking_params.NdcgAtParams),
        )
    ]
