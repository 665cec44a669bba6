"""What the lesson says is the same, is the same; and where it is only nearly so, the difference is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from dotexp import Component, DataFacts, Use
from dotexp_optimizers.params import Decay, MomentumForm
from offered import offered
from torch import Tensor, nn
from torch.nn import functional

OFFERED = [*offered("losses"), *offered("optimizers")]
COMPONENTS: dict[tuple[str, str], Component] = {(c.kind, c.name): c for c in OFFERED}
FACTS = DataFacts("classification", train=20, valid=0)
LR, WD = 0.05, 0.1


def make(kind: str, name: str, *rest: Any, **arguments: Any) -> Any:
    component = COMPONENTS[kind, name]
    return Use(component=component, params=component.params(**arguments)).build(*rest)


def problem() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (20, 3), targets (20,) and weights (3,) of a linear regression."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    return x, x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 0.1, torch.full((3,), 0.7, dtype=torch.float64)


def trained(name: str, penalty: Callable[[Tensor], Tensor] | None = None, **arguments: Any) -> Tensor:
    """Weights after 20 full-batch steps on the squared error, with a penalty in the loss if there is one."""
    x, y, w = problem()
    w.requires_grad_()
    wd = arguments.get("wd", 0.0)
    optimizer = make("optimizer", name, [{"params": [w], "lr": LR, "weight_decay": wd, "name": "model"}], **arguments)
    loss_function = make("loss", "mse", FACTS)
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_function(x @ w, y)
        (loss if penalty is None else loss + penalty(w)).backward()
        optimizer.step()
    return w.detach()


def test_cross_entropy_is_minus_the_log_of_the_label_s_probability() -> None:
    """By hand: of outputs ln 1, ln 2, ln 5 the probabilities are 1/8, 2/8 and 5/8."""
    loss = make("loss", "cross_entropy", FACTS)
    output = torch.tensor([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]).log()
    expected = -(math.log(5 / 8) + math.log(1 / 8)) / 2
    assert loss(output, torch.tensor([2, 0])).item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(loss.activate(output)[0], torch.tensor([0.125, 0.25, 0.625]))


def test_cross_entropy_is_the_sum_over_the_one_hot_label() -> None:
    loss = make("loss", "cross_entropy", FACTS)
    output, label = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 2, 1, 1, 0])
    one_hot = functional.one_hot(label, 4)
    written = -(one_hot * loss.activate(output).log()).sum(-1).mean()
    torch.testing.assert_close(loss(output, label), written)


def test_softmax_sums_to_one() -> None:
    probabilities = make("loss", "cross_entropy", FACTS).activate(torch.randn(50, 37) * 20)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(50))
    assert probabilities.min() >= 0


def test_an_embedding_is_a_product_with_a_one_hot_matrix() -> None:
    table = nn.Embedding(7, 3)
    index = torch.tensor([4, 0, 4, 6])
    product = functional.one_hot(index, 7).float() @ table.weight
    assert torch.equal(table(index), product)


def test_decay_in_the_gradient_is_decoupled_decay_for_plain_sgd() -> None:
    torch.testing.assert_close(
        trained("sgd", wd=WD, decay=Decay.in_gradient), trained("sgd", wd=WD, decay=Decay.decoupled), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("name, arguments", [("adam", {}), ("rmsprop", {}), ("sgd", {"momentum": 0.9})])
def test_and_for_nothing_else(name: str, arguments: dict[str, Any]) -> None:
    in_gradient = trained(name, wd=WD, decay=Decay.in_gradient, **arguments)
    decoupled = trained(name, wd=WD, decay=Decay.decoupled, **arguments)
    assert (in_gradient - decoupled).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_decay_in_the_loss_is_the_loss_as_written(name: str) -> None:
    """`loss + wd * (w**2).sum()`, differentiated by PyTorch."""
    written = trained(name, penalty=lambda w: WD * (w**2).sum(), wd=0.0)
    torch.testing.assert_close(trained(name, wd=WD, decay=Decay.in_loss), written, rtol=1e-10, atol=0)


def test_decay_in_the_loss_is_twice_that_in_the_gradient() -> None:
    in_loss = trained("sgd", wd=WD, decay=Decay.in_loss)
    torch.testing.assert_close(in_loss, trained("sgd", wd=2 * WD, decay=Decay.in_gradient), rtol=1e-12, atol=0)
    assert (in_loss - trained("sgd", wd=WD, decay=Decay.in_gradient)).abs().max() > 1e-3


def test_decay_pulls_weights_towards_nothing() -> None:
    assert trained("sgd", wd=WD).norm() < trained("sgd", wd=0.0).norm()


def test_averaged_momentum_is_the_sum_at_a_smaller_rate() -> None:
    """S of the average is 1 - m times the sum's, so a rate 1/(1-m) times larger makes them meet."""
    x, y, _ = problem()
    ends = []
    for form, lr in [(MomentumForm.sum, LR / 10), (MomentumForm.ewma, LR)]:
        w = problem()[2].requires_grad_()
        optimizer = make(
            "optimizer", "sgd", [{"params": [w], "lr": lr, "weight_decay": 0.0, "name": "model"}],
            momentum=0.9, momentum_form=form,
        )  # fmt: skip
        for _ in range(20):
            optimizer.zero_grad()
            make("loss", "mse", FACTS)(x @ w, y).backward()
            optimizer.step()
        ends.append(w.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-10, atol=0)


def test_rmsprop_makes_consistently_small_gradients_jump_further() -> None:
    """Divided by its own size, a gradient a thousand times smaller moves its weight as far."""
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = make("optimizer", "rmsprop", [{"params": [w], "lr": 0.01, "weight_decay": 0.0, "name": "model"}])
    for _ in range(30):
        w.grad = torch.tensor([1.0, 1e-3], dtype=torch.float64)
        optimizer.step()
    assert w[1].item() == pytest.approx(w[0].item(), rel=1e-3)


def test_the_lesson_s_gradient_descent_finds_the_line() -> None:
    """y = 3x + 2 + 0.25 * noise in 0..1, 100 full-batch steps at 0.1: the squared error falls a hundredfold."""
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.rand(100, 1, generator=generator) * 2 - 1, torch.ones(100, 1)], 1)
    y = x @ torch.tensor([3.0, 2.0]) + torch.rand(100, generator=generator) * 0.25
    a = torch.tensor([-1.0, 1.0], requires_grad=True)
    optimizer = make("optimizer", "sgd", [{"params": [a], "lr": 0.1, "weight_decay": 0.0, "name": "model"}], wd=0.0)
    losses_seen = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = make("loss", "mse", FACTS)(x @ a, y)
        losses_seen.append(loss.item())
        loss.backward()
        optimizer.step()
    assert losses_seen[-1] < losses_seen[0] / 100
    assert a.tolist() == pytest.approx([3.0, 2.125], abs=0.05)
