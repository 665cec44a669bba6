"""The dot-product model of collaborative filtering."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from dotexp import DataFacts
from torch import Tensor, nn
from torch.nn import functional

from dotexp_collab.checks import relaxed
from dotexp_collab.params import EmbeddingDotBiasParams


class EmbeddingDotBias(nn.Module):
    """Rating of an item by a user: u·v + b_user + b_item, through a sigmoid scaled to `y_range` (None: as it is).

    Tables have a row for each known id, from 1, and row 0 for unknown ids, which no training rating moves. In
    evaluation mode the mean of the rows from 1 stands in for row 0; the parameters stay as they are.
    """

    def __init__(self, users: int, items: int, factors: int, y_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.user_factors = _table(users, factors)
        self.item_factors = _table(items, factors)
        self.user_bias = _table(users, 1)
        self.item_bias = _table(items, 1)
        self.y_range = y_range
        self._means: tuple[tuple[object, ...], list[Tensor]] | None = None

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predict the ratings (B,) of coded users (B,) for coded items (B,)."""
        codes = (users, items, users, items)
        # A batch is small, so calls count: going through the four modules costs some 6 % of both passes.
        rows = [functional.embedding(code, table) for code, table in zip(codes, self._tables(), strict=True)]
        if not self.training:
            rows = self._with_means(codes, rows)
        u, v, b_user, b_item = rows
        score: Tensor = ((u * v).sum(1, keepdim=True) + b_user + b_item).squeeze(1)
        if self.y_range is None:
            return score
        low, high = self.y_range
        return torch.sigmoid(score) * (high - low) + low

    def train(self, mode: bool = True) -> EmbeddingDotBias:
        """Change the mode; the means are worked out again when next needed."""
        self._means = None
        return super().train(mode)

    def _tables(self) -> tuple[Tensor, ...]:
        return (self.user_factors.weight, self.item_factors.weight, self.user_bias.weight, self.item_bias.weight)

    def _with_means(self, codes: Sequence[Tensor], rows: Sequence[Tensor]) -> list[Tensor]:
        return [
            torch.where((code == 0).unsqueeze(1), mean, row)
            for code, mean, row in zip(codes, self._unknown(), rows, strict=True)
        ]

    def _unknown(self) -> list[Tensor]:
        """Mean row of each table, kept until the table changes: weights may be loaded in evaluation mode too."""
        if torch.is_grad_enabled():  # a step may follow, and a fused optimizer's leaves the version as it was
            self._means = None
            return self._mean_rows()
        state = tuple((table.data_ptr(), table._version) for table in self._tables())
        if self._means is None or self._means[0] != state:
            self._means = (state, self._mean_rows())
        return self._means[1]

    def _mean_rows(self) -> list[Tensor]:
        return [table.detach()[1:].mean(0) for table in self._tables()]


def build(params: EmbeddingDotBiasParams, facts: DataFacts) -> EmbeddingDotBias:
    """Build the model for as many users and items as the training part knows."""
    assert facts.users is not None and facts.items is not None, "ratings have users and items"
    return EmbeddingDotBias(facts.users, facts.items, params.factors, _ends(params, facts))


def _ends(params: EmbeddingDotBiasParams, facts: DataFacts) -> tuple[float, float] | None:
    if not params.bounded:
        return None
    if params.y_range is not None:
        return params.y_range.low, params.y_range.high
    assert facts.range is not None, "ratings have a range"
    return relaxed(*facts.range, params.relax)


def _table(known: int, width: int) -> nn.Embedding:
    """Make a table of `known` + 1 rows of normal numbers, cut off at 2, times 0.01, as fastai does."""
    table = nn.Embedding(known + 1, width)
    with torch.no_grad():
        table.weight.normal_().fmod_(2).mul_(0.01)
    return table
