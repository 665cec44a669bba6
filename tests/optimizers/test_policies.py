"""Policies, slices and the stages of fine-tuning as the language meets them: parameters in, numbers or text out."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from dotexp import Component, Params, PolicyParams, Positional, Schedule, Use
from dotexp.sdk import ComponentTemplate, StageTemplate
from hypothesis import given, settings
from hypothesis import strategies as st
from offered import offered
from pydantic import ValidationError

COMPONENTS = {(c.kind, c.name): c for c in offered("optimizers")}
POLICIES = [c for c in COMPONENTS.values() if c.kind == "policy"]


def use(kind: str, name: str, **arguments: Any) -> Use:
    component = COMPONENTS[kind, name]
    return Use(component=component, params=component.params(**arguments))


def schedule(name: str, steps: int, steps_per_epoch: int, **arguments: Any) -> Schedule:
    built: Schedule = use("policy", name, lr=1e-3, **arguments).build(steps, steps_per_epoch)
    return built


def positional(params: type[Params]) -> list[str]:
    return [
        name for name, field in params.model_fields.items() if any(isinstance(m, Positional) for m in field.metadata)
    ]


@pytest.mark.parametrize("component", POLICIES, ids=lambda c: c.name)
def test_a_policy_takes_its_length_and_then_its_rate(component: Component) -> None:
    """`one_cycle(4, 1e-3)`."""
    assert issubclass(component.params, PolicyParams)
    length = "cycles" if component.name == "sgdr" else "epochs"
    assert positional(component.params) == [length, "lr"]
    assert list(component.params.model_fields)[:2] == [length, "lr"]


@pytest.mark.parametrize("component", POLICIES, ids=lambda c: c.name)
@pytest.mark.parametrize(
    "lr",
    [1e-3, (1e-5, 1e-3), {"head": 1e-3}, use("learning_rate", "slice", first=1e-3)],
    ids=lambda lr: type(lr).__name__,
)
def test_a_policy_takes_every_form_of_rate(component: Component, lr: Any) -> None:
    length = "cycles" if component.name == "sgdr" else "epochs"
    assert component.params(**{length: 2, "lr": lr}).lr == lr  # type: ignore[attr-defined]


@pytest.mark.parametrize("component", POLICIES, ids=lambda c: c.name)
@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": 100_001}, {"epochs": 2.5}, {"lr": 0.0}, {"lr": (0.1, -1.0)}]
)
def test_a_policy_refuses_what_is_out_of_bounds(component: Component, wrong: dict[str, Any]) -> None:
    length = "cycles" if component.name == "sgdr" else "epochs"
    arguments = {"epochs": 2, "lr": 1e-3, **wrong}
    arguments[length] = arguments.pop("epochs")
    with pytest.raises(ValidationError):
        component.params(**arguments)


def test_one_cycle_s_defaults_are_the_lesson_s() -> None:
    built = schedule("one_cycle", 100, 25, epochs=4)
    assert built.momentum is not None
    assert [built.factor(0), built.factor(25)] == [1 / 25, 1.0]
    assert built.factor(99) == pytest.approx(1e-5 + (1 - 1e-5) * 0.00043861, rel=1e-3)
    assert [built.momentum(0), built.momentum(25)] == pytest.approx([0.95, 0.85])
    assert built.momentum(99) == pytest.approx(0.95, abs=1e-4)


def test_one_cycle_passes_its_parameters_on() -> None:
    built = schedule("one_cycle", 10, 5, epochs=2, pct_start=0.5, div=10.0, div_final=100.0, momentum=(0.9, 0.8, 0.7))
    assert built.momentum is not None
    assert [built.factor(0), built.factor(5)] == [0.1, 1.0]
    # half way down: the mean of both ends
    half = schedule("one_cycle", 4, 4, epochs=1, pct_start=0.5, div=10.0, div_final=100.0, momentum=(0.9, 0.8, 0.7))
    assert half.momentum is not None
    assert half.factor(3) == pytest.approx(0.505)
    assert [half.momentum(i) for i in range(4)] == pytest.approx([0.9, 0.85, 0.8, 0.75])


def test_one_cycle_may_leave_momentum_alone() -> None:
    params = use("policy", "one_cycle", epochs=1, lr=1e-3, momentum=None).params
    assert isinstance(params, PolicyParams)
    assert not params.moves_momentum
    assert schedule("one_cycle", 10, 10, epochs=1, momentum=None).momentum is None


@pytest.mark.parametrize("component", POLICIES, ids=lambda c: c.name)
def test_only_one_cycle_moves_momentum(component: Component) -> None:
    length = "cycles" if component.name == "sgdr" else "epochs"
    params = component.params(**{length: 2, "lr": 1e-3})
    assert isinstance(params, PolicyParams)
    assert params.moves_momentum == (component.name == "one_cycle")
    built = Use(component=component, params=params).build(6, 2)
    assert (built.momentum is not None) == params.moves_momentum
    assert params.total_epochs == (3 if component.name == "sgdr" else 2)


def test_sgdr_counts_its_epochs() -> None:
    params = use("policy", "sgdr", cycles=3, lr=1e-3, cycle_len=2).params
    assert isinstance(params, PolicyParams)
    assert params.total_epochs == 2 + 4 + 8
    built = schedule("sgdr", 14 * 5, 5, cycles=3, cycle_len=2)
    assert [i for i in range(70) if built.factor(i) == 1.0] == [0, 10, 30]


def test_sgdr_refuses_to_go_on_for_ever() -> None:
    with pytest.raises(ValidationError, match="more than 100000 epochs"):
        use("policy", "sgdr", cycles=17, lr=1e-3)


def test_flat_cosine_cosine_linear_and_flat_by_hand() -> None:
    assert [schedule("flat", 4, 2, epochs=2).factor(i) for i in range(4)] == [1.0, 1.0, 1.0, 1.0]
    assert [schedule("linear", 4, 2, epochs=2).factor(i) for i in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert [schedule("cosine", 3, 3, epochs=1).factor(i) for i in range(3)] == pytest.approx([1.0, 0.75, 0.25])
    late = schedule("flat_cosine", 8, 8, epochs=1)
    assert [late.factor(i) for i in range(8)] == pytest.approx([1.0] * 7 + [0.500005])


@pytest.mark.parametrize("name", ["flat", "one_cycle", "flat_cosine", "cosine", "linear"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("pct", [0.0, 1.0, None])
def test_few_steps_work(name: str, steps: int, pct: float | None) -> None:
    more = {} if pct is None or name not in ("one_cycle", "flat_cosine") else {"pct_start": pct}
    built = schedule(name, steps, 1, epochs=steps, **more)
    assert all(0 < built.factor(i) <= 1 for i in range(steps))


def test_slice_of_two_is_geometric() -> None:
    rates = use("learning_rate", "slice", first=1e-6, second=1e-4)
    assert rates.build(3) == pytest.approx((1e-6, 1e-5, 1e-4), rel=1e-12)
    assert rates.build(2) == (1e-6, 1e-4)
    assert rates.build(1) == (1e-4,)


@settings(deadline=None)
@given(a=st.floats(1e-9, 10), b=st.floats(1e-9, 10), n=st.integers(2, 12))
def test_slice_of_two_is_numpy_s_geometric_space(a: float, b: float, n: int) -> None:
    rates = use("learning_rate", "slice", first=a, second=b).build(n)
    assert rates == pytest.approx(np.geomspace(a, b, n).tolist(), rel=1e-9)
    assert rates[-1] == b


def test_slice_of_one_is_its_tenth_before_the_last() -> None:
    rates = use("learning_rate", "slice", first=3e-3)
    assert rates.build(3) == pytest.approx((3e-4, 3e-4, 3e-3), rel=1e-12)
    assert rates.build(1) == (3e-3,)


def test_slice_takes_its_rates_by_position() -> None:
    assert positional(COMPONENTS["learning_rate", "slice"].params) == ["first", "second"]


def test_fine_tune_is_fastai_s_two_stages() -> None:
    head, every = use("stages", "fine_tune", epochs=4).build()
    rates = ComponentTemplate("slice", {"first": 0.002})
    fit = ComponentTemplate("one_cycle", {"epochs": 1, "lr": rates, "pct_start": 0.99})
    assert head == StageTemplate("fine_tune_head", fit, freeze=("body",), keep="norm")
    rates = ComponentTemplate("slice", {"first": 1e-5, "second": 1e-3})
    fit = ComponentTemplate("one_cycle", {"epochs": 4, "lr": rates, "pct_start": 0.3, "div": 5})
    assert every == StageTemplate("fine_tune_all", fit)


@pytest.mark.parametrize("lr", [2e-3, 1e-12, 0.1 + 0.2, 1 / 3, 1e4, 5.0])
@pytest.mark.parametrize("mult", [100.0, 1.0, 3.7, 1e9])
def test_fine_tune_s_numbers_are_exact(lr: float, mult: float) -> None:
    head, every = use("stages", "fine_tune", epochs=3, lr=lr, freeze_epochs=2, lr_mult=mult).build()
    assert head.fit.arguments["lr"].arguments == {"first": lr}
    rates = every.fit.arguments["lr"].arguments
    assert use("learning_rate", "slice", **rates).build(2) == (lr / 2 / mult, lr / 2)


@pytest.mark.process
def test_the_face_and_the_policies_import_no_torch() -> None:
    code = (
        "import sys; from dotexp.components.registry import load_registry\n"
        "found = {(c.kind, c.name): c for c in load_registry().components}\n"
        "one = found['policy', 'one_cycle']\n"
        "from dotexp import Use\n"
        "Use(component=one, params=one.params(epochs=1, lr=1e-3)).build(10, 10).factor(3)\n"
        "print(*{'torch', 'torchmetrics', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
