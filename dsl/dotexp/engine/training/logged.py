"""Numbers that callbacks log during an epoch, by name."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from dotexp.language.diagnostics import RunError

RESERVED = ("stage", "epoch", "step", "train_loss", "valid_loss", "metrics", "seconds", "stopped", "logged")
"""Fields of a line of metrics.jsonl."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,63}")


class LoggedNumbers:
    """The current epoch's logged numbers: the last value of each name. A name belongs to one callback for a stage.

    `taken` holds the names of the metrics. Callbacks are given by their index in the stage.
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self._taken = {*taken}
        self._owners: dict[str, int] = {}
        self._values: dict[str, float | Tensor] = {}
        self._closed = False

    def log(self, owner: int, name: str, value: Any) -> None:
        """Record a number of the callback `owner`, replacing an earlier value of this name.

        A tensor is read when the epoch ends, so that no step waits for the device. Raises RunError for a name that is
        malformed or taken, for a value that is not a number, and after the last epoch.
        """
        self._require_name(owner, name)
        number = _number(name, value)
        if self._closed:
            raise RunError(f"cannot log `{name}` after the stage's last epoch: log it in epoch_ended or earlier")
        self._values[name] = number
        self._owners[name] = owner

    def values(self) -> dict[str, float]:
        """Return the epoch's numbers, in the order in which they were first logged."""
        return {name: value.item() if isinstance(value, Tensor) else value for name, value in self._values.items()}

    def owner(self, name: str) -> int:
        """Return the callback that logs this name."""
        return self._owners[name]

    def clear(self) -> None:
        """Start a new epoch."""
        self._values.clear()

    def close(self) -> None:
        """Refuse further numbers: the stage's last epoch has ended."""
        self._closed = True

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"owners": dict(self._owners), "values": dict(self._values)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a checkpoint's state; checkpoints of earlier versions have none."""
        self._owners = dict(state.get("owners", {}))
        self._values = dict(state.get("values", {}))

    def _require_name(self, owner: int, name: object) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RunError(
                f"cannot log under the name {name!r}: a name is a letter or _, then letters, digits and _ . / -, at"
                " most 64 characters"
            )
        if name in self._taken or name in RESERVED:
            what = "one of the metrics" if name in self._taken else "a field of every epoch"
            raise RunError(f"cannot log `{name}`, which is {what}: choose another name")
        if self._owners.get(name, owner) != owner:
            raise RunError(f"cannot log `{name}`, which another callback of the stage logs: choose another name")


def _number(name: str, value: Any) -> float | Tensor:
    """Return a number, a tensor of one number, or a number of numpy, as it is kept. Raises RunError for others."""
    if isinstance(value, Tensor):
        if value.numel() == 1 and not value.is_complex() and value.dtype is not torch.bool:
            return value.detach().clone().reshape(())
        raise RunError(f"cannot log `{name}`: a tensor of shape {tuple(value.shape)} and {value.dtype} is not a number")
    plain = value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value  # numpy's
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        with suppress(OverflowError):
            return float(plain)
    raise RunError(f"cannot log `{name}`: {reprlib.repr(value)} of type {type(value).__name__} is not a number")
