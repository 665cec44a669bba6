"""The polling over the loss: a loss that is not a number stops the run before it spoils the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from dotexp.components.component import Use
from dotexp.language.diagnostics import RunError

Failure = Callable[[int, float], RunError]
"""Makes the error for a step, from 0, and its loss."""


class NotFiniteError(RunError):
    """The loss, or some weights, are no longer finite numbers."""


class MovingAverage:
    """Exponential moving average that starts at nothing, divided by the weight seen so far (fastai's smooth loss)."""

    def __init__(self, beta: float = 0.98) -> None:
        self._beta = beta
        self._sum = 0.0
        self._weight = 0.0

    def add(self, value: float) -> None:
        """Take in one more value."""
        self._sum = self._beta * self._sum + (1 - self._beta) * value
        self._weight = self._beta * self._weight + (1 - self._beta)

    @property
    def state(self) -> tuple[float, float]:
        """What it has taken in: the weighted sum, and the weights' sum."""
        return self._sum, self._weight

    def restore(self, state: tuple[float, float]) -> None:
        """Go on from there."""
        self._sum, self._weight = state

    @property
    def value(self) -> float | None:
        """The average; None of nothing."""
        return self._sum / self._weight if self._weight else None


class Guard(Protocol):
    """Sees each step's loss before the optimizer moves; raises the stage's error for one that is not finite."""

    average: MovingAverage

    def see(self, loss: Tensor, step: int) -> None:
        """Look at a step's loss, or note it for later."""
        ...

    def settle(self) -> None:
        """Look at every loss noted so far."""
        ...


class EachStep:
    """Looks at every loss at once: free on the CPU, a wait for the device elsewhere."""

    def __init__(self, failure: Failure) -> None:
        self.average = MovingAverage()
        self._failure = failure

    def see(self, loss: Tensor, step: int) -> None:
        """Raise the stage's error unless the loss is finite."""
        value = loss.item()
        if not math.isfinite(value):
            raise self._failure(step, value)
        self.average.add(value)

    def settle(self) -> None:
        """Nothing is left to look at."""


class OnDevice:
    """Looks at the losses in batches without stopping the device meanwhile.

    The first loss that is not finite raises the optimizer's `found_inf`, and it stays up: torch's fused optimizers
    then leave the weights alone, so that they are those before that step however late it is noticed here.
    """

    def __init__(self, failure: Failure, optimizer: Optimizer, device: torch.device, every: int = 64) -> None:
        self.average = MovingAverage()
        self._failure = failure
        self._losses = torch.zeros(every, device=device)
        self._found = torch.zeros((), device=device)
        self._steps: list[int] = []
        # The fused kernels read these two attributes; GradScaler sets them in the same way.
        optimizer.found_inf = self._found  # type: ignore[attr-defined]
        optimizer.grad_scale = None  # type: ignore[attr-defined]

    def see(self, loss: Tensor, step: int) -> None:
        """Note the loss on the device; look at the noted ones when there are enough."""
        loss = loss.detach()
        self._losses[len(self._steps)].copy_(loss)
        self._steps.append(step)
        torch.maximum(self._found, (loss * 0 != 0).to(self._found.dtype), out=self._found)
        if len(self._steps) == len(self._losses):
            self.settle()

    def settle(self) -> None:
        """Wait for the device and look at every loss noted so far."""
        steps, self._steps = self._steps, []
        for step, value in zip(steps, self._losses[: len(steps)].tolist(), strict=True):
            if not math.isfinite(value):
                raise self._failure(step, value)
            self.average.add(value)


def optimizer_skips(use: Use) -> bool:
    """Whether an optimizer, as it is built on CUDA, skips a step that is marked as bad on the device."""
    if not torch.cuda.is_available():
        return False
    parameter = nn.Parameter(torch.zeros(1, device="cuda"))
    try:
        return skips_on_device(use.build([{"params": [parameter], "lr": 0.0, "weight_decay": 0.0, "name": "probe"}]))
    except Exception:  # a plugin's optimizer may not take so small a parameter: every loss is read, then
        return False


def skips_on_device(optimizer: Optimizer) -> bool:
    """Whether the optimizer is one of torch's fused ones as it is; one with steps of its own may not heed the flag."""
    return type(optimizer) in (Adam, AdamW, SGD, Adagrad) and all(g.get("fused") for g in optimizer.param_groups)
