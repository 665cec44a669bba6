"""Builders of the ranking metrics: precision, recall and NDCG of each user's k best-ranked items. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from dotexp import DataFacts
from dotexp.sdk.data import Part
from torch import Tensor

from dotexp_losses.ranking.params import RankingParams, relevance_threshold

Predict = Callable[[tuple[Tensor, ...]], Tensor]
Score = Callable[[Tensor, Tensor, int], Tensor]
"""Each user's score (U,) from the hits in rank order (U, k), the numbers of relevant items (U,) and k."""

_PAIRS_AT_ONCE = 1 << 18
_ROWS_AT_ONCE = 1 << 20


class Ranking:
    """A ranking metric. Ids are codes from 1; code 0 stands for every unknown id, and is never ranked."""

    def __init__(self, score: Score, k: int, threshold: float, users: int | None, items: int) -> None:
        self._score = score
        self._k = k
        self._threshold = threshold
        self._users = users
        self._items = items

    def to(self, device: torch.device) -> Ranking:
        """Return self: rankings are evaluated on the CPU."""
        return self

    def evaluate_ranking(self, predict: Predict, train: Part, part: Part) -> float:
        """Return the mean over the users with a relevant item in `part`.

        NaN where no user has one, and where a prediction is NaN. `predict` maps user codes (B,) and item codes (B,),
        on the CPU, to ratings (B,).
        """
        relevant = self._relevant_pairs(part)
        users = self._sample(torch.unique(relevant[0]))
        if not len(users):
            return float("nan")
        rated = _pairs_of_users(users, train)
        scores = []
        for chunk in torch.split(users, max(1, _PAIRS_AT_ONCE // self._items)):
            predicted = self._predict_items(predict, chunk)
            if predicted.isnan().any():
                return float("nan")
            scores.append(self._score_users(predicted, _rows_of(chunk, relevant), _rows_of(chunk, rated)))
        return torch.cat(scores).mean().item()

    def _relevant_pairs(self, part: Part) -> Tensor:
        """Return the distinct pairs (2, N) of known ids that are rated at the threshold or above."""
        found = [torch.empty(2, 0, dtype=torch.int64)]
        for users, items, ratings in _batches(part):
            kept = (ratings >= self._threshold) & (users > 0) & (items > 0)
            found.append(torch.stack((users[kept], items[kept])))
        pairs: Tensor = torch.unique(torch.cat(found, 1), dim=1)
        return pairs

    def _sample(self, users: Tensor) -> Tensor:
        """Return at most as many users as are to be evaluated, evenly spaced."""
        if self._users is None or len(users) <= self._users:
            return users
        return users[torch.arange(self._users) * len(users) // self._users]

    def _predict_items(self, predict: Predict, users: Tensor) -> Tensor:
        """Return the predicted ratings (U, items + 1) of every item code; minus infinity for the unknown item."""
        codes = torch.arange(1, self._items + 1)
        inputs = (users.repeat_interleave(self._items), codes.repeat(len(users)))
        predicted = torch.full((len(users), self._items + 1), -torch.inf)
        predicted[:, 1:] = predict(inputs).float().cpu().reshape(len(users), self._items)
        return predicted

    def _score_users(self, predicted: Tensor, relevant: Tensor, rated: Tensor) -> Tensor:
        """Score users (U,) by their predicted ratings (U, items + 1); equal ratings rank in the items' order."""
        ratings = predicted.index_put((rated[0], rated[1]), torch.tensor(-torch.inf))
        ranked = torch.sort(ratings, dim=1, descending=True, stable=True).indices[:, : self._k]
        hits = torch.zeros_like(predicted, dtype=torch.bool)
        hits[relevant[0], relevant[1]] = True
        hits[rated[0], rated[1]] = False  # they fill the last ranks where there are fewer candidates than k
        counts = torch.bincount(relevant[0], minlength=len(predicted))
        return self._score(hits.gather(1, ranked), counts, self._k)


def precision_at(params: RankingParams, facts: DataFacts) -> Ranking:
    """Build precision at k."""
    return _ranking(lambda hits, relevant, k: hits.double().sum(1) / k, params, facts)


def recall_at(params: RankingParams, facts: DataFacts) -> Ranking:
    """Build recall at k."""
    return _ranking(lambda hits, relevant, k: hits.double().sum(1) / relevant, params, facts)


def ndcg_at(params: RankingParams, facts: DataFacts) -> Ranking:
    """Build the normalized discounted cumulative gain at k."""
    return _ranking(_ndcg, params, facts)


def _ndcg(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    discounts = 1 / torch.log2(torch.arange(2, hits.shape[1] + 2, dtype=torch.float64))
    best = torch.cat((torch.zeros(1, dtype=torch.float64), discounts.cumsum(0)))
    return (hits.double() * discounts).sum(1) / best[relevant.clamp(max=hits.shape[1])]


def _ranking(score: Score, params: RankingParams, facts: DataFacts) -> Ranking:
    return Ranking(score, params.k, relevance_threshold(params, facts), params.users, facts.entities["items"])


def _pairs_of_users(users: Tensor, part: Part) -> Tensor:
    """Return the pairs (2, N) of these users in a part."""
    found = [torch.empty(2, 0, dtype=torch.int64)]
    for rows, items, _ in _batches(part):
        kept = torch.isin(rows, users)
        found.append(torch.stack((rows[kept], items[kept])))
    return torch.cat(found, 1)


def _rows_of(users: Tensor, pairs: Tensor) -> Tensor:
    """Return the pairs (2, N) of these users, ascending (U,), with row numbers in place of the users' codes."""
    kept = torch.isin(pairs[0], users)
    return torch.stack((torch.searchsorted(users, pairs[0, kept]), pairs[1, kept]))


def _batches(part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for batch in part.batches(torch.arange(len(part)), _ROWS_AT_ONCE, None, torch.device("cpu")):
        yield batch.inputs[0].long(), batch.inputs[1].long(), batch.targets
