"""A batch that does not fit into memory, taken in pieces with the same gradient in the mean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from dotexp.parts import Batch

_TOLD = ("not enough memory", "can't allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: torch's own on a GPU, the system's elsewhere."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(told in str(error) for told in _TOLD)


class Splitting:
    """Computes a step's gradient in pieces of at most `size` examples, halved whenever one does not fit.

    Each piece's mean loss counts by its share of the batch, so that the gradient is that of the whole batch's mean.
    Batch norm sees the pieces, and dropout draws for each. Buffers are put back before a batch is tried again, and
    the random numbers are seeded again.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        cast: Callable[[], AbstractContextManager[object]],
        size: int,
        told: Callable[[int], None],
    ) -> None:
        self.size = size
        self._network = network
        self._loss = loss
        self._cast = cast
        self._told = told
        self._buffers = [buffer for module in (network, loss) for buffer in module.buffers()]
        self._kept = [buffer.clone() for buffer in self._buffers]

    def backward(self, batch: Batch, reseed: Callable[[], None]) -> Tensor:
        """Add the batch's gradient to the parameters', which have none, and return its mean loss."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)
        while True:
            try:
                return self._pieces(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.size == 1:
                    raise
            self._start_again(reseed)

    def _start_again(self, reseed: Callable[[], None]) -> None:
        self._network.zero_grad(set_to_none=True)
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.size = (self.size + 1) // 2
        self._told(self.size)
        reseed()

    def _pieces(self, batch: Batch) -> Tensor:
        count = len(batch.targets)
        total: Tensor | None = None
        for start in range(0, count, self.size):
            rows = slice(start, start + self.size)
            targets = batch.targets[rows]
            with self._cast():
                loss: Tensor = self._loss(self._network(*(part[rows] for part in batch.inputs)), targets)
            share = loss * (len(targets) / count)
            share.backward()  # type: ignore[no-untyped-call]
            total = share.detach() if total is None else total + share.detach()
        assert total is not None  # a batch has examples
        return total
