"""Loss scaling for f16: gradients too small for it are kept, and steps whose gradients overflow are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_HOPELESS = 2.0**-10


class LossScaler:
    """Torch's gradient scaler for one optimizer: the scale starts at 65536, halves at each overflow and grows again.

    A step that is left out moves no weights and counts as taken, so that the schedule stays as planned.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._scaler = torch.amp.GradScaler(device.type)

    @property
    def hopeless(self) -> bool:
        """Whether the scale has fallen so far that no gradient can have been finite; waits for the device."""
        return self._scaler.get_scale() < _HOPELESS

    def backward(self, loss: Tensor) -> None:
        """Add the scaled loss's gradient to the parameters'."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def unscale(self) -> None:
        """Make the gradients what they would be without scaling."""
        self._scaler.unscale_(self._optimizer)

    def step(self) -> None:
        """Take the step unless a gradient has overflowed, and set the scale for the next one."""
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """The scale, and the steps since it changed."""
        return self._scaler.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._scaler.load_state_dict(dict(state))
