"""Parameters and facts of the optimizers."""

from enum import StrEnum
from typing import Annotated

from dotexp import Component, OptimizerFacts, OptimizerParams
from pydantic import Field

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Decay(StrEnum):
    """Form of weight decay: on the weights, in the gradient (L2), or as a term of the loss."""

    decoupled = "decoupled"
    in_gradient = "in_gradient"
    in_loss = "in_loss"


class MomentumForm(StrEnum):
    """Form of momentum: the undamped sum of past gradients, or their exponential moving average."""

    sum = "sum"
    ewma = "ewma"


class Sparse(StrEnum):
    """Which part of an embedding table a step updates: the rows that the batch has touched."""

    rows = "rows"


class DecayParams(OptimizerParams):
    """Base of the optimizers: weight decay and its form."""

    decay: Decay = Field(
        Decay.decoupled,
        description="decoupled: w -= lr*wd*w before the step; in_gradient: g += wd*w (L2); "
        "in_loss: loss + wd*sum(w^2), so g += 2*wd*w (the recorded loss leaves it out)",
    )


class SgdParams(DecayParams):
    """Stochastic gradient descent, with or without momentum."""

    momentum: float = Field(0.0, ge=0, lt=1, description="momentum factor; 0 is plain SGD")
    momentum_form: MomentumForm = Field(
        MomentumForm.sum,
        description="sum: S = g + momentum*S, PyTorch's; ewma: S = (1-momentum)*g + momentum*S from 0, the lesson's",
    )


class RmspropParams(DecayParams):
    """RMSprop: the gradient divided by the root of the moving average of its squares; momentum in fastai's form."""

    alpha: float = Field(0.99, ge=0, lt=1, description="decay rate of the average of squared gradients")
    eps: float = Field(1e-8, gt=0, le=1, description="added to the root, against division by zero")
    momentum: float = Field(
        0.0, ge=0, lt=1, description="momentum factor: S = g + momentum*S replaces the gradient; 0: none"
    )


class AdamParams(DecayParams):
    """Adam: the average of gradients divided by the root of the average of their squares, both bias-corrected."""

    betas: tuple[Fraction, Fraction] = Field(
        (0.9, 0.99), description="decay rates of the averages of gradients and of their squares"
    )
    eps: float = Field(1e-5, gt=0, le=1, description="added to the root, against division by zero")
    sparse: Sparse | None = Field(
        None,
        description="rows: a step updates only the rows of embedding tables that the batch has touched, decay and "
        "momentum included; faster for large tables, and another result than dense Adam's; none: all rows",
    )


def adam_facts(params: AdamParams) -> OptimizerFacts:
    """Say that a policy sets the first of the betas, and whether embedding tables give sparse gradients."""
    return OptimizerFacts(momentum="betas", sparse=params.sparse is Sparse.rows, sparse_option="sparse = rows")


def momentum_facts(params: SgdParams | RmspropParams) -> OptimizerFacts:
    """Say that a policy sets `momentum` where it is above 0."""
    return OptimizerFacts(momentum="momentum" if params.momentum > 0 else None)


COMPONENTS = (
    Component("optimizer", "sgd", SgdParams, "dotexp_optimizers.sgd:sgd", momentum_facts),
    Component("optimizer", "rmsprop", RmspropParams, "dotexp_optimizers.rmsprop:rmsprop", momentum_facts),
    Component("optimizer", "adam", AdamParams, "dotexp_optimizers.adam:adam", adam_facts),
)
