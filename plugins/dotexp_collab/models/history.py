"""Who rated what in training, held as sorted numbers in a model's buffers, and sums over it."""

from __future__ import annotations

import torch
from dotexp.sdk.data import Part
from dotexp.sdk.seeds import derive
from torch import Tensor, nn
from torch.nn import functional

_NOBODY = torch.iinfo(torch.int64).max
_READ = 1 << 20


def training_pairs(train: Part) -> tuple[Tensor, Tensor]:
    """Coded users (N,) and items (N,) of a training part, in its order."""
    users: list[Tensor] = []
    items: list[Tensor] = []
    for batch in train.batches(torch.arange(len(train)), _READ, None, torch.device("cpu")):
        users.append(batch.inputs[0].long())
        items.append(batch.inputs[1].long())
    return torch.cat(users), torch.cat(items)


class History(nn.Module):
    """For every owner, from 1, the others that it met in training, each once; owner 0 has met nobody.

    `pairs` (rows,) holds owner · (others + 1) + other, ascending, and the largest int64 behind the last: 8 bytes a
    training rating, which checkpoints and the saved model have as well.
    """

    pairs: Tensor

    def __init__(self, rows: int, others: int, longest: int | None = None) -> None:
        super().__init__()
        self.register_buffer("pairs", torch.full((rows,), _NOBODY, dtype=torch.int64))
        self._others = others
        self._longest = longest

    def fill(self, owners: Tensor, others: Tensor) -> None:
        """Take in the training pairs, (N,) each with N at most `rows`; of a longer list, `longest` drawn evenly."""
        keys = torch.unique(owners * (self._others + 1) + others)
        if self._longest is not None:
            keys = self._shortened(keys, self._longest)
        self.pairs.fill_(_NOBODY)
        self.pairs[: len(keys)] = keys

    def mean_like(self, table: nn.Embedding, owners: Tensor, but: Tensor) -> Tensor:
        """Sum over each owner's others (B, width), `but` one of them (B,), divided by the root of their number.

        `table` has a row for each other. Nobody met gives 0.
        """
        distinct, place = torch.unique(owners, return_inverse=True)
        starts, ends = self._bounds(distinct)
        counts = ends - starts
        rows = torch.repeat_interleave(starts - (counts.cumsum(0) - counts), counts)
        rows = rows + torch.arange(len(rows), device=rows.device)
        met = self.pairs[rows] % (self._others + 1)
        offsets = counts.cumsum(0) - counts
        summed = functional.embedding_bag(met, table.weight, offsets, mode="sum", sparse=table.sparse)
        own = self._holds(owners, but).to(summed.dtype).unsqueeze(1)
        # `embedding` picks rows as indexing does, and its backward pass gives the same bits on every device
        others = functional.embedding(place, summed) - own * functional.embedding(
            but, table.weight, sparse=table.sparse
        )
        number = functional.embedding(place, counts.to(summed.dtype).unsqueeze(1)) - own
        return others * number.clamp(min=1).rsqrt()

    def whole(self, table: nn.Embedding, owners: int) -> Tensor:
        """The same for the owners from 0 to `owners`, nobody left out."""
        codes = torch.arange(owners + 1, device=self.pairs.device)
        return self.mean_like(table, codes, torch.zeros_like(codes))

    def _bounds(self, owners: Tensor) -> tuple[Tensor, Tensor]:
        width = self._others + 1
        found = torch.searchsorted(self.pairs, torch.cat((owners * width, (owners + 1) * width)))
        starts, ends = found.chunk(2)
        return starts, ends

    def _holds(self, owners: Tensor, others: Tensor) -> Tensor:
        if not len(self.pairs):
            return torch.zeros_like(owners, dtype=torch.bool)
        keys = owners * (self._others + 1) + others
        places = torch.searchsorted(self.pairs, keys).clamp(max=len(self.pairs) - 1)
        return self.pairs[places] == keys

    def _shortened(self, keys: Tensor, longest: int) -> Tensor:
        """Keep `longest` of each owner's pairs; the sorted pairs alone say which."""
        generator = torch.Generator().manual_seed(derive(0, "history"))
        drawn = torch.rand(len(keys), generator=generator, dtype=torch.float64)
        owners = keys // (self._others + 1)
        order = torch.argsort(drawn)
        order = order[torch.argsort(owners[order], stable=True)]
        sorted_owners = owners[order]
        first = torch.searchsorted(sorted_owners, sorted_owners)
        rank = torch.arange(len(keys)) - first
        return keys[order[rank < longest]].sort().values
