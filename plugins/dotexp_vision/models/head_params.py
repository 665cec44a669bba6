"""Parameters of the heads."""

from enum import StrEnum
from typing import Annotated, Self

from dotexp import Component, Facts, ForTasks, Params, Percent, Positional, Range
from pydantic import Field, model_validator


class Pool(StrEnum):
    """How a body's feature maps become one vector: the maxima and the averages, or one of them."""

    concat = "concat"
    avg = "avg"
    max = "max"


Dropout = Annotated[float, Percent(), Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=65536)]


class MlpParams(Params):
    """fastai's head: pooling, then batch norm, dropout and a linear layer for each width, with a ReLU between.

    A linear layer has a bias where no batch norm stands before it, or with `bias = true`, as in fastai v1. With
    `lin_first` it is dropout, then linear, ReLU, batch norm and dropout for each hidden width, then a linear layer.
    Behind a body whose maps are of one pixel, as a vision transformer's are, `pool = avg` gives each number once.
    """

    hidden: Annotated[tuple[Width, ...], Positional()] = Field(
        (512,), max_length=16, description="widths of the hidden layers; [] goes straight to the classes"
    )
    dropout: Dropout | tuple[Dropout, ...] = Field(
        0.5, description="dropout before each linear layer; one number p means p/2 before the hidden ones, p at last"
    )
    pool: Pool = Field(Pool.concat, description="maxima and averages of the feature maps (concat), or avg, or max")
    first_bn: bool = Field(True, description="batch norm before the first linear layer")
    lin_first: bool = Field(False, description="batch norm and dropout behind the hidden layers, not before each layer")
    bn_final: bool = Field(False, description="batch norm (momentum 0.01) after the last linear layer")
    bias: bool = Field(False, description="linear layers with biases, and batch norm's at 0 not 0.001: fastai v1's")
    y_range: Annotated[Range | None, ForTasks("regression")] = Field(
        None, description="numbers that a regression stays between, by a scaled sigmoid; none: the last layer's as is"
    )

    @model_validator(mode="after")
    def _one_dropout_a_layer(self) -> Self:
        layers = len(self.hidden) + 1
        if isinstance(self.dropout, tuple) and len(self.dropout) != layers:
            raise ValueError(
                f"dropout is one number, or one for each of the {layers} linear layers: this list has "
                f"{len(self.dropout)}"
            )
        return self

    @property
    def dropouts(self) -> tuple[float, ...]:
        """Dropout before each linear layer."""
        if isinstance(self.dropout, tuple):
            return self.dropout
        return (*(self.dropout / 2 for _ in self.hidden), self.dropout)


class LinearParams(Params):
    """The plainest head: the average of each feature map, dropout, and one linear layer with a bias."""

    dropout: Dropout = Field(0.0, description="dropout before the linear layer")


_FACTS = Facts(tasks=("classification", "multilabel", "regression"))


def mlp_facts(params: MlpParams) -> Facts:
    """Return a head's tasks, and that its batch norms, which see pooled features, need two examples in a batch."""
    layers = len(params.hidden) + (0 if params.lin_first else 1)
    norms = layers if params.first_bn else layers - 1
    return Facts(tasks=_FACTS.tasks, smallest_batch=2 if norms > 0 or params.bn_final else 1)


COMPONENTS = (
    Component("head", "mlp", MlpParams, "dotexp_vision.models.heads:mlp", mlp_facts),
    Component("head", "linear", LinearParams, "dotexp_vision.models.heads:linear", _FACTS),
)
