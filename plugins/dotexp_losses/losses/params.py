"""What the losses and metrics take."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from dotexp import DataFacts, Params, Positional, Problem
from pydantic import Field

Weight = Annotated[float, Field(gt=0, le=1e6)]


class Balance(StrEnum):
    """Where weights by class come from, if they are not given: how often each class is in the training data."""

    balanced = "balanced"


class CrossEntropyParams(Params):
    """Cross-entropy: minus the log of the probability, by softmax, of the right class."""

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target that is spread evenly over all classes"
    )
    weights: Balance | dict[str, Weight] | None = Field(
        None,
        description="weight of each class's term of the loss: an example's loss is multiplied by its class's weight;"
        " with label_smoothing, the share of every other class by that class's; balanced: n / (classes * count), by the"
        " training examples",
    )


class MseParams(Params):
    """Mean squared error."""


class BinaryCrossEntropyParams(Params):
    """Binary cross-entropy of every class by itself, by sigmoid; a single label counts as one class that is there."""

    pos_weights: Balance | dict[str, Weight] | None = Field(
        None,
        description="multiplies the loss of each class where an example has it; balanced: the number of training"
        " examples without the class divided by the number with it",
    )


class AccuracyParams(Params):
    """Share of right answers; with several labels, of right yes or no answers at 0.5."""


class ErrorRateParams(Params):
    """Share of wrong answers: 1 - accuracy."""


class TopKAccuracyParams(Params):
    """Share of examples whose class is among the k likeliest."""

    k: Annotated[int, Positional()] = Field(5, ge=1, le=100_000, description="how many guesses count")


class F1Params(Params):
    """F1, the harmonic mean of precision and recall: the mean over the classes."""


class PrecisionParams(Params):
    """Share of what is called a class that is of it: the mean over the classes."""


class RecallParams(Params):
    """Share of a class that is called it: the mean over the classes."""


class RmseParams(Params):
    """Root of the mean squared error over the whole set."""


class MaeParams(Params):
    """Mean absolute error over the whole set."""


def check_top_k(params: TopKAccuracyParams, facts: DataFacts) -> Iterator[Problem]:
    """Refuse as many guesses as there are classes: one of them is always right."""
    if facts.classes is not None and params.k >= len(facts.classes):
        yield Problem(
            f"one of {params.k} guesses is always right where there are {len(facts.classes)} classes",
            field="k",
            help=f"take k below {len(facts.classes)}, or `accuracy`",
            code="E304",
        )
