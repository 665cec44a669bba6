"""Learning-rate policies: what they take, and the curves they stand for. No torch."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from dotexp import Component, LearningRate, Percent, PolicyParams, Positional, Schedule
from pydantic import Field, model_validator

from dotexp_optimizers import schedules

MOST_EPOCHS = 100_000

Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS, description="passes over the training set"), Positional()]
Share = Annotated[float, Field(ge=0, le=1), Percent()]
Momentum = Annotated[float, Field(gt=0, lt=1)]


class _EpochsParams(PolicyParams):
    epochs: Epochs
    lr: LearningRate

    @property
    def total_epochs(self) -> int:
        """Epochs that the policy runs for."""
        return self.epochs


class OneCycleParams(_EpochsParams):
    """One-cycle: the rate up a cosine from lr/div to lr and down towards lr/div_final, momentum the other way."""

    pct_start: Share = Field(0.25, description="share of the steps in which the rate rises")
    div: float = Field(25.0, ge=1, le=1e9, description="the rate starts at lr/div")
    div_final: float = Field(1e5, ge=1, le=1e12, description="the rate ends near lr/div_final")
    momentum: tuple[Momentum, Momentum, Momentum] | None = Field(
        (0.95, 0.85, 0.95),
        description="momentum (Adam's first beta) at the start, the peak and the end; none leaves the optimizer's",
    )

    @property
    def moves_momentum(self) -> bool:
        """Whether the policy sets the optimizer's momentum."""
        return self.momentum is not None


class FlatParams(_EpochsParams):
    """The same rate throughout."""


class FlatCosineParams(_EpochsParams):
    """The same rate at first, then down a cosine towards lr/div_final."""

    pct_start: Share = Field(0.75, description="share of the steps with the full rate")
    div_final: float = Field(1e5, ge=1, le=1e12, description="the rate ends near lr/div_final")


class CosineParams(_EpochsParams):
    """Down a cosine from lr towards 0."""


class LinearParams(_EpochsParams):
    """Down a straight line from lr towards 0."""


class SgdrParams(PolicyParams):
    """Cosines from lr towards 0 with warm restarts, each cycle longer than the one before."""

    cycles: Annotated[int, Positional()] = Field(ge=1, le=1000, description="how many cycles")
    lr: LearningRate
    cycle_len: int = Field(1, ge=1, le=MOST_EPOCHS, description="epochs in the first cycle")
    cycle_mult: int = Field(2, ge=1, le=100, description="how many times longer each cycle is than the one before")

    @property
    def total_epochs(self) -> int:
        """Epochs that the policy runs for."""
        return schedules.sgdr_cycles(self.cycles, self.cycle_len, self.cycle_mult)[-1]

    @model_validator(mode="after")
    def _not_endless(self) -> SgdrParams:
        if self.total_epochs > MOST_EPOCHS:
            raise ValueError(f"{self.cycles} cycles make more than {MOST_EPOCHS} epochs")
        return self


def one_cycle(params: OneCycleParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build one-cycle's schedule."""
    factor = partial(
        schedules.one_cycle, n=steps, pct_start=params.pct_start, div=params.div, div_final=params.div_final
    )
    if params.momentum is None:
        return Schedule(factor)
    momentum = partial(schedules.one_cycle_momentum, n=steps, pct_start=params.pct_start, momentum=params.momentum)
    return Schedule(factor, momentum)


def flat(params: FlatParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule that stays at the peak."""
    return Schedule(partial(schedules.flat, n=steps))


def flat_cosine(params: FlatCosineParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule that stays, then falls."""
    return Schedule(partial(schedules.flat_cosine, n=steps, pct_start=params.pct_start, div_final=params.div_final))


def cosine(params: CosineParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule that falls along a cosine."""
    return Schedule(partial(schedules.cosine, n=steps))


def linear(params: LinearParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule that falls along a line."""
    return Schedule(partial(schedules.linear, n=steps))


def sgdr(params: SgdrParams, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule of cosines with restarts; a cycle's epochs are whole."""
    ends = schedules.sgdr_cycles(params.cycles, params.cycle_len * steps_per_epoch, params.cycle_mult)
    return Schedule(partial(schedules.sgdr, cycle_ends=ends))


COMPONENTS = (
    Component("policy", "one_cycle", OneCycleParams, f"{__name__}:one_cycle"),
    Component("policy", "flat", FlatParams, f"{__name__}:flat"),
    Component("policy", "flat_cosine", FlatCosineParams, f"{__name__}:flat_cosine"),
    Component("policy", "cosine", CosineParams, f"{__name__}:cosine"),
    Component("policy", "linear", LinearParams, f"{__name__}:linear"),
    Component("policy", "sgdr", SgdrParams, f"{__name__}:sgdr"),
)
