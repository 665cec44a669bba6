"""The dot-product model of collaborative filtering."""

from __future__ import annotations

from dotexp import DataFacts
from torch import Tensor

from dotexp_collab.models.base import RatingModel, Settings, known, settings, table
from dotexp_collab.models.params import EmbeddingDotBiasParams


class EmbeddingDotBias(RatingModel):
    """Rating of an item by a user: u·v + b_user + b_item, through a sigmoid scaled to `y_range` (None: as it is)."""

    def __init__(self, users: int, items: int, factors: int, settings: Settings) -> None:
        super().__init__(settings)
        self.user_factors = table(users, factors)
        self.item_factors = table(items, factors)
        self.user_bias = table(users, 1)
        self.item_bias = table(items, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predict the ratings (B,) of coded users (B,) for coded items (B,)."""
        users, items = self.hide(users), self.hide(items)
        tables = (self.user_factors, self.item_factors, self.user_bias, self.item_bias)
        u, v, b_user, b_item = self.look_up(tables, (users, items, users, items))
        score: Tensor = ((u * v).sum(1, keepdim=True) + b_user + b_item).squeeze(1)
        return self.bound(score)

    def item_vectors(self) -> Tensor:
        """The items' factors, (items + 1, factors)."""
        return self.item_factors.weight.detach()


def build(params: EmbeddingDotBiasParams, facts: DataFacts) -> EmbeddingDotBias:
    """Build the model for as many users and items as the training part knows."""
    users, items = known(facts)
    return EmbeddingDotBias(users, items, params.factors, settings(params, facts))
