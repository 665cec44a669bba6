"""The losses, against numbers worked out by hand and against their definitions in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from dotexp import Component, DataFacts, Use
from offered import offered
from pydantic import ValidationError
from torch import Tensor, nn

FACTS = DataFacts("classification", train=8, valid=0)
COMPONENTS: dict[str, Component] = {c.name: c for c in offered("losses") if c.kind == "loss"}


def make(name: str, **arguments: Any) -> Any:
    loss = Use(component=COMPONENTS[name], params=COMPONENTS[name].params(**arguments)).build(FACTS)
    assert isinstance(loss, nn.Module)
    return loss


def outputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)


def test_label_smoothing_is_fastai_s() -> None:
    """eps/classes * sum of -log p + (1 - eps) * -log p of the label."""
    output, label = outputs(8, 5), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    minus_log = -(output.exp() / output.exp().sum(-1, keepdim=True)).log()
    expected = (0.1 / 5 * minus_log.sum(-1) + 0.9 * minus_log[torch.arange(8), label]).mean()
    torch.testing.assert_close(make("cross_entropy", label_smoothing=0.1)(output, label), expected)


def test_smoothing_is_a_share_below_one() -> None:
    with pytest.raises(ValidationError):
        make("cross_entropy", label_smoothing=1.0)


def test_the_gradient_of_cross_entropy_is_probability_minus_label() -> None:
    output, label = outputs(4, 3), torch.tensor([2, 0, 1, 1])
    loss = make("cross_entropy")
    loss(output, label).backward()
    expected = (loss.activate(output.detach()) - torch.eye(3, dtype=torch.float64)[label]) / 4
    torch.testing.assert_close(output.grad, expected)


@pytest.mark.parametrize("output_shape", [(4,), (4, 1)])
@pytest.mark.parametrize("target_shape", [(4,), (4, 1)])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.float64])
def test_mse_pairs_numbers_whatever_their_shape(
    output_shape: tuple[int, ...], target_shape: tuple[int, ...], kind: torch.dtype
) -> None:
    """((1-0)^2 + (2-2)^2 + (3-1)^2 + (5-5)^2) / 4; nothing is broadcast to 4 x 4."""
    output = torch.tensor([1.0, 2.0, 3.0, 5.0], requires_grad=True)
    target = torch.tensor([0, 2, 1, 5]).to(kind)
    loss = make("mse")(output.reshape(output_shape), target.reshape(target_shape))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(5 / 4)
    loss.backward()
    assert output.grad is not None
    assert output.grad.tolist() == pytest.approx([0.5, 0, 1, 0])


def test_mse_of_halves_is_computed_in_full() -> None:
    """16 differences of 100 squared do not fit float16's 65504 when summed."""
    output, target = torch.full((16,), 100.0, dtype=torch.float16), torch.zeros(16)
    loss = make("mse")(output, target)
    assert loss.dtype == torch.float32
    assert loss.item() == 10_000


def test_mse_leaves_numbers_as_they_are() -> None:
    output = outputs(4)
    assert make("mse").activate(output) is output


def test_binary_cross_entropy_by_hand() -> None:
    """Probabilities 1/4, 1/2 and 4/5 of labels 1, 0 and 1."""
    output = torch.tensor([[1 / 3, 1.0, 4.0]]).log()
    loss = make("binary_cross_entropy")
    expected = -(math.log(1 / 4) + math.log(1 / 2) + math.log(4 / 5)) / 3
    for labels in (torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1, 0, 1]]), torch.tensor([[True, False, True]])):
        assert loss(output, labels).item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(loss.activate(output), torch.tensor([[0.25, 0.5, 0.8]]))


def test_binary_cross_entropy_takes_a_class_for_a_single_label() -> None:
    output, label = outputs(5, 3), torch.tensor([0, 2, 1, 1, 2])
    loss = make("binary_cross_entropy")
    torch.testing.assert_close(loss(output, label), loss(output, torch.eye(3, dtype=torch.float64)[label]))


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_a_loss_is_a_finite_scalar_for_extreme_outputs(name: str) -> None:
    output = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    target = torch.tensor([[0.0, 1.0], [0.0, 1.0]]) if name == "mse" else torch.tensor([1, 1])
    loss = make(name)(output, target)
    loss.backward()
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_a_loss_has_nothing_to_train_or_save(name: str) -> None:
    assert not list(make(name).parameters())
    assert not make(name).state_dict()


def test_which_tasks_a_loss_fits() -> None:
    tasks = {name: Use(component=c, params=c.params()).facts.tasks for name, c in COMPONENTS.items()}
    assert tasks == {
        "cross_entropy": ("classification",),
        "mse": ("regression", "ratings"),
        "binary_cross_entropy": ("classification", "multilabel"),
    }
