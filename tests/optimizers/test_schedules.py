"""The policies' schedules, against their formulas written out, and against PyTorch's schedulers where the two meet."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from dotexp import Component, Schedule, Use
from hypothesis import given, settings
from hypothesis import strategies as st
from offered import offered

POLICIES: dict[str, Component] = {c.name: c for c in offered("optimizers") if c.kind == "policy"}
MOMENTUM = (0.95, 0.85, 0.95)

unhurried = settings(deadline=None)
steps = st.integers(1, 60)
shares = st.one_of(st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.99, 1.0]), st.floats(0, 1))
divisors = st.floats(1, 1e6)


def schedule(name: str, n: int, per_epoch: int | None = None, **arguments: Any) -> Schedule:
    """A policy's schedule of `n` steps."""
    component = POLICIES[name]
    length = {} if name == "sgdr" else {"epochs": 1}
    params = component.params(**length, lr=1e-3, **arguments)
    built: Schedule = Use(component=component, params=params).build(n, per_epoch or n)
    return built


def factors(name: str, n: int, **arguments: Any) -> list[float]:
    """The factors of all `n` steps."""
    built = schedule(name, n, **arguments)
    return [built.factor(i) for i in range(n)]


def momenta(n: int, pct: float) -> list[float]:
    """One-cycle's momentum in all `n` steps."""
    built = schedule("one_cycle", n, pct_start=pct, momentum=MOMENTUM)
    assert built.momentum is not None
    return [built.momentum(i) for i in range(n)]


def annealed(a: float, b: float, p: float) -> float:
    """Half a cosine by the half-angle identity, so as not to repeat the formula under test."""
    return a * math.cos(math.pi * p / 2) ** 2 + b * math.sin(math.pi * p / 2) ** 2


@unhurried
@given(n=steps, pct=shares, div=divisors, div_final=divisors)
def test_one_cycle_follows_its_formula(n: int, pct: float, div: float, div_final: float) -> None:
    for i, factor in enumerate(factors("one_cycle", n, pct_start=pct, div=div, div_final=div_final)):
        pos = i / n
        rising, falling = (1 / div, 1), (1, 1 / div_final)
        expected = annealed(*rising, pos / pct) if pos < pct else annealed(*falling, (pos - pct) / (1 - pct))
        assert factor == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "pct", "expected"),
    [
        (1, 0.25, [0.04]),
        (1, 0.0, [1.0]),
        (1, 1.0, [0.04]),
        (2, 0.25, [0.04, 0.75 + 0.25e-5]),
        (2, 0.5, [0.04, 1.0]),
        (2, 1.0, [0.04, 0.52]),
        (3, 0.0, [1.0, 0.75 + 0.25e-5, 0.25 + 0.75e-5]),
        (4, 0.25, [0.04, 1.0, 0.75 + 0.25e-5, 0.25 + 0.75e-5]),
    ],
)
def test_one_cycle_of_few_steps(n: int, pct: float, expected: list[float]) -> None:
    """By hand: a cosine is at 1/4, 1/2 and 3/4 of its height at 1/3, 1/2 and 2/3 of its length."""
    assert factors("one_cycle", n, pct_start=pct) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(n=steps, pct=st.floats(0.05, 0.9), div=st.floats(1.5, 100), div_final=st.floats(200, 1e6))
def test_one_cycle_is_torch_s_with_one_more_step(n: int, pct: float, div: float, div_final: float) -> None:
    """PyTorch turns at pct*total - 1 and reaches the end at total - 1; shifted by that step the curves are one."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=n + 1, pct_start=(pct * n + 1) / (n + 1), div_factor=div,
        final_div_factor=div_final / div, base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    rates = factors("one_cycle", n, pct_start=pct, div=div, div_final=div_final)
    for factor, momentum in zip(rates, momenta(n, pct), strict=True):
        group = optimizer.param_groups[0]
        assert factor == pytest.approx(group["lr"], rel=1e-8, abs=1e-12)
        assert momentum == pytest.approx(group["momentum"], rel=1e-8)
        optimizer.step()
        scheduler.step()


@unhurried
@given(n=steps, pct=shares)
def test_one_cycle_momentum_mirrors_the_rate(n: int, pct: float) -> None:
    """With the same end as start on both, momentum is .95 - .1 * how far the rate has come."""
    rates = factors("one_cycle", n, pct_start=pct, div=25.0, div_final=25.0)
    for factor, momentum in zip(rates, momenta(n, pct), strict=True):
        assert momentum == pytest.approx(0.95 - 0.1 * (factor - 0.04) / 0.96, rel=1e-9)


@unhurried
@given(n=steps, pct=shares, div_final=divisors)
def test_flat_cosine_follows_its_formula(n: int, pct: float, div_final: float) -> None:
    for i, factor in enumerate(factors("flat_cosine", n, pct_start=pct, div_final=div_final)):
        late = max(0.0, i / n - pct) / (1 - pct) if pct < 1 else 0.0
        assert factor == pytest.approx(annealed(1, 1 / div_final, late), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_cosine_is_torch_s(n: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    assert_torchs(factors("cosine", n), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=n))


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_linear_is_torch_s(n: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1, end_factor=0, total_iters=n)
    assert_torchs(factors("linear", n), scheduler)


def test_flat_stays() -> None:
    assert set(factors("flat", 7)) == {1.0}


@pytest.mark.parametrize(("cycles", "length", "mult"), [(1, 5, 2), (3, 4, 2), (4, 1, 3), (5, 3, 1)])
@pytest.mark.parametrize("per_epoch", [1, 3])
def test_sgdr_is_torch_s_warm_restarts(cycles: int, length: int, mult: int, per_epoch: int) -> None:
    n = per_epoch * length * sum(mult**k for k in range(cycles))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    first = length * per_epoch
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=first, T_mult=mult)
    arguments = {"cycles": cycles, "cycle_len": length, "cycle_mult": mult}
    assert_torchs(factors("sgdr", n, per_epoch=per_epoch, **arguments), scheduler)


def test_sgdr_restarts_where_fastai_does() -> None:
    """Three cycles of one epoch, doubled: 1 + 2 + 4 epochs of 10 steps, at the full rate where each begins."""
    found = factors("sgdr", 70, per_epoch=10, cycles=3, cycle_len=1, cycle_mult=2)
    assert [i for i, factor in enumerate(found) if factor == 1.0] == [0, 10, 30]


def assert_torchs(found: list[float], scheduler: torch.optim.lr_scheduler.LRScheduler) -> None:
    """Hold factors against a scheduler of torch's whose peak rate is 1."""
    for factor in found:
        assert factor == pytest.approx(scheduler.optimizer.param_groups[0]["lr"], rel=1e-9)
        scheduler.optimizer.step()
        scheduler.step()
