"""The metrics, over batches of uneven size, against scikit-learn on the whole set at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dotexp import Component, DataFacts, Use
from offered import offered
from sklearn import metrics as sk
from torch import Tensor

COMPONENTS: dict[str, Component] = {c.name: c for c in offered("losses") if c.kind == "metric"}
MACRO = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}


def make(name: str, facts: DataFacts, **arguments: Any) -> Any:
    return Use(component=COMPONENTS[name], params=COMPONENTS[name].params(**arguments)).build(facts)


def classification(count: int) -> DataFacts:
    names = tuple(f"class {i}" for i in range(count))
    return DataFacts("classification", train=1, valid=1, classes=names, outputs=count)


def multilabel(count: int) -> DataFacts:
    names = tuple(f"label {i}" for i in range(count))
    return DataFacts("multilabel", train=1, valid=1, classes=names, outputs=count)


RATINGS = DataFacts("ratings", train=1, valid=1, range=(0, 5))


def over_batches(metric: Any, output: Tensor, target: Tensor, sizes: tuple[int, ...] = (40, 40, 17)) -> float:
    """Value after batches of these sizes, the second time round so that `reset` is used too."""
    for _ in range(2):
        metric.reset()
        for some, labels in zip(torch.split(output, list(sizes)), torch.split(target, list(sizes)), strict=True):
            metric.update(some, labels)
    return float(metric.compute())


def guesses(count: int, n: int = 97) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    output = torch.randn(n, count, generator=generator)
    target = torch.randint(count, (n,), generator=generator)
    output[torch.arange(n), target] += 1
    return output.softmax(-1), target


@pytest.mark.parametrize("count", [2, 3, 37])
def test_accuracy_and_error_rate(count: int) -> None:
    output, target = guesses(count)
    expected = sk.accuracy_score(target.numpy(), output.argmax(-1).numpy())
    accuracy = over_batches(make("accuracy", classification(count)), output, target)
    error_rate = over_batches(make("error_rate", classification(count)), output, target)
    assert accuracy == pytest.approx(expected, rel=1e-6)
    assert error_rate == pytest.approx(1 - expected, rel=1e-6)
    assert accuracy not in (0, 1)


@pytest.mark.parametrize("count", [2, 3, 37])
@pytest.mark.parametrize("name", list(MACRO))
def test_means_over_the_classes(name: str, count: int) -> None:
    """Two classes are averaged like any others: none of them is the positive one."""
    output, target = guesses(count)
    expected = MACRO[name](target.numpy(), output.argmax(-1).numpy(), average="macro", zero_division=0)
    assert over_batches(make(name, classification(count)), output, target) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", list(MACRO))
def test_a_class_that_never_occurs_counts_for_nothing(name: str) -> None:
    """Of three classes the third is neither there nor guessed; the second is there and never guessed."""
    output = torch.tensor([[0.8, 0.1, 0.1]] * 4)
    target = torch.tensor([0, 0, 0, 1])
    by_hand = {"precision": (3 / 4 + 0) / 2, "recall": (1 + 0) / 2, "f1": (6 / 7 + 0) / 2}
    assert over_batches(make(name, classification(3)), output, target, (3, 1)) == pytest.approx(by_hand[name], rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_accuracy(k: int) -> None:
    output, target = guesses(10)
    expected = sk.top_k_accuracy_score(target.numpy(), output.numpy(), k=k)
    assert over_batches(make("top_k_accuracy", classification(10), k=k), output, target) == pytest.approx(expected)


def test_top_k_accuracy_takes_five_guesses_unless_said() -> None:
    assert COMPONENTS["top_k_accuracy"].params().k == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(("k", "refused"), [(2, False), (3, True), (5, True)])
def test_as_many_guesses_as_classes_are_refused(k: int, refused: bool) -> None:
    component = COMPONENTS["top_k_accuracy"]
    assert component.check is not None
    problems = list(component.check(component.params.model_validate({"k": k}), classification(3)))
    assert [(p.field, p.code) for p in problems] == ([("k", "E304")] if refused else [])


def labels(count: int = 4, n: int = 97) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    target = torch.randint(2, (n, count), generator=generator).float()
    return (torch.randn(n, count, generator=generator) + target).sigmoid(), target


@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
def test_of_several_labels_every_yes_and_no_counts(kind: torch.dtype) -> None:
    output, target = labels()
    expected = float(np.mean((output.numpy() > 0.5) == (target.numpy() == 1)))
    accuracy = over_batches(make("accuracy", multilabel(4)), output, target.to(kind))
    error_rate = over_batches(make("error_rate", multilabel(4)), output, target.to(kind))
    assert [accuracy, error_rate] == pytest.approx([expected, 1 - expected], rel=1e-6)


@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
@pytest.mark.parametrize("name", list(MACRO))
def test_means_over_the_labels(name: str, kind: torch.dtype) -> None:
    output, target = labels()
    expected = MACRO[name](target.numpy(), output.numpy() > 0.5, average="macro", zero_division=0)
    assert over_batches(make(name, multilabel(4)), output, target.to(kind)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(97,), (97, 1)])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
def test_rmse_and_mae_are_of_the_whole_set(shape: tuple[int, ...], kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    target = torch.randint(1, 6, (97,), generator=generator).to(kind)
    output = target + torch.randn(97, generator=generator) * torch.linspace(0, 3, 97)
    expected = sk.root_mean_squared_error(target.double().numpy(), output.double().numpy())
    batches = [
        sk.root_mean_squared_error(t, o) for t, o in zip(torch.split(target, 40), torch.split(output, 40), strict=True)
    ]
    rmse = over_batches(make("rmse", RATINGS), output.reshape(shape), target)
    mae = over_batches(make("mae", RATINGS), output.reshape(shape), target)
    assert rmse == pytest.approx(expected, rel=1e-6)
    assert rmse != pytest.approx(float(np.mean(batches)), rel=1e-3)
    assert mae == pytest.approx(sk.mean_absolute_error(target.double().numpy(), output.double().numpy()), rel=1e-6)


def test_a_long_set_of_tiny_batches_stays_exact() -> None:
    """An accuracy of 1/3 over 100,000 examples in batches of 100 is counted, not averaged."""
    output = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]).repeat(33_334, 1)[:100_000]
    target = torch.ones(100_000, dtype=torch.int64)
    right = int((output.argmax(-1) == 1).sum())
    accuracy = over_batches(make("accuracy", classification(2)), output, target, (100,) * 1000)
    assert accuracy == float(torch.tensor(right) / 100_000)


@pytest.mark.parametrize("sizes", [(97,), (1,) * 97, (40, 40, 17), (96, 1)])
@pytest.mark.parametrize("name", ["accuracy", "error_rate", "top_k_accuracy", *MACRO])
def test_the_batches_change_no_bit(name: str, sizes: tuple[int, ...]) -> None:
    output, target = guesses(7)
    whole = over_batches(make(name, classification(7)), output, target, (97,))
    assert over_batches(make(name, classification(7)), output, target, sizes) == whole


def test_error_rates_are_the_counts_ratio_to_the_bit() -> None:
    """1 - 7/9 is not 2/9 in float32."""
    output, target = torch.tensor([[0.9, 0.1]] * 9), torch.tensor([0] * 7 + [1] * 2)
    assert over_batches(make("error_rate", classification(2)), output, target, (4, 5)) == float(torch.tensor(2) / 9)
    yes = torch.tensor([[0.9], [0.9], [0.1]] * 3)
    labels = torch.tensor([[1], [1], [0], [1], [1], [0], [1], [0], [1]])
    assert over_batches(make("error_rate", multilabel(1)), yes, labels, (4, 5)) == float(torch.tensor(2) / 9)


def test_top_1_accuracy_is_accuracy_where_probabilities_are_equal() -> None:
    output, target = torch.full((4, 3), 1 / 3), torch.tensor([0, 0, 1, 2])
    for name, arguments in (("accuracy", {}), ("top_k_accuracy", {"k": 1})):
        assert over_batches(make(name, classification(3), **arguments), output, target, (3, 1)) == 0.5


def test_which_tasks_a_metric_fits() -> None:
    of_classes = {"accuracy", "error_rate", "top_k_accuracy", "f1", "precision", "recall"}
    of_lists = {"precision_at", "recall_at", "ndcg_at"}
    for name, component in COMPONENTS.items():
        tasks = set(component.facts_for(component.params()).tasks)
        expected = {"classification", "multilabel"} if name in of_classes else {"regression", "ratings"}
        if name in of_lists:
            expected = {"ratings"}
        assert tasks == (expected - {"multilabel"} if name == "top_k_accuracy" else expected)
