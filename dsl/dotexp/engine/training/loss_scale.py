"""Loss scaling for f16: gradients too small for it are kept, and steps whose gradients overflow are skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dotexp.engine.training.guard import skips_on_device

_HOPELESS = 2.0**-10


class LossScaler:
    """Torch's gradient scaler for one optimizer: the scale starts at 65536, halves at each overflow and grows again.

    A skipped step moves no weights and counts as taken, so that the schedule stays as planned.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._scaler = torch.amp.GradScaler(device.type)
        self._skipped = torch.zeros((), device=device)
        if not skips_on_device(optimizer):
            # An optimizer derived from a fused one inherits its promise to skip a step by itself, and may not keep it.
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]

    @property
    def skipped(self) -> int:
        """Steps skipped so far; waits for the device."""
        return int(self._skipped.item())

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
        for bad in self._scaler._found_inf_per_device(self._optimizer).values():
            self._skipped += bad
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """The scale, the steps since it changed, and the steps skipped."""
        return {**self._scaler.state_dict(), "skipped": self.skipped}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        own = dict(state)
        self._skipped.fill_(own.pop("skipped", 0))
        self._scaler.load_state_dict(own)
