"""The network on two embeddings: fastai's sizes and layers, and what it makes of the unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dotexp import DataFacts, Range
from dotexp_collab.models.neural import EmbeddingNN, build, embedding_width
from dotexp_collab.models.params import EmbeddingNnParams
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

USERS = torch.tensor([1, 3, 2, 3, 0])
ITEMS = torch.tensor([2, 1, 2, 2, 0])


def facts(users: int = 3, items: int = 2) -> DataFacts:
    return DataFacts("ratings", train=10, valid=2, entities={"users": users, "items": items}, range=(1.0, 5.0))


def model(**given: Any) -> EmbeddingNN:
    torch.manual_seed(0)
    net = build(EmbeddingNnParams(**given), facts())
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d) and module.running_mean is not None and module.running_var is not None:
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net


def by_hand(net: EmbeddingNN, hidden: int) -> NDArray[np.float64]:
    """The score in float64 from the tensors alone, row 0 replaced by the mean of the others."""
    t = {name: value.detach().double().numpy() for name, value in net.state_dict().items()}
    tables = []
    for name, codes in (("user_factors.weight", USERS), ("item_factors.weight", ITEMS)):
        table = t[name].copy()
        table[0] = table[1:].mean(0)
        tables.append(table[codes.numpy()])
    x = np.concatenate(tables, 1)
    for layer in range(hidden):
        at = 3 * layer
        x = np.maximum(x @ t[f"layers.{at}.weight"].T, 0)
        norm = f"layers.{at + 2}"
        x = (x - t[f"{norm}.running_mean"]) / np.sqrt(t[f"{norm}.running_var"] + 1e-5)
        x = x * t[f"{norm}.weight"] + t[f"{norm}.bias"]
    last = f"layers.{3 * hidden}"
    score: NDArray[np.float64] = (x @ t[f"{last}.weight"].T + t[f"{last}.bias"])[:, 0]
    return score


@pytest.mark.parametrize("layers", [(5,), (7, 3)])
def test_a_rating_is_what_the_layers_make_of_both_embeddings(layers: tuple[int, ...]) -> None:
    net = model(layers=layers, bounded=False).eval()
    assert net(USERS, ITEMS).detach().numpy() == pytest.approx(by_hand(net, len(layers)), abs=1e-4)
    bounded = model(layers=layers, y_range=Range(low=0, high=5.5)).eval()
    expected = 5.5 / (1 + np.exp(-by_hand(bounded, len(layers))))
    assert bounded(USERS, ITEMS).detach().numpy() == pytest.approx(expected, abs=1e-4)


def test_layers_are_fastais() -> None:
    net = build(EmbeddingNnParams(layers=(50, 20), dropout=(0.0, 0.25)), facts())
    kinds = [type(module).__name__ for module in net.layers]
    assert kinds == ["Linear", "ReLU", "BatchNorm1d", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert [module.bias is None for module in net.layers if isinstance(module, nn.Linear)] == [True, True, False]
    widths = [(module.in_features, module.out_features) for module in net.layers if isinstance(module, nn.Linear)]
    assert widths == [(net.user_factors.embedding_dim + net.item_factors.embedding_dim, 50), (50, 20), (20, 1)]


@pytest.mark.parametrize(("rows", "width"), [(944, 74), (1635, 101), (1654, 102), (1683, 103), (10**6, 600), (2, 2)])
def test_embeddings_are_as_wide_as_fastais(rows: int, width: int) -> None:
    assert embedding_width(rows) == width


def test_widths_follow_the_data_unless_given() -> None:
    net = build(EmbeddingNnParams(), facts(users=943, items=1682))
    assert (tuple(net.user_factors.weight.shape), tuple(net.item_factors.weight.shape)) == ((944, 74), (1683, 103))
    given = build(EmbeddingNnParams(user_factors=8, item_factors=16), facts(users=943, items=1682))
    assert (given.user_factors.embedding_dim, given.item_factors.embedding_dim) == (8, 16)


def test_embeddings_are_dropped_in_training_alone() -> None:
    net = model(layers=(5,), bounded=False, embedding_dropout=0.5)
    torch.manual_seed(0)
    first, second = net.train()(USERS, ITEMS), net(USERS, ITEMS)
    assert not torch.equal(first, second)
    net.eval()
    assert torch.equal(net(USERS, ITEMS), net(USERS, ITEMS))
    assert net(USERS, ITEMS).detach().numpy() == pytest.approx(by_hand(net, 1), abs=1e-4)


def test_vectors_of_items_are_their_embeddings() -> None:
    net = model()
    assert torch.equal(net.item_vectors(), net.item_factors.weight)


@pytest.mark.parametrize(
    "given",
    [{"layers": ()}, {"layers": (0,)}, {"dropout": 1.0}, {"layers": (5, 5), "dropout": (0.1,)}, {"user_factors": 0}],
)
def test_parameters_out_of_bounds(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EmbeddingNnParams(**given)
