"""The optimizers, against the lesson's formulas written as loops over float64 arrays, and against PyTorch's own."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from dotexp import Component, OptimizerFacts, Use
from dotexp_optimizers.params import Decay, MomentumForm, Sparse
from numpy.typing import NDArray
from offered import offered
from torch.optim import Optimizer

Array = NDArray[np.float64]
COMPONENTS: dict[str, Component] = {c.name: c for c in offered("optimizers") if c.kind == "optimizer"}
STEPS = 25
SHAPES = ((3, 4), (5,), (1,))
WD = 0.1
SUM, EWMA = MomentumForm.sum, MomentumForm.ewma


def build(name: str, groups: list[dict[str, Any]], **arguments: Any) -> Optimizer:
    component = COMPONENTS[name]
    optimizer: Optimizer = Use(component=component, params=component.params(**arguments)).build(groups)
    return optimizer


def rate(step: int) -> float:
    return 0.01 * (1 + step / 10)


def momentum(step: int) -> float:
    return 0.95 - 0.004 * step


def drawn(seed: int) -> list[Array]:
    return [np.random.default_rng((seed, i)).normal(size=shape) for i, shape in enumerate(SHAPES)]


def gradients(step: int) -> list[Array]:
    return drawn(100 + step)


def with_decay(form: Decay, w: Array, g: Array, lr: float, wd: float) -> tuple[Array, Array]:
    """Weights and gradient after decay in its form."""
    if form is Decay.decoupled:
        return w - lr * wd * w, g
    return w, g + (2 * wd * w if form is Decay.in_loss else wd * w)


def plain_sgd(lr: float, m: float, t: int, g: Array, memory: dict[str, Array]) -> Array:
    return lr * g


def sum_sgd(lr: float, m: float, t: int, g: Array, memory: dict[str, Array]) -> Array:
    memory["s"] = m * memory.get("s", np.zeros_like(g)) + g
    return lr * memory["s"]


def ewma_sgd(lr: float, m: float, t: int, g: Array, memory: dict[str, Array]) -> Array:
    alpha = 1 - m
    memory["s"] = alpha * g + (1 - alpha) * memory.get("s", np.zeros_like(g))
    return lr * memory["s"]


def plain_rmsprop(lr: float, m: float, t: int, g: Array, memory: dict[str, Array]) -> Array:
    memory["q"] = 0.99 * memory.get("q", np.zeros_like(g)) + 0.01 * g**2
    return lr * g / (np.sqrt(memory["q"]) + 1e-8)


def sum_rmsprop(lr: float, m: float, t: int, g: Array, memory: dict[str, Array]) -> Array:
    memory["q"] = 0.99 * memory.get("q", np.zeros_like(g)) + 0.01 * g**2
    memory["s"] = m * memory.get("s", np.zeros_like(g)) + g
    return lr * memory["s"] / (np.sqrt(memory["q"]) + 1e-8)


def adam(lr: float, m: float, t: int, g: Array, memory: dict[str, Array]) -> Array:
    memory["s"] = m * memory.get("s", np.zeros_like(g)) + (1 - m) * g
    memory["q"] = 0.99 * memory.get("q", np.zeros_like(g)) + 0.01 * g**2
    average, square = memory["s"] / (1 - m**t), memory["q"] / (1 - 0.99**t)
    return lr * average / (np.sqrt(square) + 1e-5)


Step = Callable[[float, float, int, Array, dict[str, Array]], Array]
CASES: dict[str, tuple[str, dict[str, Any], Step]] = {
    "sgd": ("sgd", {}, plain_sgd),
    "sgd-sum": ("sgd", {"momentum": 0.9}, sum_sgd),
    "sgd-ewma": ("sgd", {"momentum": 0.9, "momentum_form": EWMA}, ewma_sgd),
    "sgd-ewma-0": ("sgd", {"momentum_form": EWMA}, plain_sgd),
    "rmsprop": ("rmsprop", {}, plain_rmsprop),
    "rmsprop-momentum": ("rmsprop", {"momentum": 0.9}, sum_rmsprop),
    "adam": ("adam", {}, adam),
}


def by_hand(step_of: Step, form: Decay, wd: float) -> list[Array]:
    weights = drawn(7)
    memories: list[dict[str, Array]] = [{} for _ in weights]
    for t in range(STEPS):
        for i, g in enumerate(gradients(t)):
            w, g = with_decay(form, weights[i], g, rate(t), wd)
            weights[i] = w - step_of(rate(t), momentum(t), t + 1, g, memories[i])
    return weights


def tensors(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.from_numpy(w).to(dtype).requires_grad_() for w in drawn(7)]


def group(parameters: list[torch.Tensor], wd: float = WD) -> dict[str, Any]:
    return {"params": parameters, "lr": 1.0, "weight_decay": wd, "name": "model"}


def set_step(optimizer: Optimizer, step: int) -> None:
    """Set the rate and the momentum as the engine does before a step."""
    for entry in optimizer.param_groups:
        entry["lr"] = rate(step)
        if "betas" in entry:
            entry["betas"] = (momentum(step), entry["betas"][1])
        elif entry.get("momentum", 0) > 0:
            entry["momentum"] = momentum(step)


def train(optimizer: Optimizer, parameters: list[torch.Tensor], steps: range) -> None:
    for t in steps:
        for parameter, g in zip(parameters, gradients(t), strict=True):
            parameter.grad = torch.from_numpy(g).to(parameter.dtype)
        set_step(optimizer, t)
        optimizer.step()


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Any], Step]]:
    yield CASES[request.param]


@pytest.mark.parametrize("form", list(Decay))
@pytest.mark.parametrize("wd", [0.0, WD])
def test_optimizer_follows_its_formula(case: tuple[str, dict[str, Any], Step], form: Decay, wd: float) -> None:
    """Rate and momentum change at every step."""
    name, arguments, step_of = case
    parameters = tensors()
    train(build(name, [group(parameters, wd)], decay=form, **arguments), parameters, range(STEPS))
    for parameter, expected in zip(parameters, by_hand(step_of, form, wd), strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-11, atol=1e-13)


def test_each_group_has_its_own_decay(case: tuple[str, dict[str, Any], Step]) -> None:
    name, arguments, step_of = case
    parameters = tensors()
    groups = [group(parameters[:1]), group(parameters[1:], wd=0.0)]
    train(build(name, groups, **arguments), parameters, range(STEPS))
    decayed, plain = by_hand(step_of, Decay.decoupled, WD), by_hand(step_of, Decay.decoupled, 0.0)
    for parameter, expected in zip(parameters, [decayed[0], *plain[1:]], strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-11, atol=1e-13)


def test_a_parameter_without_gradient_keeps_every_bit(case: tuple[str, dict[str, Any], Step]) -> None:
    name, arguments, _ = case
    parameters, before = tensors(), tensors()
    optimizer = build(name, [group(parameters)], **arguments)
    for t in range(3):
        set_step(optimizer, t)
        parameters[0].grad = torch.ones_like(parameters[0])
        optimizer.step()
    assert torch.equal(parameters[1], before[1])
    assert not torch.equal(parameters[0], before[0])


def test_a_step_without_any_gradient_changes_nothing(case: tuple[str, dict[str, Any], Step]) -> None:
    name, arguments, _ = case
    parameters, before = tensors(), tensors()
    build(name, [group(parameters)], **arguments).step()
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


def test_a_gradient_may_come_later_than_the_others(case: tuple[str, dict[str, Any], Step]) -> None:
    """A parameter whose first gradient is at step 2 ends where one alone, trained from then on, ends."""
    name, arguments, _ = case
    late, alone = tensors(), tensors()
    optimizer, other = build(name, [group(late)], **arguments), build(name, [group(alone[:1])], **arguments)
    for t in range(6):
        set_step(optimizer, t)
        late[1].grad = torch.ones_like(late[1])
        if t >= 2:
            late[0].grad, alone[0].grad = torch.ones_like(late[0]), torch.ones_like(alone[0])
            set_step(other, t)
            other.step()
        optimizer.step()
    np.testing.assert_allclose(late[0].detach().numpy(), alone[0].detach().numpy(), rtol=1e-13)


@pytest.mark.parametrize("form", list(Decay))
@pytest.mark.parametrize("stop", [1, 10])
def test_state_survives_saving_to_the_bit(case: tuple[str, dict[str, Any], Step], form: Decay, stop: int) -> None:
    """What is no tensor passes through JSON, as in a checkpoint; a pair then comes back as a list."""
    name, arguments, _ = case
    whole, half = tensors(torch.float32), tensors(torch.float32)
    train(build(name, [group(whole)], decay=form, **arguments), whole, range(STEPS))
    first = build(name, [group(half)], decay=form, **arguments)
    train(first, half, range(stop))
    saved = copy.deepcopy(first.state_dict())
    saved["param_groups"] = json.loads(json.dumps(saved["param_groups"]))

    resumed = [p.detach().clone().requires_grad_() for p in half]
    second = build(name, [group(resumed)], decay=form, **arguments)
    second.load_state_dict(saved)
    train(second, resumed, range(stop, STEPS))
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_sgd_is_torch_s() -> None:
    """The reference is PyTorch's plain loop, not its fused kernel."""
    ours, theirs = tensors(), tensors()
    train(build("sgd", [group(ours)], momentum=0.9, decay=Decay.in_gradient), ours, range(STEPS))
    train(torch.optim.SGD(theirs, momentum=0.9, weight_decay=WD, foreach=False), theirs, range(STEPS))
    assert_near(ours, theirs)


