"""A batch that does not fit into memory, taken in pieces with the same gradient in the mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from dotexp.sdk.data import Batch

_TOLD = ("not enough memory", "can't allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: torch's own on a GPU, the system's elsewhere."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(told in str(error) for told in _TOLD)


class MicroBatches:
    """Computes a step's gradient in pieces of at most `size` examples, halved whenever one does not fit.

    Each piece's mean loss counts by its share of the batch, so that the gradient is that of the whole batch's mean.
    Batch norm sees the pieces, and dropout draws for each. `change` is what callbacks make of a whole batch. Buffers
    are put back before a step is tried again, and the random numbers are seeded again.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        cast: Callable[[], AbstractContextManager[object]],
        size: int,
        told: Callable[[int], None],
        change: Callable[[Batch], Batch] | None = None,
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> None:
        self.size = size
        self._network = network
        self._loss = loss
        self._cast = cast
        self._told = told
        self._change = change
        self._backward = backward
        self._buffers = [buffer for module in (network, loss) for buffer in module.buffers()]
        self._kept = [buffer.clone() for buffer in self._buffers]

    def backward(self, batches: Iterable[Batch], reseed: Callable[[int], None]) -> Tensor:
        """Add the gradient of a step's batches to the parameters', which have none, and return their mean loss.

        All of them are held until it is done, since a piece that does not fit has the whole step start again.
        """
        whole = list(batches)
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)
        while True:
            try:
                return self._pieces(whole, reseed)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.size == 1:
                    raise
            self._start_again()

    def _start_again(self) -> None:
        self._network.zero_grad(set_to_none=True)
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.size = (self.size + 1) // 2
        self._told(self.size)

    def _pieces(self, batches: Sequence[Batch], reseed: Callable[[int], None]) -> Tensor:
        count = sum(len(batch.targets) for batch in batches)
        total: Tensor | None = None
        for place, batch in enumerate(batches):
            reseed(place)
            changed = batch if self._change is None else self._change(batch)
            for start in range(0, len(batch.targets), self.size):
                part = self._piece(changed, slice(start, start + self.size), count)
                total = part if total is None else total + part
        assert total is not None  # a batch has examples
        return total

    def _piece(self, batch: Batch, rows: slice, count: int) -> Tensor:
        targets = batch.targets[rows]
        with self._cast():
            loss: Tensor = self._loss(self._network(*(part[rows] for part in batch.inputs)), targets)
        share = loss * (len(targets) / count)
        self._backward(share)
        return share.detach()
