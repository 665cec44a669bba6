"""Callbacks that monitor one number at the end of each epoch: early stopping, and the best epoch's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from dotexp import RunError, Use
from dotexp.sdk.callback import Callback, EpochRow, Training
from torch import Tensor

from dotexp_callbacks.params import EarlyStoppingParams, KeepBestParams, MonitorParams


class Monitor:
    """Reads the monitored number from each epoch's row, and holds the best value and its epoch."""

    def __init__(self, params: MonitorParams, min_delta: float = 0.0) -> None:
        self.name = ""
        self.best: float | None = None
        self.epoch: int | None = None
        self._monitor = params.monitor
        self._sign = 1.0 if params.better == "higher" else -1.0
        self._min_delta = min_delta

    def start(self, training: Training) -> None:
        """Look up the name of the number in the rows."""
        monitor = self._monitor
        self.name = training.name_of(monitor) if isinstance(monitor, Use) else str(monitor)

    def improves(self, row: EpochRow) -> bool:
        """Whether an epoch is better than all before it by more than `min_delta`; NaN and infinity never are."""
        value = self._value(row)
        if value is None or not math.isfinite(value):
            return False
        if self.best is not None and self._sign * (value - self.best) <= self._min_delta:
            return False
        self.best, self.epoch = value, row.epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best value and its epoch."""
        self.best, self.epoch = state["best"], state["epoch"]

    def _value(self, row: EpochRow) -> float | None:
        value = {"train_loss": row.train_loss, "valid_loss": row.valid_loss, **row.metrics}[self.name]
        if isinstance(value, list):
            raise TypeError(f"{self.name} is {len(value)} numbers, and one is needed")
        return None if value is None else float(value)


class EarlyStopping(Callback):
    """Stops the stage after `patience` epochs in a row without an improvement."""

    def __init__(self, params: EarlyStoppingParams) -> None:
        self._monitor = Monitor(params, params.min_delta)
        self._patience = params.patience
        self._waited = 0

    def stage_started(self, training: Training) -> None:
        """Look up the monitored number."""
        self._monitor.start(training)

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Return the reason to stop, if the patience is used up."""
        self._waited = 0 if self._monitor.improves(row) else self._waited + 1
        if self._waited < self._patience:
            return None
        name, best, epoch = self._monitor.name, self._monitor.best, self._monitor.epoch
        since = "was never a finite number" if best is None else f"was best in epoch {epoch}, at {best:.6g}"
        return f"{name} {since}; stopped after epoch {row.epoch}"

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and the number of epochs since."""
        return {"monitor": self._monitor.state_dict(), "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best value and the number of epochs since."""
        self._monitor.load_state_dict(state["monitor"])
        self._waited = state["waited"]


class KeepBest(Callback):
    """Keeps a copy of the trained parameters and all buffers of the best epoch, and restores it at the stage's end."""

    def __init__(self, params: KeepBestParams) -> None:
        self._monitor = Monitor(params)
        self._tensors: list[Tensor] = []
        self._kept: list[Tensor] | None = None

    def stage_started(self, training: Training) -> None:
        """Look up the monitored number, and collect the tensors that may change."""
        self._monitor.start(training)
        self._tensors = [*(parameter.detach() for parameter in training.parameters), *training.network.buffers()]

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Copy the tensors if the epoch is the best."""
        if self._monitor.improves(row):
            self._kept = [tensor.clone() for tensor in self._tensors]
        return None

    def stage_ended(self) -> int | None:
        """Restore the best epoch's tensors and return its number. Raises RunError if no epoch had a finite value."""
        if self._kept is None:
            raise RunError(
                f"{self._monitor.name} was a finite number in no epoch, so there are no best weights to keep: "
                "look at the warning about the validation's numbers, or leave the callback out"
            )
        for tensor, kept in zip(self._tensors, self._kept, strict=True):
            tensor.copy_(kept)
        return self._monitor.epoch

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its tensors."""
        return {"monitor": self._monitor.state_dict(), "kept": self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best value and its tensors, on the network's device."""
        self._monitor.load_state_dict(state["monitor"])
        kept = state["kept"]
        if kept is not None:
            pairs = zip(self._tensors, kept, strict=True)
            kept = [torch.empty_like(tensor).copy_(value) for tensor, value in pairs]
        self._kept = kept