def test_rmsprop_without_momentum_is_torch_s() -> None:
    ours, theirs = tensors(), tensors()
    train(build("rmsprop", [group(ours)], decay=Decay.in_gradient), ours, range(STEPS))
    train(torch.optim.RMSprop(theirs, weight_decay=WD, foreach=False), theirs, range(STEPS))
    assert_near(ours, theirs)


@pytest.mark.parametrize(
    ("form", "theirs_is"), [(Decay.decoupled, torch.optim.AdamW), (Decay.in_gradient, torch.optim.Adam)]
)
def test_adam_is_torch_s(form: Decay, theirs_is: type[torch.optim.Adam]) -> None:
    ours, theirs = tensors(), tensors()
    train(build("adam", [group(ours)], decay=form), ours, range(STEPS))
    reference = theirs_is(theirs, betas=(0.9, 0.99), eps=1e-5, weight_decay=WD, foreach=False)
    train(reference, theirs, range(STEPS))
    assert_near(ours, theirs)


def assert_near(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_fused_kernels_are_used_on_the_cpu(name: str) -> None:
    optimizer = build(name, [group(tensors())])
    assert all(entry["fused"] is True for entry in optimizer.param_groups)


@pytest.mark.parametrize(
    ("name", "arguments"), [("adam", {}), ("adam", {"sparse": Sparse.rows}), ("sgd", {"momentum": 0.9}), ("sgd", {})]
)
def test_a_skipped_step_changes_no_weight(name: str, arguments: dict[str, Any]) -> None:
    """The fused kernels leave everything where `found_inf` says so; decay must too."""
    parameters, before = tensors(torch.float32), tensors(torch.float32)
    optimizer = build(name, [group(parameters)], **arguments)
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, float("nan"))
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))
    optimizer.found_inf = torch.tensor(0.0)  # type: ignore[attr-defined]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    factor = 1 - 1.0 * WD
    assert all(torch.allclose(a, b * factor) for a, b in zip(parameters, before, strict=True))


def test_decay_is_one_hundredth_unless_said() -> None:
    for component in COMPONENTS.values():
        params = component.params()
        assert (params.wd, params.decay, params.wd_norm_bias) == (0.01, Decay.decoupled, False)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "arguments", "moved"),
    [
        ("adam", {}, "betas"),
        ("sgd", {}, None),
        ("sgd", {"momentum": 0.9}, "momentum"),
        ("sgd", {"momentum": 0.9, "momentum_form": EWMA}, "momentum"),
        ("rmsprop", {}, None),
        ("rmsprop", {"momentum": 0.5}, "momentum"),
    ],
)
def test_what_a_policy_s_momentum_moves(name: str, arguments: dict[str, Any], moved: str | None) -> None:
    """It names a parameter and a key of the optimizer's groups alike."""
    component = COMPONENTS[name]
    use = Use(component=component, params=component.params(**arguments))
    assert use.facts_as(OptimizerFacts).momentum == moved
    if moved is not None:
        assert moved in component.params.model_fields
        assert moved in use.build([group(tensors())]).param_groups[0]
