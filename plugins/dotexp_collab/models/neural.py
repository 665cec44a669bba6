"""The network on two embeddings, as fastai has it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from dotexp import DataFacts
from torch import Tensor, nn
from torch.nn import functional

from dotexp_collab.models.base import RatingModel, Settings, known, settings, table
from dotexp_collab.models.params import EmbeddingNnParams


class EmbeddingNN(RatingModel):
    """Rating of an item by a user: their embeddings side by side, through `layers`, and the scaled sigmoid.

    `layers` are, for each hidden width: Linear (no bias), ReLU, batch norm, dropout where there is some; then a Linear
    with a bias to the one number.
    """

    def __init__(
        self,
        user_table: nn.Embedding,
        item_table: nn.Embedding,
        hidden: Sequence[tuple[int, float]],
        embedding_dropout: float,
        settings: Settings,
    ) -> None:
        super().__init__(settings)
        self.user_factors = user_table
        self.item_factors = item_table
        self.layers = _layers(user_table.embedding_dim + item_table.embedding_dim, hidden)
        self._embedding_dropout = embedding_dropout

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predict the ratings (B,) of coded users (B,) for coded items (B,)."""
        pair = self.look_up((self.user_factors, self.item_factors), (self.hide(users), self.hide(items)))
        x = torch.cat(pair, 1)
        if self._embedding_dropout:
            x = functional.dropout(x, self._embedding_dropout, self.training)
        score: Tensor = self.layers(x).squeeze(1)
        return self.bound(score)

    def item_vectors(self) -> Tensor:
        """The items' embeddings, (items + 1, width)."""
        return self.item_factors.weight.detach()


def build(params: EmbeddingNnParams, facts: DataFacts) -> EmbeddingNN:
    """Build the model for as many users and items as the training part knows."""
    users, items = known(facts)
    shares = params.dropout if isinstance(params.dropout, tuple) else (params.dropout,) * len(params.layers)
    return EmbeddingNN(
        table(users, params.user_factors or embedding_width(users + 1)),
        table(items, params.item_factors or embedding_width(items + 1)),
        tuple(zip(params.layers, shares, strict=True)),
        params.embedding_dropout,
        settings(params, facts),
    )


def embedding_width(rows: int) -> int:
    """Width of an embedding of so many rows, as fastai chooses it: min(600, round(1.6 · rows^0.56))."""
    return min(600, round(1.6 * math.pow(rows, 0.56)))


def _layers(width: int, hidden: Sequence[tuple[int, float]]) -> nn.Sequential:
    made: list[nn.Module] = []
    for wide, share in hidden:
        made += [nn.Linear(width, wide, bias=False), nn.ReLU(), nn.BatchNorm1d(wide)]
        made += [nn.Dropout(share)] if share else []
        width = wide
    return nn.Sequential(*made, nn.Linear(width, 1))
