"""Models of ratings without shapes that the data decides: what is looked up in lists is summed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from dotexp_collab.models.history import History
    from dotexp_collab.models.svdpp import Side, SvdPlusPlus


class ExportedHistory(nn.Module):
    """Who met whom in training: a sum and a count for each owner, and whether a pair is among them by bisection.

    `pairs` are ascending and hold owner · width + other.
    """

    pairs: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, history: History, table: nn.Embedding, owners: int) -> None:
        super().__init__()
        self.width = table.num_embeddings
        real = history.pairs[history.pairs < owners * self.width]
        owner, other = real // self.width, real % self.width
        weight = table.weight.detach()
        self.register_buffer("pairs", real if len(real) else torch.full((1,), -1))
        self.register_buffer("sums", torch.zeros(owners, weight.shape[1]).index_add_(0, owner, weight[other]))
        self.register_buffer("counts", torch.bincount(owner, minlength=owners).to(weight.dtype).unsqueeze(1))
        self.seen = table

    def forward(self, owners: Tensor, but: Tensor) -> Tensor:
        """Sum of each owner's others (B, width), `but` one of them, divided by the root of their number."""
        own = self._holds(owners, but).to(self.sums.dtype).unsqueeze(1)
        others = functional.embedding(owners, self.sums) - own * self.seen(but)
        number = functional.embedding(owners, self.counts) - own
        total: Tensor = others * number.clamp(min=1).rsqrt()
        return total

    def _holds(self, owners: Tensor, others: Tensor) -> Tensor:
        keys, count = owners * self.width + others, len(self.pairs)
        below = torch.zeros_like(keys)  # how many pairs are smaller
        for bit in reversed(range(count.bit_length())):
            further = below + (1 << bit)
            smaller = (further <= count) & (self.pairs[(further - 1).clamp(max=count - 1)] < keys)
            below = torch.where(smaller, further, below)
        return self.pairs[below.clamp(max=count - 1)] == keys


class ExportedSvdPlusPlus(nn.Module):
    """`SvdPlusPlus` in evaluation mode, row 0 of whose tables stands for the unknown; features are summed by owner."""

    def __init__(self, model: SvdPlusPlus) -> None:
        super().__init__()
        self.model = model
        self.user_factors, self.user_bias, self.user_history = _side(
            model.user_side, model.user_factors, model.user_bias
        )
        self.item_factors, self.item_bias, self.item_history = _side(
            model.item_side, model.item_factors, model.item_bias
        )
        self.model.user_side = self.model.item_side = None  # type: ignore[assignment]

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predict the ratings (B,) of coded users (B,) for coded items (B,)."""
        u, v = self.user_factors(users), self.item_factors(items)
        if self.user_history is not None:
            u = u + self.user_history(users, items)
        if self.item_history is not None:
            v = v + self.item_history(items, users)
        score = ((u * v).sum(1, keepdim=True) + self.user_bias(users) + self.item_bias(items)).squeeze(1)
        return self.model.bound(score)


@torch.no_grad()
def _side(
    side: Side, factors: nn.Embedding, bias: nn.Embedding
) -> tuple[nn.Embedding, nn.Embedding, ExportedHistory | None]:
    tables = factors.weight.detach(), bias.weight.detach()
    owners = torch.arange(factors.num_embeddings)
    if side.known is not None and side.features is not None and side.feature_bias is not None:
        vectors, numbers = side.known.total((side.features, side.feature_bias), owners)
        tables = tables[0] + vectors, tables[1] + numbers
    history = None
    if side.history is not None and side.seen is not None:
        history = ExportedHistory(side.history, side.seen, len(owners))
    return _table(tables[0]), _table(tables[1]), history


def _table(weight: Tensor) -> nn.Embedding:
    return nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
