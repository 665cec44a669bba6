"""Batches of an epoch whose order comes piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from dotexp.sdk.data import Batch


def batches_of_pieces(
    pieces: Iterable[Tensor], batch_size: int, done: int, wanted: int, read: Callable[[Tensor], Iterator[Batch]]
) -> Iterator[Batch]:
    """Yield batches `done` to `wanted` - 1 of an order in pieces; what `done` passes over whole is not read.

    `read` makes the batches of some rows; a batch's rows are always read along with the same others, so that its
    tensors lie in memory as they did before an interruption: rounding may depend on the alignment.
    """
    left = torch.empty(0, dtype=torch.int64)
    first = 0  # the batch that `left` begins with
    for piece in pieces:
        rows = torch.cat((left, piece))
        count = min(len(rows) // batch_size, wanted - first)
        if count and first + count > done:
            yield from islice(read(rows[: count * batch_size]), max(0, done - first), None)
        left = rows[count * batch_size :]
        first += count
        if first == wanted:
            return
