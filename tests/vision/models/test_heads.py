"""Heads against fastai's create_head: the modules in order, the counts, the first values."""

from __future__ import annotations

import math

import pytest
import torch
from dotexp import DataFacts, Range, Use
from dotexp.engine.build.probe import Probe
from dotexp.planning.planner import make_plan
from dotexp_vision.models.head_params import LinearParams, MlpParams, Pool
from dotexp_vision.models.heads import linear, mlp
from offered import offered
from pydantic import ValidationError
from torch import nn

from specs import IMAGES, faults, only, resolved


def names(head: nn.Module) -> list[str]:
    return [type(module).__name__ for module in head.children()]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def dropouts(head: nn.Module) -> list[float]:
    return [module.p for module in head.children() if isinstance(module, nn.Dropout)]


def test_default_head_is_fastais() -> None:
    head = mlp(MlpParams(), 512, 37)
    block = ["BatchNorm1d", "Dropout", "Linear"]
    assert names(head) == ["GlobalPool", *block, "ReLU", *block]
    assert dropouts(head) == [0.25, 0.5]
    layers = [m for m in head.children() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features, m.bias) for m in layers] == [(1024, 512, None), (512, 37, None)]


@pytest.mark.parametrize(
    ("features", "outputs", "bias", "parameters"),
    [  # printed by fastai 2.8.12 and, with biases, 1.0.61
        (512, 37, False, 546_304),
        (512, 37, True, 546_853),
        (512, 10, False, 532_480),
        (2048, 10, False, 2_111_488),
    ],
)
def test_parameter_counts(features: int, outputs: int, bias: bool, parameters: int) -> None:
    assert count(mlp(MlpParams(bias=bias), features, outputs)) == parameters


def test_pooling_puts_maxima_before_averages() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, -4.0], [-8.0, -4.0]]]])
    pools = {Pool.concat: [[6, 0, 3, -4]], Pool.avg: [[3, -4]], Pool.max: [[6, 0]]}
    for pool, expected in pools.items():
        head = mlp(MlpParams(hidden=(), pool=pool, first_bn=False, dropout=0.0), 2, 3)
        pooled = next(iter(head.children()))(maps)
        assert torch.equal(pooled, torch.tensor(expected, dtype=torch.float32))
        assert head(maps).shape == (1, 3)


def test_first_values() -> None:
    torch.manual_seed(0)
    head = mlp(MlpParams(), 512, 37)
    norms = [m for m in head.children() if isinstance(m, nn.BatchNorm1d)]
    assert all(torch.equal(m.bias, torch.full_like(m.bias, 1e-3)) and bool((m.weight == 1).all()) for m in norms)
    weight = next(m.weight for m in head.children() if isinstance(m, nn.Linear))
    assert float(weight.detach().std()) == pytest.approx(math.sqrt(2 / 1024), rel=0.01)
    old = mlp(MlpParams(bias=True), 512, 37)
    assert all(float(m.bias.detach().abs().sum()) == 0 for m in old.children() if hasattr(m, "bias"))


def test_one_number_and_a_list_of_dropout() -> None:
    assert dropouts(mlp(MlpParams(hidden=(64, 32), dropout=0.4), 8, 3)) == [0.2, 0.2, 0.4]
    assert dropouts(mlp(MlpParams(hidden=(64,), dropout=(0.1, 0.3)), 8, 3)) == [0.1, 0.3]
    assert dropouts(mlp(MlpParams(hidden=()), 8, 3)) == [0.5]
    assert dropouts(mlp(MlpParams(dropout=0.0), 8, 3)) == []
    with pytest.raises(ValidationError, match=r"each of the 2 linear layers: this list has 1"):
        MlpParams(dropout=(0.5,))
    with pytest.raises(ValidationError):
        MlpParams(dropout=1.0)


def test_options_of_the_norms() -> None:
    plain_first = mlp(MlpParams(first_bn=False, dropout=0.0), 8, 3)
    assert names(plain_first) == ["GlobalPool", "Linear", "ReLU", "BatchNorm1d", "Linear"]
    assert [m.bias is not None for m in plain_first.children() if isinstance(m, nn.Linear)] == [True, False]
    last = list(mlp(MlpParams(bn_final=True), 8, 3).children())[-1]
    assert isinstance(last, nn.BatchNorm1d)
    assert (last.num_features, last.momentum, float(last.bias.detach().sum())) == (3, 0.01, 0.0)


