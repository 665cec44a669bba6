"""Factors that are also the sum of what is known of a user or an item: whom it met in training, and its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from dotexp import DataFacts
from dotexp.sdk.data import Part
from torch import Tensor, nn

from dotexp_collab.models.base import RatingModel, Settings, known, settings, table
from dotexp_collab.models.exportable import ExportedSvdPlusPlus
from dotexp_collab.models.features import Features, features_of
from dotexp_collab.models.history import History, training_pairs
from dotexp_collab.models.params import FeatureDotBiasParams, Histories, SvdPlusPlusParams


class Side(nn.Module):
    """What one side of a pair, users or items, adds to its own factors and bias.

    `seen` has a vector for each of the other side that may have been met, `features` and `feature_bias` a vector and
    a number for each feature.
    """

    def __init__(self, factors: int, history: History | None, others: int, known: Features | None, names: int) -> None:
        super().__init__()
        self.history = history
        self.known = known
        self.seen = table(others, factors) if history is not None else None
        self.features = table(names - 1, factors) if known is not None else None
        self.feature_bias = table(names - 1, 1) if known is not None else None

    def add(self, factors: Tensor, bias: Tensor, owners: Tensor, but: Tensor) -> tuple[Tensor, Tensor]:
        """Add to own factors (B, f) and bias (B, 1) of owners (B,); `but` (B,) are those they are paired with."""
        if self.history is not None and self.seen is not None:
            factors = factors + self.history.mean_like(self.seen, owners, but)
        if self.known is not None and self.features is not None and self.feature_bias is not None:
            vectors, numbers = self.known.total((self.features, self.feature_bias), owners)
            factors, bias = factors + vectors, bias + numbers
        return factors, bias


class SvdPlusPlus(RatingModel):
    """Rating of an item by a user: u·v + b_user + b_item, where u, v and the biases are more than a row each."""

    def __init__(
        self,
        users: int,
        items: int,
        factors: int,
        user_side: Side,
        item_side: Side,
        settings: Settings,
    ) -> None:
        super().__init__(settings)
        self.user_factors = table(users, factors)
        self.item_factors = table(items, factors)
        self.user_bias = table(users, 1)
        self.item_bias = table(items, 1)
        self.user_side = user_side
        self.item_side = item_side

    def prepare(self, train: Part) -> None:
        """Take in who rated what, beside the mean."""
        super().prepare(train)
        if self.user_side.history is None and self.item_side.history is None:
            return
        users, items = training_pairs(train)
        if self.user_side.history is not None:
            self.user_side.history.fill(users, items)
        if self.item_side.history is not None:
            self.item_side.history.fill(items, users)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predict the ratings (B,) of coded users (B,) for coded items (B,)."""
        shown, offered = self.hide(users), self.hide(items)
        tables = (self.user_factors, self.item_factors, self.user_bias, self.item_bias)
        u, v, b_user, b_item = self.look_up(tables, (shown, offered, shown, offered))
        u, b_user = self.user_side.add(u, b_user, shown, items)
        v, b_item = self.item_side.add(v, b_item, offered, users)
        score: Tensor = ((u * v).sum(1, keepdim=True) + b_user + b_item).squeeze(1)
        return self.bound(score)

    def exportable(self) -> nn.Module:
        """The model with features and lists summed beforehand."""
        copied = super().exportable()
        assert isinstance(copied, SvdPlusPlus)
        return ExportedSvdPlusPlus(copied)

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        """The items' factors with all that is added to them, (items + 1, factors)."""
        codes = torch.arange(self.item_factors.num_embeddings, device=self.item_factors.weight.device)
        vectors, bias = self.look_up((self.item_factors, self.item_bias), (codes, codes))
        return self.item_side.add(vectors, bias, codes, torch.zeros_like(codes))[0]


def build(params: SvdPlusPlusParams, facts: DataFacts) -> SvdPlusPlus:
    """Build the model for as many users and items as the training part knows; `prepare` fills the histories."""
    users, items = known(facts)
    with_features = isinstance(params, FeatureDotBiasParams)
    described: Mapping[str, Any] = facts.vocabulary if with_features else {}
    return SvdPlusPlus(
        users,
        items,
        params.factors,
        _side(params, facts.train, items, described, "users"),
        _side(params, facts.train, users, described, "items"),
        settings(params, facts),
    )


def _side(params: SvdPlusPlusParams, ratings: int, others: int, vocabulary: Mapping[str, Any], kind: str) -> Side:
    counted = params.histories in (Histories.both, Histories(kind))
    history = History(ratings, others, params.longest) if counted else None
    described = features_of(vocabulary, kind)
    if described is None:
        return Side(params.factors, history, others, None, 0)
    lists, names = described
    return Side(params.factors, history, others, Features(lists, names), names)
