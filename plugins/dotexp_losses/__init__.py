"""Losses and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, Facts, MetricFacts, Task, hookimpl

from dotexp_losses.losses import class_weights, params
from dotexp_losses.metrics import params as metric_params
from dotexp_losses.ranking import params as ranking_params

DOTEXP_API = 1

_ONE = ("classification",)
_SEVERAL = (*_ONE, "multilabel")
_NUMBERS = ("regression", "ratings")
_MORE_CLASSES = MetricFacts(tasks=_ONE, better="higher")
_MORE = MetricFacts(tasks=_SEVERAL, better="higher")
_FEWER = MetricFacts(tasks=_SEVERAL, better="lower")
_RANKINGS = MetricFacts(tasks=("ratings",), better="higher")
_NEARER = MetricFacts(tasks=_NUMBERS, better="lower")


@hookimpl
def dotexp_tasks() -> Sequence[Task]:
    """Declare what the losses here are for, beside ratings."""
    home = "dotexp.sdk.answers"
    return [
        Task("classification", "Which one of several classes.", f"{home}:one_class"),
        Task("multilabel", "Which of several labels apply.", f"{home}:several_classes"),
        Task("regression", "A number, or several.", f"{home}:numbers"),
    ]


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Return what the plugin offers."""
    return [*_losses(), *_metrics()]


def _losses() -> list[Component]:
    heavy = "dotexp_losses.losses.modules"
    return [
        Component(
            "loss", "cross_entropy", params.CrossEntropyParams, f"{heavy}:CrossEntropy", Facts(tasks=_ONE),
            check=class_weights.check_weights,
        ),
        Component("loss", "mse", params.MseParams, f"{heavy}:MeanSquaredError", Facts(tasks=_NUMBERS)),
        Component(
            "loss", "binary_cross_entropy", params.BinaryCrossEntropyParams, f"{heavy}:BinaryCrossEntropy",
            Facts(tasks=_SEVERAL), check=class_weights.check_pos_weights,
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
