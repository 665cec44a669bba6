"""What the callbacks take."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from dotexp import CallbackFacts, Component, DataFacts, MetricFacts, OfKind, Params, Percent, Positional, Problem, Use
from pydantic import Field, model_validator


class Watched(StrEnum):
    """Numbers of an epoch that are there without a metric."""

    valid_loss = "valid_loss"
    train_loss = "train_loss"


class Mode(StrEnum):
    """Which values are the better ones; auto knows it of the losses and of the metrics that say so."""

    auto = "auto"
    low = "min"
    high = "max"


class MonitorParams(Params):
    """Base of the callbacks that look at one number an epoch."""

    monitor: Annotated[Annotated[Use, OfKind("metric")] | Watched, Positional()] = Field(
        Watched.valid_loss, description="what to look at after each epoch: a loss, or one of the metrics"
    )
    mode: Mode = Field(
        Mode.auto,
        description="which values are better; auto: lower ones for a loss, and what a metric says of itself",
    )

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Which values are the better ones."""
        if self.mode is Mode.auto and isinstance(self.monitor, Use):
            return self.monitor.facts_as(MetricFacts).better or "lower"
        return "higher" if self.mode is Mode.high else "lower"

    @model_validator(mode="after")
    def _known(self) -> Self:
        metric = self.monitor if self.mode is Mode.auto and isinstance(self.monitor, Use) else None
        if metric is not None and metric.facts_as(MetricFacts).better is None:
            raise ValueError(f"`{metric.name}` does not say which values are better: give mode = min or max")
        return self


class EarlyStoppingParams(MonitorParams):
    """Stops the stage once a number has not got better for some epochs; the schedule stays that of the whole stage."""

    patience: int = Field(
        3, ge=1, le=100_000, description="epochs in a row without a better value after which it stops"
    )
    min_delta: float = Field(0.0, ge=0, le=1e6, description="how much better a value must be to count as better")


class KeepBestParams(MonitorParams):
    """Ends the stage with the weights and buffers of its best epoch."""


class ClipParams(Params):
    """Clips the gradient before each step: its norm over all that trains, or each of its numbers."""

    norm: Annotated[float | None, Positional()] = Field(
        1.0, gt=0, le=1e6, description="largest norm of the whole gradient; a longer one is shortened to it"
    )
    value: float | None = Field(
        None, gt=0, le=1e6, description="largest size of each of the gradient's numbers, instead of a norm"
    )

    @model_validator(mode="before")
    @classmethod
    def _value_alone(cls, given: Any) -> Any:
        """A value stands for itself: the norm's default is for where nothing is said."""
        if isinstance(given, dict) and given.get("value") is not None and "norm" not in given:
            return {**given, "norm": None}
        return given

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.norm is None) == (self.value is None):
            raise ValueError("it takes a norm or a value, and not both")
        return self


class AccumulateParams(Params):
    """Takes one step of the optimizer for several batches, on the mean of their gradients."""

    batches: Annotated[int, Positional()] = Field(ge=2, le=65536, description="batches to a step")


class EmaParams(Params):
    """Averages weights and batch norm's statistics over the steps; the averages are validated and end the stage."""

    decay: Annotated[float, Positional()] = Field(
        0.999, gt=0, lt=1, description="share of the average that stays at each step"
    )
    warmup: bool = Field(
        True,
        description="hold the decay of step n, from 0, to at most (1 + n) / (10 + n): the start is soon forgotten",
    )


Share = Annotated[float, Percent(), Field(gt=0, le=1, description="share of the batches that are mixed")]


class MixupParams(Params):
    """Mixes each image of a training batch, and its label, with another of the batch (Zhang et al. 2018)."""

    alpha: Annotated[float, Positional()] = Field(
        0.4, gt=0, le=100, description="both parameters of the beta distribution that a batch's share is drawn from"
    )
    p: Share = 1.0


class CutmixParams(Params):
    """Puts a rectangle of another image into each of a training batch, and mixes the labels (Yun et al. 2019)."""

    alpha: Annotated[float, Positional()] = Field(
        1.0, gt=0, le=100, description="both parameters of the beta distribution that the area left is drawn from"
    )
    p: Share = 1.0


def check_monitor(params: MonitorParams, facts: DataFacts) -> Iterator[Problem]:
    """Refuse to look at validation where nothing is validated."""
    if facts.valid == 0 and params.monitor is not Watched.train_loss:
        what = params.monitor.name if isinstance(params.monitor, Use) else str(params.monitor)
        yield Problem(
            f"there are no validation examples, so there is no `{what}` to look at",
            field="monitor",
            help="hold out some (`valid = 20%` of the data), or say monitor = train_loss",
        )


def accumulate_facts(params: AccumulateParams) -> CallbackFacts:
    """A step takes so many batches."""
    return CallbackFacts(batches_per_step=params.batches)


_HOME = "dotexp_callbacks"
_MIXES = CallbackFacts(inputs="images", tasks=("classification", "multilabel"))

COMPONENTS = (
    Component("callback", "early_stopping", EarlyStoppingParams, f"{_HOME}.best:EarlyStopping", check=check_monitor),
    Component("callback", "keep_best", KeepBestParams, f"{_HOME}.best:KeepBest", check=check_monitor),
    Component("callback", "clip", ClipParams, f"{_HOME}.clip:build"),
    Component("callback", "accumulate", AccumulateParams, f"{_HOME}.accumulate:build", accumulate_facts),
    Component("callback", "ema", EmaParams, f"{_HOME}.ema:AveragedWeights"),
    Component("callback", "mixup", MixupParams, f"{_HOME}.mix:mixup", _MIXES),
    Component("callback", "cutmix", CutmixParams, f"{_HOME}.mix:cutmix", _MIXES),
)
