"""Ranking metrics: all known items that a user did not rate in training are ranked, against loops and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dotexp import DataFacts, Problem, evaluate, run
from dotexp.sdk.data import RankingMetric, TensorPart
from dotexp_losses.ranking.metrics import Ranking
from dotexp_losses.ranking.params import NdcgAtParams
from offered import offered
from sklearn.metrics import ndcg_score
from torch import Tensor

from specs import resolved

USERS, ITEMS = 9, 15
FACTS = DataFacts("ratings", 60, 40, entities={"users": USERS, "items": ITEMS}, range=(1.0, 5.0))
COMPONENTS = {c.name: c for c in offered("losses") if c.name.endswith("_at")}

Rated = list[tuple[int, int, float]]


def drawn(seed: int, count: int, unknown: bool = False) -> Rated:
    random = np.random.default_rng(seed)
    low = 0 if unknown else 1
    return [
        (int(random.integers(low, USERS + 1)), int(random.integers(low, ITEMS + 1)), float(random.integers(1, 6)))
        for _ in range(count)
    ]


def part(rated: Rated) -> TensorPart:
    users, items, ratings = (torch.tensor(column) for column in zip(*rated, strict=True))
    return TensorPart((users, items), ratings)


TRAIN, VALID = drawn(1, 60), drawn(2, 40, unknown=True)
SCORES = np.random.default_rng(3).normal(size=(USERS + 1, ITEMS + 1)).astype(np.float32)


def predict(inputs: tuple[Tensor, ...]) -> Tensor:
    users, items = inputs
    return torch.from_numpy(SCORES)[users, items]


def make(name: str, **given: Any) -> Ranking:
    component = COMPONENTS[name]
    from dotexp import Use

    metric: Ranking = Use(component=component, params=component.params(**given)).build(FACTS)
    return metric


def rankings(threshold: float) -> list[tuple[list[int], set[int]]]:
    """By loops: each user's ranking of what they did not rate in training, and what is relevant."""
    found = []
    for user in range(1, USERS + 1):
        relevant = {i for u, i, rating in VALID if u == user and rating >= threshold and i}
        if relevant:
            seen = {i for u, i, _ in TRAIN if u == user}
            ranked = sorted(set(range(1, ITEMS + 1)) - seen, key=lambda i, u=user: -SCORES[u, i])  # type: ignore[misc]
            found.append((ranked, relevant))
    return found


def precision(ranked: list[int], relevant: set[int], k: int) -> float:
    return len(set(ranked[:k]) & relevant) / k


def recall(ranked: list[int], relevant: set[int], k: int) -> float:
    return len(set(ranked[:k]) & relevant) / len(relevant)


def ndcg(ranked: list[int], relevant: set[int], k: int) -> float:
    """By loops: an item rated in training is never ranked, and stays part of the best possible gain."""
    gain = sum(1 / math.log2(rank + 2) for rank, item in enumerate(ranked[:k]) if item in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))


Judge = Callable[[list[int], set[int], int], float]


@pytest.mark.parametrize(("name", "judge"), [("precision_at", precision), ("recall_at", recall), ("ndcg_at", ndcg)])
@pytest.mark.parametrize("k", [1, 3, 7, ITEMS - 1])
@pytest.mark.parametrize("threshold", [None, 2.0])
def test_metrics_are_what_loops_say(name: str, judge: Judge, k: int, threshold: float | None) -> None:
    found = make(name, k=k, threshold=threshold).evaluate_ranking(predict, part(TRAIN), part(VALID))
    users = rankings(4.0 if threshold is None else threshold)
    assert len(users) > 3
    assert found == pytest.approx(np.mean([judge(ranked, relevant, k) for ranked, relevant in users]), abs=1e-6)


def test_ndcg_is_scikit_learns_where_nothing_was_seen() -> None:
    users = [user for user in range(1, USERS + 1) if any(u == user and r >= 4 and i for u, i, r in VALID)]
    truth = np.zeros((USERS + 1, ITEMS + 1))
    for user, item, rating in VALID:
        truth[user, item] = max(truth[user, item], rating >= 4)
    unseen = part([(USERS + 1, 1, 3.0)])
    for k in (1, 3, 7):
        found = make("ndcg_at", k=k).evaluate_ranking(predict, unseen, part(VALID))
        assert found == pytest.approx(ndcg_score(truth[users, 1:], SCORES[users, 1:], k=k), abs=1e-6)


@pytest.mark.parametrize(("name", "expected"), [("precision_at", 1 / 5), ("recall_at", 1 / 2), ("ndcg_at", None)])
def test_what_was_rated_in_training_is_no_hit_where_there_are_fewer_candidates_than_k(
    name: str, expected: float | None
) -> None:
    """Of 15 items user 1 has rated 1 to 13 in training, and item 2 once more: 14 and 15 alone are ranked."""
    train = part([(1, item, 3.0) for item in range(1, 14)])
    valid = part([(1, 2, 5.0), (1, 15, 5.0)])

    def by_code(inputs: tuple[Tensor, ...]) -> Tensor:
        return -inputs[1].float()  # 14 before 15

    best = 1 + 1 / math.log2(3)
    wanted = (1 / math.log2(3)) / best if expected is None else expected
    assert make(name, k=5).evaluate_ranking(by_code, train, valid) == pytest.approx(wanted)


