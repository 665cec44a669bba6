"""Learning-rate policies: their parameters, and their schedules as functions of the step. No torch.

A schedule gives the factor on the peak learning rate at step `i`, from 0, of `n`, set before the step: at position i/n,
so that the end of a curve is approached and never reached. The curves are fastai v2's.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import cos, pi
from typing import Annotated, Self

from dotexp import Component, LearningRate, Percent, PolicyParams, Positional, Schedule
from pydantic import Field, model_validator

MOST_EPOCHS = 100_000

Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS, description="passes over the training set"), Positional()]
Share = Annotated[float, Field(ge=0, le=1), Percent()]
Momentum = Annotated[float, Field(gt=0, lt=1)]


class _EpochsParams(PolicyParams):
    epochs: Epochs
    lr: LearningRate

    @property
    def total_epochs(self) -> int:
        """Number of epochs that the policy runs for."""
        return self.epochs


def cosine_between(start: float, end: float, position: float) -> float:
    """Return the value at a position from 0 to 1 of half a cosine from `start` to `end`."""
    return start + (end - start) * (1 - cos(pi * position)) / 2


def two_cosines(position: float, turn: float, start: float, middle: float, end: float) -> float:
    """Return the value of half a cosine from `start` to `middle`, at `turn`, and another to `end`, at 1."""
    if position < turn:
        return cosine_between(start, middle, position / turn)
    if position >= 1:
        return end
    return cosine_between(middle, end, (position - turn) / (1 - turn))


class OneCycleParams(_EpochsParams):
    """One-cycle: cosine from lr/div up to lr, then down towards lr/div_final; momentum the other way."""

    pct_start: Share = Field(0.25, description="fraction of the steps in which the learning rate rises")
    div: float = Field(25.0, ge=1, le=1e9, description="the learning rate starts at lr/div")
    div_final: float = Field(1e5, ge=1, le=1e12, description="the learning rate ends near lr/div_final")
    momentum: tuple[Momentum, Momentum, Momentum] | None = Field(
        (0.95, 0.85, 0.95),
        description="momentum (Adam's first beta) at the start, the peak and the end; none leaves the optimizer's",
    )

    @property
    def moves_momentum(self) -> bool:
        """Whether the policy sets the optimizer's momentum."""
        return self.momentum is not None


def one_cycle(params: OneCycleParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build one-cycle's schedule."""
    turn = params.pct_start

    def factor(i: int) -> float:
        return two_cosines(i / steps, turn, 1 / params.div, 1.0, 1 / params.div_final)

    if params.momentum is None:
        return Schedule(factor)
    start, peak, end = params.momentum
    return Schedule(factor, lambda i: two_cosines(i / steps, turn, start, peak, end))


class FlatParams(_EpochsParams):
    """A constant learning rate."""


def flat(params: FlatParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the constant schedule."""
    return Schedule(lambda i: 1.0)


class FlatCosineParams(_EpochsParams):
    """A constant learning rate at first, then a cosine down towards lr/div_final."""

    pct_start: Share = Field(0.75, description="fraction of the steps at the full learning rate")
    div_final: float = Field(1e5, ge=1, le=1e12, description="the learning rate ends near lr/div_final")


def flat_cosine(params: FlatCosineParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule that is constant, then falls."""
    return Schedule(lambda i: two_cosines(i / steps, params.pct_start, 1.0, 1.0, 1 / params.div_final))


class CosineParams(_EpochsParams):
    """Cosine annealing from lr towards 0."""


def cosine(params: CosineParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build cosine annealing's schedule, (1 + cos(pi * i/n)) / 2."""
    return Schedule(partial(_annealed, steps=steps))


def _annealed(i: int, steps: int) -> float:
    return (1 + cos(pi * i / steps)) / 2


class LinearParams(_EpochsParams):
    """Linear decay from lr towards 0."""


def linear(params: LinearParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build linear decay's schedule, 1 - i/n."""
    return Schedule(lambda i: 1 - i / steps)


class SgdrParams(PolicyParams):
    """SGDR: cosine annealing from lr towards 0 with warm restarts, each cycle longer than the one before."""

    cycles: Annotated[int, Positional()] = Field(ge=1, le=1000, description="number of cycles")
    lr: LearningRate
    cycle_len: int = Field(1, ge=1, le=MOST_EPOCHS, description="epochs in the first cycle")
    cycle_mult: int = Field(2, ge=1, le=100, description="ratio of each cycle's length to the one before")

    @property
    def total_epochs(self) -> int:
        """Number of epochs that the policy runs for."""
        return self.cycle_ends(self.cycle_len)[-1]

    def cycle_ends(self, first: int) -> tuple[int, ...]:
        """Return where each cycle ends, if the first has this length."""
        return tuple(accumulate(first * self.cycle_mult**k for k in range(self.cycles)))

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.total_epochs > MOST_EPOCHS:
            raise ValueError(f"{self.cycles} cycles make more than {MOST_EPOCHS} epochs")
        return self


def sgdr(params: SgdrParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build SGDR's schedule; cycles have whole epochs."""
    return Schedule(partial(_restarted, cycle_ends=params.cycle_ends(params.cycle_len * steps_per_epoch)))


def _restarted(i: int, cycle_ends: Sequence[int]) -> float:
    cycle = bisect_right(cycle_ends, i, hi=len(cycle_ends) - 1)
    start = cycle_ends[cycle - 1] if cycle else 0
    return _annealed(i - start, cycle_ends[cycle] - start)


COMPONENTS = (
    Component("policy", "one_cycle", OneCycleParams, f"{__name__}:one_cycle"),
    Component("policy", "flat", FlatParams, f"{__name__}:flat"),
    Component("policy", "flat_cosine", FlatCosineParams, f"{__name__}:flat_cosine"),
    Component("policy", "cosine", CosineParams, f"{__name__}:cosine"),
    Component("policy", "linear", LinearParams, f"{__name__}:linear"),
    Component("policy", "sgdr", SgdrParams, f"{__name__}:sgdr"),
)