def test_linear_head() -> None:
    head = linear(LinearParams(), 4, 3)
    maps = torch.rand(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    last = list(head.children())[-1]
    assert isinstance(last, nn.Linear)
    expected = maps.mean((2, 3)) @ last.weight.T + last.bias
    torch.testing.assert_close(head(maps), expected)
    assert count(head) == 4 * 3 + 3


def test_heads_fit_classification_multilabel_and_regression() -> None:
    heads = [c for c in offered("vision") if c.kind == "head"]
    assert {c.name for c in heads} == {"mlp", "linear"}
    for component in heads:
        facts = component.facts_for(component.params())
        assert set(facts.tasks) == {"classification", "multilabel", "regression"}


def test_linear_layers_first_as_fastai_has_them() -> None:
    head = mlp(MlpParams(lin_first=True), 512, 37)
    hidden = ["Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert names(head) == ["GlobalPool", *hidden]
    assert dropouts(head) == [0.25, 0.5]
    layers = [m for m in head.children() if isinstance(m, nn.Linear)]
    assert [m.bias is not None for m in layers] == [False, True]
    assert count(head) == 1024 * 512 + 2 * 512 + 512 * 37 + 37
    deep = mlp(MlpParams(hidden=(8, 4), lin_first=True, first_bn=False, dropout=0.0, bn_final=True), 3, 2)
    block = ["Linear", "ReLU", "BatchNorm1d"]
    assert names(deep) == ["GlobalPool", "Linear", "ReLU", *block, "Linear", "BatchNorm1d"]
    assert deep(torch.rand(4, 3, 2, 2)).shape == (4, 2)


def test_a_range_bounds_what_a_regression_says() -> None:
    head = mlp(MlpParams(hidden=(), dropout=0.0, first_bn=False, y_range=Range(low=-0.5, high=5.5)), 2, 1)
    last = next(m for m in head.children() if isinstance(m, nn.Linear))
    maps = torch.tensor([[[[3.0]], [[-2.0]]], [[[1e4]], [[1e4]]]])
    with torch.no_grad():
        last.weight.copy_(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
        said = head(maps)
    # maxima, then averages: 0.1·3 - 0.2·2 + 0.3·3 - 0.4·2 = 0, half way
    assert said.flatten().tolist() == pytest.approx([2.5, 5.5])


class Breeds(Probe):
    """Tells of photographs of 37 breeds without opening any."""

    def data_facts(self, use: Use, seed: int) -> DataFacts:
        """As many classes as the lesson's."""
        breeds = tuple(f"breed_{number}" for number in range(37))
        return DataFacts("classification", train=640, valid=160, classes=breeds, outputs=37)


@pytest.mark.parametrize(
    ("head", "freeze", "trainable"),
    [  # printed by fastai 2.8.12, and, with biases, 1.0.61
        ("mlp", "freeze body", 546_304),
        ("mlp", "freeze body except norm", 563_328),
        ("mlp", "freeze before layer3 except norm", 20_486_272),
        ("mlp", "unfreeze", 21_830_976),
        ("mlp(bias = true)", "freeze body except batchnorm", 563_877),
        ("mlp(bias = true)", "unfreeze", 21_831_525),
    ],
)
def test_what_a_stage_trains_counts_as_fastais(head: str, freeze: str, trainable: int) -> None:
    text = IMAGES.replace("resnet18", "resnet34").replace("head mlp", f"head {head}").replace("freeze body", freeze)
    plan, _ = make_plan(resolved(text), Breeds())
    assert sum(group.trainable_parameters for group in plan.stages[0].groups) == trainable


def test_y_range_is_for_numbers_alone() -> None:
    bounded = IMAGES.replace("head mlp", "head mlp(y_range = 0..1)")
    said = only(bounded)
    assert (said.code, said.span and said.span.text) == ("E304", "0..1")
    assert said.message == "`y_range` is for regression, and `digits` is classification"
    several = 'image_list("t.csv", label_separator = " ")'
    assert "`image_list` is multilabel" in only(with_data(bounded, several, "binary_cross_entropy")).message
    assert faults(with_data(bounded, 'image_list("t.csv", target = 1)', "mse")) == []
    assert faults(IMAGES.replace("head mlp", "head mlp(y_range = none)")) == []
    assert faults(IMAGES, "model.head.y_range=0..5") == [("E304", "0..5")]
    named = bounded.replace("0..1", "bounds").replace("experiment photos", "experiment photos param bounds = 0..1")
    assert [code for code, _ in faults(named)] == ["E304"]


def with_data(text: str, data: str, loss: str) -> str:
    other = text.replace("digits(classes = 0..4)", data).replace("loss cross_entropy", f"loss {loss}")
    return other.replace("metrics accuracy", "")
