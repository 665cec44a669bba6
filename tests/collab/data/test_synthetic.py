"""Made-up ratings: they are what they say they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dotexp import ComponentError, DataContext, Range
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.params import LatentRatingsParams
from dotexp_collab.data.synthetic import build, truth
from numpy.typing import NDArray
from pydantic import ValidationError

PARTS = ("train", "valid", "test")


def make(seed: int = 1, **given: Any) -> RatingsData:
    return build(LatentRatingsParams(**given), DataContext(seed))


def rows(data: RatingsData, name: str) -> NDArray[np.float64]:
    """A part as (n, 3): the user's and the item's number from 0, -1 for unknown, and the rating."""
    ids = [np.array([0, *map(int, data.facts.vocabulary[kind])]) - 1 for kind in ("users", "items")]
    part = data.part(name)
    (batch,) = part.batches(torch.arange(len(part)), len(part), None, torch.device("cpu"))
    users, items = (table[codes.numpy()] for table, codes in zip(ids, batch.inputs, strict=True))
    return np.stack([users, items, batch.targets.double().numpy()], axis=1)


def test_the_facts() -> None:
    facts = make().facts
    assert (facts.task, facts.train, facts.valid, facts.test) == ("ratings", 12_000, 3_000, 0)
    assert (facts.entities["users"], facts.entities["items"], facts.outputs) == (500, 300, 1)
    assert facts.range is not None and 0 <= facts.range[0] < 1 and 4 < facts.range[1] <= 5
    assert len(facts.fingerprint) == 64


def test_without_noise_a_rating_is_the_true_formula() -> None:
    params = LatentRatingsParams(users=20, items=15, density=1.0, noise=0.0, range=Range(low=1, high=7))
    real = truth(params, 3)
    seen = np.concatenate([rows(build(params, DataContext(3)), name) for name in ("train", "valid")])
    assert {(u, i) for u, i, _ in seen} == {(u, i) for u in range(20) for i in range(15)}
    for u, i, rating in seen:
        user, item = int(u), int(i)
        score = real.user_bias[user] + real.item_bias[item] + sum(real.user_factors[user] * real.item_factors[item])
        assert rating == pytest.approx(1 + 6 / (1 + np.exp(-score)), abs=1e-5)


def test_noise_is_as_large_as_it_says() -> None:
    params = LatentRatingsParams(density=0.5, noise=0.2, range=Range(low=-50, high=50), data_seed=4)
    users, items, ratings = rows(build(params, DataContext(1)), "train").T
    clean = truth(params, 4).ratings(-50, 50)[users.astype(int), items.astype(int)]
    assert (ratings - clean).std() == pytest.approx(0.2, rel=0.02)  # of 60,000
    assert (ratings - clean).mean() == pytest.approx(0, abs=0.005)


def test_noise_never_leaves_the_range() -> None:
    ratings = rows(make(noise=5.0), "train")[:, 2]
    assert (ratings.min(), ratings.max()) == (0, 5)


def test_the_truth_has_the_spreads_it_says() -> None:
    real = truth(LatentRatingsParams(users=3000, items=2000, factors=9), 1)
    assert real.user_bias.std() == pytest.approx(0.5, rel=0.05) and real.item_bias.std() == pytest.approx(0.5, rel=0.05)
    assert (real.user_factors @ real.item_factors.T).std() == pytest.approx(1, rel=0.05)
    assert (real.user_factors.shape, real.item_factors.shape) == ((3000, 9), (2000, 9))


def test_every_pair_is_rated_at_most_once() -> None:
    data = make(valid=0.2, test=100)
    pairs = np.concatenate([rows(data, name)[:, :2] for name in PARTS])
    assert len(pairs) == len(np.unique(pairs, axis=0)) == 15_000
    assert (data.facts.train, data.facts.valid, data.facts.test) == (11_900, 3_000, 100)


def test_the_data_seed_makes_the_ratings_and_the_split_seed_the_split() -> None:
    def everything(data: RatingsData) -> NDArray[np.float64]:
        both = np.concatenate([rows(data, name) for name in ("train", "valid")])
        return both[np.lexsort(both.T)]

    one = make(seed=1)
    assert np.array_equal(rows(make(seed=1, batch_size=7), "valid"), rows(one, "valid"))
    assert np.array_equal(rows(make(seed=9, data_seed=1, split_seed=1), "valid"), rows(one, "valid"))
    assert make(seed=9, data_seed=1).facts.fingerprint == one.facts.fingerprint != make(seed=2).facts.fingerprint
    other = make(seed=9, data_seed=1)
    assert np.array_equal(everything(other), everything(one))
    assert not np.array_equal(rows(other, "valid"), rows(one, "valid"))


def test_no_factors_leave_the_biases() -> None:
    params = LatentRatingsParams(users=4, items=3, factors=0)
    real = truth(params, 1)
    score = np.log(real.ratings(0, 1) / (1 - real.ratings(0, 1)))
    assert score == pytest.approx(real.user_bias[:, None] + real.item_bias[None, :])


def test_too_few_ratings_to_split() -> None:
    with pytest.raises(ComponentError) as caught:
        make(users=2, items=1, valid=0.2)
    assert (caught.value.problem.code, caught.value.problem.field) == ("E402", "valid")


@pytest.mark.parametrize(
    "given",
    [
        {"users": 0},
        {"items": 0},
        {"factors": -1},
        {"density": 0.0},
        {"density": 1.1},
        {"noise": -0.1},
        {"users": 100_000, "items": 100_000},
        {"range": Range(low=0, high=1e9)},
    ],
)
def test_parameters_out_of_bounds(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LatentRatingsParams(**given)