def test_a_user_without_candidates_has_no_hit() -> None:
    everything = part([(1, item, 3.0) for item in range(1, ITEMS + 1)])
    for name in COMPONENTS:
        assert make(name, k=ITEMS - 1).evaluate_ranking(predict, everything, part([(1, 2, 5.0), (1, 9, 5.0)])) == 0.0


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_a_pair_rated_several_times_counts_once(name: str) -> None:
    train, valid = [(1, 1, 3.0), (1, 4, 2.0)], [(1, 2, 5.0), (1, 7, 5.0), (2, 3, 5.0)]
    for k in (2, ITEMS - 1):
        once = make(name, k=k).evaluate_ranking(predict, part(train), part(valid))
        assert make(name, k=k).evaluate_ranking(predict, part(train * 3), part([*valid, *valid, (1, 2, 1.0)])) == once


def test_predictions_that_are_no_numbers_give_no_number() -> None:
    def broken(inputs: tuple[Tensor, ...]) -> Tensor:
        return torch.where(inputs[1] == 3, torch.nan, inputs[1].float())

    assert np.isnan(make("recall_at", k=3).evaluate_ranking(broken, part(TRAIN), part(VALID)))


def test_a_perfect_ranking_is_worth_one() -> None:
    train, valid = part([(1, 1, 3.0), (2, 1, 3.0)]), part([(1, 2, 5.0), (1, 3, 5.0), (2, 4, 4.0), (2, 5, 1.0)])

    def clairvoyant(inputs: tuple[Tensor, ...]) -> Tensor:
        wanted = {(1, 2), (1, 3), (2, 4)}
        return torch.tensor([float(pair in wanted) for pair in zip(*(x.tolist() for x in inputs), strict=True)])

    assert make("ndcg_at", k=2).evaluate_ranking(clairvoyant, train, valid) == 1.0
    assert make("recall_at", k=2).evaluate_ranking(clairvoyant, train, valid) == 1.0
    assert make("precision_at", k=2).evaluate_ranking(clairvoyant, train, valid) == 0.75


def test_what_was_rated_in_training_is_no_candidate() -> None:
    """Item 1 has the best score of all, and user 1 has rated it: it takes no rank."""
    train, valid = part([(1, 1, 5.0), (2, 2, 5.0)]), part([(1, 2, 5.0)])

    def by_code(inputs: tuple[Tensor, ...]) -> Tensor:
        return -inputs[1].float()

    assert make("precision_at", k=1).evaluate_ranking(by_code, train, valid) == 1.0
    assert make("precision_at", k=1).evaluate_ranking(by_code, part([(2, 2, 5.0)]), valid) == 0.0


def test_equal_ratings_rank_in_the_items_order() -> None:
    valid = part([(1, 2, 5.0)])
    flat = make("recall_at", k=2).evaluate_ranking(
        lambda inputs: torch.zeros(len(inputs[0])), part([(2, 1, 5.0)]), valid
    )
    assert flat == 1.0
    assert (
        make("recall_at", k=1).evaluate_ranking(lambda inputs: torch.zeros(len(inputs[0])), part([(2, 1, 5.0)]), valid)
        == 0.0
    )


def test_at_most_so_many_users_are_judged_evenly_spaced() -> None:
    asked: set[int] = set()

    def spy(inputs: tuple[Tensor, ...]) -> Tensor:
        asked.update(inputs[0].tolist())
        return torch.zeros(len(inputs[0]))

    valid = part([(user, 1, 5.0) for user in range(1, 10)])
    make("recall_at", k=2, users=3).evaluate_ranking(spy, part([(1, 2, 3.0)]), valid)
    assert asked == {1, 4, 7}


def test_nobody_to_judge_gives_no_number() -> None:
    assert np.isnan(
        make("ndcg_at").evaluate_ranking(predict, part(TRAIN), part([(1, 2, 1.0), (0, 3, 5.0), (2, 0, 5.0)]))
    )


def problems(**given: Any) -> list[Problem]:
    check = COMPONENTS["ndcg_at"].check
    assert check is not None
    return list(check(NdcgAtParams(**{"k": 3, **given}), FACTS))


@pytest.mark.parametrize(("threshold", "said"), [(1.0, "all"), (5.5, "none")])
def test_a_threshold_that_says_nothing_is_refused(threshold: float, said: str) -> None:
    (problem,) = problems(threshold=threshold)
    assert (problem.code, problem.field) == ("E404", "threshold") and said in problem.message


def test_as_many_ranks_as_items_are_refused() -> None:
    (problem,) = problems(k=ITEMS)
    assert (problem.code, problem.field) == ("E304", "k")
    assert problems(threshold=5.0) == problems() == []


SPEC = """
experiment films
data latent_ratings(users = 60, items = 40, density = 40%, noise = 0.0, batch_size = 32)
model embedding_dot_bias(factors = 4)
loss mse
metrics rmse, ndcg_at(5), precision_at(5), ndcg_at(10)
runtime(device = cpu, threads = 1)
stage train { fit one_cycle(epochs = 6, lr = 3e-2) }
"""


@pytest.mark.run
def test_a_run_tells_them_at_every_epoch_and_evaluate_again(tmp_path: Path) -> None:
    folder = run(resolved(SPEC), runs=tmp_path, report=False)
    rows = folder.read_epochs()
    assert list(rows[-1].metrics) == ["rmse", "ndcg_at", "precision_at", "ndcg_at_2"]
    assert rows[-1].metrics["ndcg_at"] > rows[0].metrics["ndcg_at"]  # what is learned shows in the ranking
    again = evaluate(folder, runs=tmp_path)
    assert dict(again.metrics) == pytest.approx(dict(rows[-1].metrics), rel=1e-6)


def test_they_are_no_metrics_of_batches() -> None:
    assert all(isinstance(make(name), RankingMetric) for name in COMPONENTS)
    assert {c.facts_for(c.params()).tasks for c in COMPONENTS.values()} == {("ratings",)}
    assert {c.facts_for(c.params()).better for c in COMPONENTS.values()} == {"higher"}
