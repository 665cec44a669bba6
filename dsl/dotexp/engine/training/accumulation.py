"""Several batches to one step: the gradient is the mean of theirs, as that of one big batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor, nn

from dotexp.sdk.data import Batch


class Gradient(Protocol):
    """A way to a step's gradient other than one batch's forward and backward pass."""

    def backward(self, batches: Iterable[Batch], reseed: Callable[[int], None]) -> Tensor:
        """Add the gradient of a step's batches to the parameters', which have none, and return their mean loss.

        `reseed` seeds what is drawn for the batch at a place of the step, from 0, whatever was drawn to read it.
        """
        ...


class Accumulation:
    """Takes a step's `count` batches, all of one size, one after the other, and never holds two of them.

    Batch norm sees each by itself. `change` is what callbacks make of a batch.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        cast: Callable[[], AbstractContextManager[object]],
        count: int,
        change: Callable[[Batch], Batch] | None = None,
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> None:
        self._network = network
        self._loss = loss
        self._cast = cast
        self._count = count
        self._change = change
        self._backward = backward

    def backward(self, batches: Iterable[Batch], reseed: Callable[[int], None]) -> Tensor:
        """Add the mean of the batches' gradients to the parameters', and return their mean loss."""
        total: Tensor | None = None
        for place, batch in enumerate(batches):
            reseed(place)
            changed = batch if self._change is None else self._change(batch)
            with self._cast():
                loss: Tensor = self._loss(self._network(*changed.inputs), changed.targets)
            share = loss / self._count
            self._backward(share)
            total = share.detach() if total is None else total + share.detach()
        assert total is not None  # a step has batches
        return total
