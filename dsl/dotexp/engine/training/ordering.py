"""Batches of examples in a given order, all at once or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from dotexp.sdk.data import Batch, Part, TensorPart
from dotexp.sdk.seeds import Draw


def read_batches(
    part: Part,
    order: Tensor,
    batch_size: int,
    draw: Draw | None,
    device: torch.device,
    workers: int = 0,
    gather: bool = False,
) -> Iterator[Batch]:
    """Yield a part's batches; with `gather`, many at once from columns in memory, to the same bits."""
    if gather and isinstance(part, TensorPart):
        return part.gathered_batches(order, batch_size, device)
    return part.batches(order, batch_size, draw, device, workers)


def batches_of_pieces(
    pieces: Iterable[Tensor], batch_size: int, done: int, wanted: int, read: Callable[[Tensor], Iterator[Batch]]
) -> Iterator[Batch]:
    """Yield batches `done` to `wanted` - 1 of an order in pieces; what `done` passes over whole is not read.

    `read` makes the batches of some rows.
    """
    left = torch.empty(0, dtype=torch.int64)
    first = 0  # the batch that `left` begins with
    for piece in pieces:
        rows = torch.cat((left, piece))
        count = min(len(rows) // batch_size, wanted - first)
        if count and first + count > done:
            yield from read(rows[max(0, done - first) * batch_size : count * batch_size])
        left = rows[count * batch_size :]
        first += count
        if first == wanted:
            return
