"""Parameters of the metrics."""

from collections.abc import Iterator
from typing import Annotated

from dotexp import Component, DataFacts, MetricFacts, Params, Positional, Problem
from pydantic import Field


class AccuracyParams(Params):
    """Accuracy: right predictions divided by all; with several labels, over all yes-or-no predictions at 0.5."""


class ErrorRateParams(Params):
    """Error rate: 1 - accuracy."""


class TopKAccuracyParams(Params):
    """Top-k accuracy: the fraction of examples whose label is among the k most probable classes."""

    k: Annotated[int, Positional()] = Field(5, ge=1, le=100_000, description="number of predictions that count")


class F1Params(Params):
    """Macro-averaged F1, the harmonic mean of each class's precision and recall."""


class PrecisionParams(Params):
    """Macro-averaged precision: of the predictions of a class, the fraction that is right."""


class RecallParams(Params):
    """Macro-averaged recall: of the examples of a class, the fraction that is predicted as it."""


class RmseParams(Params):
    """Root mean squared error over the whole set."""


class MaeParams(Params):
    """Mean absolute error over the whole set."""


def check_top_k(params: TopKAccuracyParams, facts: DataFacts) -> Iterator[Problem]:
    """Refuse k at or above the number of classes: the accuracy would always be 1."""
    if facts.classes is not None and params.k >= len(facts.classes):
        yield Problem(
            f"the label is always among the {params.k} most probable of {len(facts.classes)} classes",
            field="k",
            help=f"take k below {len(facts.classes)}, or `accuracy`",
            code="E304",
        )


_HOME = "dotexp_losses.metrics.metrics"
_MORE = MetricFacts(tasks=("classification", "multilabel"), better="higher")
_FEWER = MetricFacts(tasks=("classification", "multilabel"), better="lower")
_NEARER = MetricFacts(tasks=("regression", "ratings"), better="lower")
_ONE_CLASS = MetricFacts(tasks=("classification",), better="higher")

COMPONENTS = (
    Component("metric", "accuracy", AccuracyParams, f"{_HOME}:accuracy", _MORE),
    Component("metric", "error_rate", ErrorRateParams, f"{_HOME}:error_rate", _FEWER),
    Component("metric", "top_k_accuracy", TopKAccuracyParams, f"{_HOME}:top_k_accuracy", _ONE_CLASS, check_top_k),
    Component("metric", "f1", F1Params, f"{_HOME}:f1", _MORE),
    Component("metric", "precision", PrecisionParams, f"{_HOME}:precision", _MORE),
    Component("metric", "recall", RecallParams, f"{_HOME}:recall", _MORE),
    Component("metric", "rmse", RmseParams, f"{_HOME}:rmse", _NEARER),
    Component("metric", "mae", MaeParams, f"{_HOME}:mae", _NEARER),
)
