"""Parameters, facts and checks of the callbacks."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from dotexp import CallbackFacts, Component, DataFacts, MetricFacts, OfKind, Params, Percent, Positional, Problem, Use
from pydantic import Field, model_validator


class Watched(StrEnum):
    """Losses that a callback can monitor."""

    valid_loss = "valid_loss"
    train_loss = "train_loss"


class Mode(StrEnum):
    """Whether lower or higher values are better; auto: lower for losses, and what a metric declares."""

    auto = "auto"
    low = "min"
    high = "max"


class MonitorParams(Params):
    """Base of the callbacks that monitor one number at the end of each epoch."""

    monitor: Annotated[Annotated[Use, OfKind("metric")] | Watched, Positional()] = Field(
        Watched.valid_loss, description="the number to monitor: a loss, or one of the metrics"
    )
    mode: Mode = Field(
        Mode.auto,
        description="which values are better; auto: lower ones for a loss, and what a metric declares",
    )

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Whether higher or lower values are better."""
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
    """Stops the stage when a number has not improved for some epochs; the schedule is that of the whole stage."""

    patience: int = Field(3, ge=1, le=100_000, description="epochs in a row without an improvement before it stops")
    min_delta: float = Field(0.0, ge=0, le=1e6, description="smallest change that counts as an improvement")


class KeepBestParams(MonitorParams):
    """Restores the weights and buffers of the best epoch at the end of the stage."""


class ClipParams(Params):
    """Clips the gradient before each step: its global norm, or each of its values."""

    norm: Annotated[float | None, Positional()] = Field(
        1.0,
        gt=0,
        le=1e6,
        description="largest norm of the gradient of all parameters together",
    )
    value: float | None = Field(
        None, gt=0, le=1e6, description="largest absolute value of a gradient's element, instead of a norm"
    )

    @model_validator(mode="before")
    @classmethod
    def _value_alone(cls, given: Any) -> Any:
        """Drop the norm's default where a value is given."""
        if isinstance(given, dict) and given.get("value") is not None and "norm" not in given:
            return {**given, "norm": None}
        return given

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.norm is None) == (self.value is None):
            raise ValueError("it takes a norm or a value, and not both")
        return self


class AccumulateParams(Params):
    """Gradient accumulation: one optimizer step for several batches, on the mean of their gradients."""

    batches: Annotated[int, Positional()] = Field(ge=2, le=65536, description="batches per optimizer step")


class EmaParams(Params):
    """Exponential moving average of weights and batch norm's statistics, which is validated and ends the stage."""

    decay: Annotated[float, Positional()] = Field(
        0.999, gt=0, lt=1, description="factor of the old average at each step"
    )
    warmup: bool = Field(
        True,
        description="limit the decay of step n, from 0, to (1 + n) / (10 + n), so that the start is soon forgotten",
    )


Share = Annotated[float, Percent(), Field(gt=0, le=1, description="probability that a batch is mixed")]


class MixupParams(Params):
    """mixup: blends each image of a training batch, and its label, with another one (Zhang et al. 2018)."""

    alpha: Annotated[float, Positional()] = Field(
        0.4, gt=0, le=100, description="parameter of the symmetric beta distribution of a batch's mixing ratio"
    )
    p: Share = 1.0


class CutmixParams(Params):
    """CutMix: pastes a rectangle of another image into each image of a batch, and mixes labels (Yun et al. 2019)."""

    alpha: Annotated[float, Positional()] = Field(
        1.0, gt=0, le=100, description="parameter of the symmetric beta distribution of the area that is kept"
    )
    p: Share = 1.0


def check_monitor(params: MonitorParams, facts: DataFacts) -> Iterator[Problem]:
    """Refuse to monitor validation where there are no validation examples."""
    if facts.valid == 0 and params.monitor is not Watched.train_loss:
        what = params.monitor.name if isinstance(params.monitor, Use) else str(params.monitor)
        yield Problem(
            f"there are no validation examples, so there is no `{what}` to monitor",
            field="monitor",
            help="hold some out (`valid = 20%` of the data), or give monitor = train_loss",
        )


def accumulate_facts(params: AccumulateParams) -> CallbackFacts:
    """Say how many batches a step takes."""
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
