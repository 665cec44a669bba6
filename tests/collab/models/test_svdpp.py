"""SVD++ and features: sums over who met whom and over what is known, against loops in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from dotexp import DataFacts
from dotexp.sdk.data import TensorPart
from dotexp_collab.models.history import History
from dotexp_collab.models.params import FeatureDotBiasParams, Histories, SvdPlusPlusParams
from dotexp_collab.models.svdpp import SvdPlusPlus, build
from offered import offered
from pydantic import ValidationError

RATED = [(1, 1, 5.0), (1, 2, 3.0), (2, 1, 1.0), (2, 3, 4.0), (3, 2, 2.0), (3, 3, 5.0), (3, 1, 3.0), (3, 1, 4.0)]
"""User, item and rating; the last pair is there twice. User 4 and item 4 are known to the facts alone."""
USERS, ITEMS = 4, 4
ENTITIES = {"users": USERS, "items": ITEMS}
FEATURES = {
    "user_features": {"names": ["old", "young", "poor"], "lists": [[0], [1, 2], [], [0, 2]]},
    "item_features": {"names": ["new", "long"], "lists": [[1], [0, 1], [0], []]},
}


def train(rated: Sequence[tuple[int, int, float]] = RATED) -> TensorPart:
    users, items, ratings = (torch.tensor(column) for column in zip(*rated, strict=True))
    return TensorPart((users, items), ratings)


def model(params: SvdPlusPlusParams, vocabulary: Mapping[str, Any] = FEATURES) -> SvdPlusPlus:
    torch.manual_seed(0)
    facts = DataFacts("ratings", len(RATED), 2, entities=ENTITIES, range=(1.0, 5.0), vocabulary=vocabulary)
    net = build(params, facts)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    net.prepare(train())
    return net


def by_hand(net: SvdPlusPlus, user: int, item: int) -> float:
    """The score by loops over the ratings; unknown ids have the mean row, nobody met, and the mean features."""
    t = {name: p.detach().double().numpy() for name, p in net.named_parameters()}

    def row(name: str, code: int) -> Any:
        table = t[f"{name}.weight"]
        return table[code] if code else table[1:].mean(0)

    u, v = row("user_factors", user).copy(), row("item_factors", item).copy()
    bias = row("user_bias", user)[0] + row("item_bias", item)[0]
    if "user_side.seen.weight" in t:
        met = {i for x, i, _ in RATED if x == user} - {item}
        u += sum((t["user_side.seen.weight"][i] for i in met), np.zeros_like(u)) / max(1, len(met)) ** 0.5
    if "item_side.seen.weight" in t:
        met = {x for x, i, _ in RATED if i == item} - {user}
        v += sum((t["item_side.seen.weight"][x] for x in met), np.zeros_like(v)) / max(1, len(met)) ** 0.5
    for side, code, vector in (("user", user, u), ("item", item, v)):
        if f"{side}_side.features.weight" in t:
            lists = FEATURES[f"{side}_features"]["lists"]
            owners = [lists[code - 1]] if code else lists
            for codes in owners:
                for feature in codes:
                    vector += t[f"{side}_side.features.weight"][feature] / len(owners)
                    bias += t[f"{side}_side.feature_bias.weight"][feature, 0] / len(owners)
    return float(u @ v + bias)


PAIRS = [(u, i) for u in range(USERS + 1) for i in range(ITEMS + 1)]
SVD = [SvdPlusPlusParams(factors=3, bounded=False, histories=h) for h in Histories if h is not Histories.off]
WITH_FEATURES = [FeatureDotBiasParams(factors=3, bounded=False, histories=h) for h in Histories]


@pytest.mark.parametrize("params", [*SVD, *WITH_FEATURES], ids=lambda p: f"{type(p).__name__}-{p.histories}")
def test_a_rating_is_what_loops_say(params: SvdPlusPlusParams) -> None:
    net = model(params).eval()
    users, items = (torch.tensor(column) for column in zip(*PAIRS, strict=True))
    expected = [by_hand(net, user, item) for user, item in PAIRS]
    assert net(users, items).tolist() == pytest.approx(expected, abs=1e-4)
    with torch.no_grad():
        assert net(users, items).tolist() == pytest.approx(expected, abs=1e-4)
    known = [place for place, pair in enumerate(PAIRS) if all(pair)]
    trained = net.train()(users[known], items[known]).tolist()
    assert trained == pytest.approx([expected[place] for place in known], abs=1e-4)


def test_tables_are_named_as_in_the_lesson() -> None:
    net = model(FeatureDotBiasParams(factors=3, histories=Histories.both))
    assert {name: tuple(p.shape) for name, p in net.named_parameters()} == {
        "user_factors.weight": (5, 3), "item_factors.weight": (5, 3),
        "user_bias.weight": (5, 1), "item_bias.weight": (5, 1),
        "user_side.seen.weight": (5, 3), "user_side.features.weight": (3, 3), "user_side.feature_bias.weight": (3, 1),
        "item_side.seen.weight": (5, 3), "item_side.features.weight": (2, 3), "item_side.feature_bias.weight": (2, 1),
    }  # fmt: skip


def test_the_histories_are_saved_with_the_weights_and_need_no_data_again() -> None:
    params = SvdPlusPlusParams(factors=3)
    net = model(params)
    torch.manual_seed(5)
    other = build(params, DataFacts("ratings", len(RATED), 2, entities=ENTITIES, range=(1.0, 5.0)))
    other.load_state_dict(net.state_dict())
    users, items = (torch.tensor(column) for column in zip(*PAIRS, strict=True))
    assert torch.equal(other.eval()(users, items), net.eval()(users, items))


def test_gradients_reach_what_was_met_and_nothing_else() -> None:
    net = model(SvdPlusPlusParams(factors=3, bounded=False)).train()
    net(torch.tensor([1]), torch.tensor([1])).sum().backward()
    seen = net.user_side.seen
    assert seen is not None and seen.weight.grad is not None
    assert seen.weight.grad.abs().sum(1).nonzero().flatten().tolist() == [2]  # item 2 alone: 1 is the pair's own
    v = by_hand_item(net)
    assert seen.weight.grad[2].tolist() == pytest.approx(v.tolist(), abs=1e-5)


def by_hand_item(net: SvdPlusPlus) -> Any:
    """Item 1's vector for user 1: its own, and of users 2 and 3, by the root of their number."""
    t = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    return t["item_factors.weight"][1] + (t["item_side.seen.weight"][[2, 3]].sum(0)) / 2**0.5


