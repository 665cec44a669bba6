"""Parts of ratings for training: narrow columns, and a shuffle by blocks for those that are larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from dotexp.sdk.data import TensorPart
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 1 << 12
"""Rows that stay together on their way into the buffer: they are read from the disk together."""
BUFFER = 1 << 22
"""Rows among which the order is a full permutation."""


class MappedPart(TensorPart):
    """A part whose columns lie in files; an epoch's order is shuffled by blocks."""

    def order(self, seed: int) -> Iterator[Tensor]:
        """Yield an epoch's order, in pieces, as `block_order`."""
        return block_order(len(self), seed, BLOCK, BUFFER)


def rating_part(users: NDArray[Any], items: NDArray[Any], ratings: NDArray[Any], mapped: bool) -> TensorPart:
    """Make a part of coded users and items, int32 (N,), and ratings, float32 (N,); `mapped` where they lie in files."""
    columns = [torch.from_numpy(column) for column in (users, items)]
    part = MappedPart if mapped else TensorPart
    return part(columns, torch.from_numpy(ratings), _as_codes)


def block_order(count: int, seed: int, block: int, buffer: int) -> Iterator[Tensor]:
    """Yield the rows 0 to count-1, each once, in pieces: a shuffle that reads from few places of a file at a time.

    Blocks of `block` rows next to each other are taken in a random order, `buffer` rows at a time, and these are
    permuted: where a row comes is uniform over the epoch, as in a full permutation; what differs is that rows of one
    block come within one buffer of each other. With no more rows than the buffer's it is a full permutation.
    """
    random = np.random.default_rng(seed)
    starts = random.permutation(-(-count // block)) * block
    each = max(1, buffer // block)
    for at in range(0, len(starts), each):
        rows = (starts[at : at + each, None] + np.arange(block)).ravel()
        rows = rows[rows < count]
        yield torch.from_numpy(random.permutation(rows))


def _as_codes(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(codes.long() for codes in inputs)
