"""What the optimizers take."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from dotexp import Component, OptimizerFacts, OptimizerParams
from pydantic import Field

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Decay(StrEnum):
    """How weight decay works: on the weights, as L2 in the gradient, or as a term of the loss."""

    decoupled = "decoupled"
    in_gradient = "in_gradient"
    in_loss = "in_loss"


class MomentumForm(StrEnum):
    """What momentum keeps of past gradients: their undamped sum, or their average."""

    sum = "sum"
    ewma = "ewma"


class Sparse(StrEnum):
    """Which part of a table a step moves: the rows that its batch has touched."""

    rows = "rows"


class DecayParams(OptimizerParams):
    """Weight decay and its form, which every optimizer here has."""

    decay: Decay = Field(
        Decay.decoupled,
        description="decoupled: w -= lr*wd*w before the step; in_gradient: g += wd*w (L2); "
        "in_loss: loss + wd*sum(w^2), so g += 2*wd*w (the recorded loss leaves it out)",
    )


class SgdParams(DecayParams):
    """Stochastic gradient descent, with or without momentum."""

    momentum: float = Field(0.0, ge=0, lt=1, description="share of the past in a step; 0 is plain SGD")
    momentum_form: MomentumForm = Field(
        MomentumForm.sum,
        description="sum: S = g + momentum*S, PyTorch's; ewma: S = (1-momentum)*g + momentum*S from 0, the lesson's",
    )


class RmspropParams(DecayParams):
    """RMSprop: the gradient divided by the root of its squares' moving average; momentum as fastai has it."""

    alpha: float = Field(0.99, ge=0, lt=1, description="share of the past in the average of squared gradients")
    eps: float = Field(1e-8, gt=0, le=1, description="added to the root, against division by nothing")
    momentum: float = Field(0.0, ge=0, lt=1, description="S = g + momentum*S stands for the gradient; 0: none")


class AdamParams(DecayParams):
    """Adam: momentum divided by the root of the squared gradients' average, both corrected for their start at 0."""

    betas: tuple[Fraction, Fraction] = Field(
        (0.9, 0.99), description="share of the past in the average of gradients, and in that of their squares"
    )
    eps: float = Field(1e-5, gt=0, le=1, description="added to the root, against division by nothing")
    sparse: Sparse | None = Field(
        None,
        description="rows: of embedding tables only the rows that a batch has touched move, decay and momentum "
        "included, which is another result than dense Adam's, and faster for large tables; none: all rows move",
    )


def adam_facts(params: AdamParams) -> OptimizerFacts:
    """A policy moves the first of the betas; the gradients of tables may be wanted by rows."""
    return OptimizerFacts(momentum="betas", sparse=params.sparse is Sparse.rows, sparse_option="sparse = rows")


def momentum_facts(params: SgdParams | RmspropParams) -> OptimizerFacts:
    """A policy moves `momentum` where there is some."""
    return OptimizerFacts(momentum="momentum" if params.momentum > 0 else None)


_HOME = "dotexp_optimizers.build"

COMPONENTS = (
    Component("optimizer", "sgd", SgdParams, f"{_HOME}:sgd", momentum_facts),
    Component("optimizer", "rmsprop", RmspropParams, f"{_HOME}:rmsprop", momentum_facts),
    Component("optimizer", "adam", AdamParams, f"{_HOME}:adam", adam_facts),
)