def test_the_order_and_the_repetition_of_ratings_do_not_matter() -> None:
    one, other = model(SvdPlusPlusParams(factors=3)), model(SvdPlusPlusParams(factors=3))
    other.prepare(train([*RATED[::-1]]))
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), other.buffers(), strict=True))


def test_a_list_may_be_cut_to_a_length() -> None:
    """Of user 9's thousand items a hundred are kept, drawn evenly; short lists stay whole."""
    history = History(1100, 1000, longest=100)
    owners = torch.cat((torch.full((1000,), 9), torch.full((100,), 3)))
    others = torch.cat((torch.arange(1, 1001), torch.arange(1, 101)))
    history.fill(owners, others)
    kept = history.pairs[history.pairs < torch.iinfo(torch.int64).max]
    nines = kept[kept // 1001 == 9] % 1001
    assert len(nines) == 100 == len(nines.unique()) and len(kept) == 200
    assert 400 < nines.double().mean() < 600
    again = History(1100, 1000, longest=100)
    again.fill(owners.flip(0), others.flip(0))
    assert torch.equal(again.pairs, history.pairs)


def test_a_hidden_user_has_met_nobody_and_no_item_has_met_it() -> None:
    net = model(SvdPlusPlusParams(factors=3, bounded=False, unknown_rate=0.5)).train()
    users, items = torch.tensor([1] * 200), torch.tensor([1] * 200)
    torch.manual_seed(0)
    found = {round(score, 4) for score in net(users, items).tolist()}
    t = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    root = 2**0.5
    u = t["user_factors.weight"][1] + t["user_side.seen.weight"][2]
    v = t["item_factors.weight"][1] + t["item_side.seen.weight"][[2, 3]].sum(0) / root
    users_ways = ((u, t["user_bias.weight"][1, 0]), (t["user_factors.weight"][0], t["user_bias.weight"][0, 0]))
    items_ways = ((v, t["item_bias.weight"][1, 0]), (t["item_factors.weight"][0], t["item_bias.weight"][0, 0]))
    ways = [float(a @ b + b_a + b_b) for a, b_a in users_ways for b, b_b in items_ways]
    assert sorted(found) == pytest.approx(sorted(ways), abs=1e-3)


def test_similar_items_are_compared_by_all_that_is_known_of_them() -> None:
    net = model(FeatureDotBiasParams(factors=3, histories=Histories.both)).eval()
    t = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    expected = t["item_factors.weight"][2] + t["item_side.seen.weight"][[1, 3]].sum(0) / 2**0.5
    expected = expected + t["item_side.features.weight"][[0, 1]].sum(0)
    assert net.item_vectors().shape == (5, 3)
    assert net.item_vectors()[2].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_data_without_features_is_refused() -> None:
    component = next(c for c in offered("collab") if c.name == "feature_dot_bias")
    assert component.check is not None
    facts = DataFacts("ratings", 8, 2, entities={"users": 4, "items": 4}, range=(1.0, 5.0))
    (problem,) = component.check(FeatureDotBiasParams(), facts)
    assert problem.code == "E305" and "user_features" in problem.help
    described = DataFacts("ratings", 8, 2, entities={"users": 4, "items": 4}, range=(1.0, 5.0), vocabulary=FEATURES)
    assert list(component.check(FeatureDotBiasParams(), described)) == []


def test_features_of_one_side_are_enough() -> None:
    only = {"item_features": FEATURES["item_features"]}
    net = model(FeatureDotBiasParams(factors=3, bounded=False), only)
    assert net.user_side.features is None and net.item_side.features is not None


@pytest.mark.parametrize("given", [{"longest": 0}, {"factors": 0}, {"unknown_rate": 1.0}, {"histories": "all"}])
def test_parameters_out_of_bounds(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SvdPlusPlusParams(**given)
