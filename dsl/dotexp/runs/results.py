"""What a run records: a row an epoch, a result a stage, and how the run ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dotexp.language.wording import counted
from dotexp.runs.freeze_proof import Freezing


class Status(StrEnum):
    """How a run ended; `unfinished` has no result yet: it is going on, or was killed."""

    finished = "finished"
    failed = "failed"
    interrupted = "interrupted"
    unfinished = "unfinished"


@dataclass(frozen=True)
class EpochRow:
    """One line of metrics.jsonl: `epoch` and `step` count from 1 within the stage, `seconds` is the epoch's time.

    `train_loss` is the debiased moving average over the stage's steps; None stands for a number that is not finite,
    or that there is none of. `stopped` says why the stage stopped after this epoch, where it was not its last. `logged`
    are numbers that callbacks have logged, by name.
    """

    stage: str
    epoch: int
    step: int
    train_loss: float | None
    valid_loss: float | None
    metrics: Mapping[str, Any]
    seconds: float
    stopped: str | None = None
    logged: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The metrics, then what callbacks have logged."""
        return {**self.metrics, **self.logged}


@dataclass(frozen=True)
class StageResult:
    """How a stage ended: the numbers of its last epoch, the seconds of all its epochs, and the proof of its freezing.

    `epochs` and `steps` are those done: fewer than planned where a callback stopped it, and `stopped` says why. With
    `best_epoch`, from 1, the stage left that epoch's weights, and the numbers are that epoch's. `freezing` is None for
    runs of versions that made no proof. `skipped_steps` moved nothing, since their gradients overflowed in f16.
    """

    name: str
    epochs: int
    steps: int
    train_loss: float | None
    valid_loss: float | None
    metrics: Mapping[str, Any]
    seconds: float
    freezing: Freezing | None = None
    stopped: str | None = None
    best_epoch: int | None = None
    skipped_steps: int = 0

    @property
    def epoch(self) -> int:
        """The epoch, from 1, whose weights the stage left, and whose numbers these are."""
        return self.best_epoch or self.epochs

    @property
    def skipped_text(self) -> str:
        """How many steps were skipped, in words; empty where none was."""
        return skipped_text(self.skipped_steps, self.steps) if self.skipped_steps else ""


@dataclass(frozen=True)
class RunResult:
    """What result.json holds; `reason` says why the run did not finish, `started` is UTC in ISO 8601.

    `changes` are what had changed when the run was resumed all the same: with any, it is not bit-exact.
    """

    experiment: str
    status: Status
    stages: tuple[StageResult, ...] = ()
    seconds: float = 0.0
    started: str = ""
    device: str | None = None
    parameters: int = 0
    reason: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()


def is_finite(value: Any) -> bool:
    """Whether a number, or every number in a list of them or of such lists, is neither NaN nor infinite."""
    return all(map(is_finite, value)) if isinstance(value, list) else math.isfinite(value)


def skipped_text(skipped: int, steps: int) -> str:
    """Say how many of a stage's steps were skipped: `3 of 4 steps were skipped, since gradients overflowed in f16`."""
    if skipped == steps > 1:
        return f"all {steps:,} steps were skipped, since gradients overflowed in f16"
    verb = "was" if skipped == 1 else "were"
    return f"{skipped:,} of {counted(steps, 'step')} {verb} skipped, since gradients overflowed in f16"
