"""Metrics of rankings: of each user's unrated items, how good are the k that the model puts first? Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from dotexp import DataFacts
from dotexp.sdk.data import Part
from torch import Tensor

from dotexp_losses.ranking.params import RankingParams, threshold_of

Predict = Callable[[tuple[Tensor, ...]], Tensor]
Judge = Callable[[Tensor, Tensor, int], Tensor]
"""Of hits in rank order (U, k), the numbers of relevant items (U,) and k, each user's score (U,)."""

_PAIRS = 1 << 18
_READ = 1 << 20


class Ranking:
    """A metric that ranks items itself, user by user, rather than see a part's predictions; built for known items."""

    def __init__(self, judge: Judge, k: int, threshold: float, users: int | None, items: int) -> None:
        self._judge = judge
        self._k = k
        self._threshold = threshold
        self._users = users
        self._items = items

    def to(self, device: torch.device) -> Ranking:
        """Nothing to move: it works where the predictions are."""
        return self

    def over(self, predict: Predict, train: Part, part: Part) -> float:
        """Mean over the users of `part` who have something relevant there; NaN where none has.

        `predict` maps coded users (B,) and items (B,), on the CPU, to ratings (B,).
        """
        users, items, ratings = _columns(part)
        wanted = (ratings >= self._threshold) & (users > 0) & (items > 0)
        relevant = torch.unique(torch.stack((users[wanted], items[wanted])), dim=1)
        judged = self._chosen(torch.unique(relevant[0]))
        if not len(judged):
            return float("nan")
        seen = self._seen(train, judged)
        scores = []
        for some in torch.split(judged, max(1, _PAIRS // self._items)):
            mine, known = _of(some, relevant), _of(some, seen)
            predicted = self._predicted(predict, some)
            if predicted.isnan().any():
                return float("nan")
            hits = torch.zeros(len(some), self._items + 1, dtype=torch.bool)
            hits[mine[0], mine[1]] = True
            hits[known[0], known[1]] = False  # they fill the last ranks where there are fewer candidates than k
            numbers = torch.bincount(mine[0], minlength=len(some))
            scores.append(self._judge(hits.gather(1, self._ranked(predicted, known)), numbers, self._k))
        return torch.cat(scores).mean().item()

    def _chosen(self, users: Tensor) -> Tensor:
        if self._users is None or len(users) <= self._users:
            return users
        return users[torch.arange(self._users) * len(users) // self._users]

    def _seen(self, train: Part, judged: Tensor) -> Tensor:
        """Pairs (2, N) of the judged users in the training part."""
        found = [torch.empty(2, 0, dtype=torch.int64)]
        for users, items, _ in _batches(train):
            mine = torch.isin(users, judged)
            found.append(torch.stack((users[mine], items[mine])))
        return torch.cat(found, 1)

    def _predicted(self, predict: Predict, users: Tensor) -> Tensor:
        """Predicted ratings (U, items + 1) of every item, by its code; the unknown item has minus infinity."""
        codes = torch.arange(1, self._items + 1)
        inputs = (users.repeat_interleave(self._items), codes.repeat(len(users)))
        scores = torch.full((len(users), self._items + 1), -torch.inf)
        scores[:, 1:] = predict(inputs).float().cpu().reshape(len(users), self._items)
        return scores

    def _ranked(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Codes (U, k) of the items that come first; equal ratings in the items' order, the seen ones last."""
        scores = scores.index_put((seen[0], seen[1]), torch.tensor(-torch.inf))
        return torch.sort(scores, dim=1, descending=True, stable=True).indices[:, : self._k]


def precision_at(params: RankingParams, facts: DataFacts) -> Ranking:
    """Build precision at k."""
    return _ranking(lambda hits, relevant, k: hits.double().sum(1) / k, params, facts)


def recall_at(params: RankingParams, facts: DataFacts) -> Ranking:
    """Build recall at k."""
    return _ranking(lambda hits, relevant, k: hits.double().sum(1) / relevant, params, facts)


def ndcg_at(params: RankingParams, facts: DataFacts) -> Ranking:
    """Build the normalised discounted cumulative gain at k."""
    return _ranking(_ndcg, params, facts)


def _ndcg(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    discounts = 1 / torch.log2(torch.arange(2, hits.shape[1] + 2, dtype=torch.float64))
    best = torch.cat((torch.zeros(1, dtype=torch.float64), discounts.cumsum(0)))
    return (hits.double() * discounts).sum(1) / best[relevant.clamp(max=hits.shape[1])]


def _ranking(judge: Judge, params: RankingParams, facts: DataFacts) -> Ranking:
    assert facts.items is not None, "ratings have items"
    return Ranking(judge, params.k, threshold_of(params, facts), params.users, facts.items)


def _of(users: Tensor, pairs: Tensor) -> Tensor:
    """Pairs of these users, ascending (U,), with their places in `users` in place of their codes."""
    mine = torch.isin(pairs[0], users)
    return torch.stack((torch.searchsorted(users, pairs[0, mine]), pairs[1, mine]))


def _columns(part: Part) -> tuple[Tensor, Tensor, Tensor]:
    columns = list(zip(*_batches(part), strict=True))
    return torch.cat(columns[0]), torch.cat(columns[1]), torch.cat(columns[2])


def _batches(part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for batch in part.batches(torch.arange(len(part)), _READ, None, torch.device("cpu")):
        yield batch.inputs[0].long(), batch.inputs[1].long(), batch.targets
