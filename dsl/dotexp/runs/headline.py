"""A run's main numbers, and the weights that they belong to: one answer for the terminal, the report and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dotexp.runs.folder import RunFolder
from dotexp.runs.results import RunResult, StageResult, Status


@dataclass(frozen=True)
class Headline:
    """Validation loss and metrics of one set of weights: those of a stage's epoch, from 1.

    `best` says that the stage went back to this epoch as its best; `saved` that these weights are the run's model.
    """

    valid_loss: float | None
    metrics: Mapping[str, Any]
    stage: str
    epoch: int
    epochs: int
    best: bool
    saved: bool

    @property
    def weights(self) -> str:
        """Say which weights the numbers belong to."""
        if not self.saved:
            return f"stage {self.stage}, epoch {self.epoch}, the newest; the run is not finished"
        return weights_text(self.epoch, self.epochs, self.best, self.stage)

    def as_json(self) -> dict[str, Any]:
        """The numbers and their weights, as `--json` prints them."""
        weights = {"stage": self.stage, "epoch": self.epoch, "epochs": self.epochs, "best": self.best}
        return {
            "valid_loss": self.valid_loss,
            "metrics": dict(self.metrics),
            "weights": {**weights, "saved": self.saved},
        }


def headline(run: RunFolder) -> Headline | None:
    """Numbers of a finished run's model, else of the newest epoch; None before the first.

    Raises UsageError where result.json or metrics.jsonl cannot be read.
    """
    result = run.read_result()
    if result is not None and result.status is Status.finished and result.stages:
        last = result.stages[-1]
        best = last.best_epoch is not None
        return Headline(last.valid_loss, last.metrics, last.name, last.epoch, last.epochs, best, True)
    rows = run.read_epochs()
    if not rows:
        return None
    row = rows[-1]
    return Headline(row.valid_loss, row.metrics, row.stage, row.epoch, row.epoch, False, False)


def stage_json(stage: StageResult) -> dict[str, Any]:
    """A stage's result as `--json` prints it, with the weights that its numbers belong to."""
    best = stage.best_epoch is not None
    weights = {"stage": stage.name, "epoch": stage.epoch, "epochs": stage.epochs, "best": best}
    return {**asdict(stage), "weights": weights}


def setbacks(result: RunResult, losses: Mapping[str, object]) -> Iterator[str]:
    """Name each stage that ended worse than one before it; `losses` tells which stages' losses can be compared."""
    best: dict[object, StageResult] = {}
    for stage in result.stages:
        loss, value = losses.get(stage.name), stage.valid_loss
        if value is None:
            continue
        before = best.get(loss)
        if before is not None and before.valid_loss is not None and value > before.valid_loss:
            yield (
                f"stage `{stage.name}` ended with a validation loss of {value:.6f}, worse than stage `{before.name}`"
                f" before it, which ended with {before.valid_loss:.6f}"
            )
        else:
            best[loss] = stage


def weights_of(stage: StageResult) -> str:
    """Name the weights that a stage left: `epoch 3 of 5, its best`."""
    return weights_text(stage.epoch, stage.epochs, stage.best_epoch is not None)


def weights_text(epoch: int, epochs: int, best: bool, stage: str = "") -> str:
    """Name an epoch's weights: `stage head, epoch 3 of 5, its best`."""
    return f"{f'stage {stage}, ' if stage else ''}epoch {epoch} of {epochs}{', its best' if best else ''}"
