"""Parameters of the losses."""

from enum import StrEnum
from typing import Annotated

from dotexp import Component, Facts, Params
from pydantic import Field

Weight = Annotated[float, Field(gt=0, le=1e6)]


class Balance(StrEnum):
    """Class weights that are computed from the training counts."""

    balanced = "balanced"


class CrossEntropyParams(Params):
    """Softmax cross-entropy: minus the log probability of the label."""

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target that is spread uniformly over all classes"
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
    """Sigmoid cross-entropy of each class by itself; a single label counts as one-hot."""

    pos_weights: Balance | dict[str, Weight] | None = Field(
        None,
        description="multiplies the loss of each class where an example has it; balanced: the number of training"
        " examples without the class divided by the number with it",
    )


_HOME = "dotexp_losses.losses"

COMPONENTS = (
    Component(
        "loss", "cross_entropy", CrossEntropyParams, f"{_HOME}.modules:CrossEntropy", Facts(tasks=("classification",)),
        f"{_HOME}.class_weights:check_weights",
    ),
    Component("loss", "mse", MseParams, f"{_HOME}.modules:MeanSquaredError", Facts(tasks=("regression", "ratings"))),
    Component(
        "loss", "binary_cross_entropy", BinaryCrossEntropyParams, f"{_HOME}.modules:BinaryCrossEntropy",
        Facts(tasks=("classification", "multilabel")), f"{_HOME}.class_weights:check_pos_weights",
    ),
)  # fmt: skip
