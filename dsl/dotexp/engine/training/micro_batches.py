"""A batch that does not fit into memory: its gradient accumulated over micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from dotexp.engine.training.freezing import BATCHNORMS
from dotexp.language.machine_faults import is_out_of_memory
from dotexp.sdk.data import Batch


def micro_batch_sizes(count: int, size: int, smallest: int = 1) -> tuple[int, ...]:
    """Split `count` examples into micro-batches of at most `size`, as equal as can be: 13 by 4 is 4, 3, 3, 3.

    None is below `smallest`; where that takes one above `size`, it is: 3 by 2 with `smallest` 2 stay together.
    """
    number = max(1, min(-(-count // size), count // smallest))
    share, more = divmod(count, number)
    return tuple(share + (place < more) for place in range(number))


class MicroBatches:
    """Computes a step's gradient in micro-batches of at most `size` examples, halved whenever one does not fit.

    Each one's mean loss counts by its share of the batch, so that the gradient is that of the whole batch's mean.
    Batch norm sees each by itself, so where it trains none has one example; dropout draws for each. `change` is what
    callbacks make of a whole batch. Buffers are put back before a step is tried again, and the random numbers are
    seeded again.
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
        self._smallest: int | None = None
        self._buffers = [buffer for module in (network, loss) for buffer in module.buffers()]
        self._kept = [buffer.clone() for buffer in self._buffers]

    def backward(self, batches: Iterable[Batch], reseed: Callable[[int], None]) -> Tensor:
        """Add the gradient of a step's batches to the parameters', which have none, and return their mean loss.

        All of them are held until it is done, since a micro-batch that does not fit has the whole step start again.
        """
        whole = list(batches)
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)
        while True:
            try:
                return self._accumulate(whole, reseed)
            except (RuntimeError, MemoryError) as error:
                largest = max(len(batch.targets) for batch in whole)
                half = (min(self.size, largest) + 1) // 2
                if not is_out_of_memory(error) or self._sizes(largest, half) == self._sizes(largest, self.size):
                    raise
            self.size = half
            self._start_again()
            self._told(max(self._sizes(largest, half)))

    def _sizes(self, count: int, size: int) -> tuple[int, ...]:
        if count <= size:
            return (count,)
        if self._smallest is None:  # asked once the stage has put its modules into training mode
            trains = any(isinstance(each, BATCHNORMS) and each.training for each in self._network.modules())
            self._smallest = 2 if trains else 1
        return micro_batch_sizes(count, size, self._smallest)

    def _start_again(self) -> None:
        self._network.zero_grad(set_to_none=True)
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _accumulate(self, batches: Sequence[Batch], reseed: Callable[[int], None]) -> Tensor:
        count = sum(len(batch.targets) for batch in batches)
        total: Tensor | None = None
        for place, batch in enumerate(batches):
            reseed(place)
            changed = batch if self._change is None else self._change(batch)
            start = 0
            for size in self._sizes(len(batch.targets), self.size):
                part = self._micro_batch(changed, slice(start, start + size), count)
                total = part if total is None else total + part
                start += size
        assert total is not None  # a batch has examples
        return total

    def _micro_batch(self, batch: Batch, rows: slice, count: int) -> Tensor:
        targets = batch.targets[rows]
        with self._cast():
            loss: Tensor = self._loss(self._network(*(part[rows] for part in batch.inputs)), targets)
        share = loss * (len(targets) / count)
        self._backward(share)
        return share.detach()
