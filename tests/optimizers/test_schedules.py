"""The curves, against their formulas written out, and against PyTorch's schedulers where the two must meet."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from dotexp_optimizers import schedules
from hypothesis import given, settings
from hypothesis import strategies as st

unhurried = settings(deadline=None)
steps = st.integers(1, 60)
shares = st.one_of(st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.99, 1.0]), st.floats(0, 1))
divisors = st.floats(1, 1e6)


def annealed(a: float, b: float, p: float) -> float:
    """Half a cosine by the half-angle identity, so as not to repeat the formula under test."""
    return a * math.cos(math.pi * p / 2) ** 2 + b * math.sin(math.pi * p / 2) ** 2


@unhurried
@given(n=steps, pct=shares, div=divisors, div_final=divisors)
def test_one_cycle_follows_its_formula(n: int, pct: float, div: float, div_final: float) -> None:
    for i in range(n):
        pos = i / n
        rising, falling = (1 / div, 1), (1, 1 / div_final)
        expected = annealed(*rising, pos / pct) if pos < pct else annealed(*falling, (pos - pct) / (1 - pct))
        assert schedules.one_cycle(i, n, pct, div, div_final) == pytest.approx(expected, rel=1e-9, abs=1e-12)


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
    assert [schedules.one_cycle(i, n, pct) for i in range(n)] == pytest.approx(expected, rel=1e-12)


@unhurried
@given(n=steps, pct=st.floats(0.05, 0.9), div=st.floats(1.5, 100), div_final=st.floats(200, 1e6))
def test_one_cycle_is_torch_s_with_one_more_step(n: int, pct: float, div: float, div_final: float) -> None:
    """PyTorch turns at pct*total - 1 and reaches the end at total - 1; shifted by that step the curves are one."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=n + 1, pct_start=(pct * n + 1) / (n + 1), div_factor=div,
        final_div_factor=div_final / div, base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    for i in range(n):
        group = optimizer.param_groups[0]
        momentum = schedules.one_cycle_momentum(i, n, pct, (0.95, 0.85, 0.95))
        assert schedules.one_cycle(i, n, pct, div, div_final) == pytest.approx(group["lr"], rel=1e-8, abs=1e-12)
        assert momentum == pytest.approx(group["momentum"], rel=1e-8)
        optimizer.step()
        scheduler.step()


@unhurried
@given(n=steps, pct=shares)
def test_one_cycle_momentum_mirrors_the_rate(n: int, pct: float) -> None:
    """With the same end as start on both, momentum is .95 - .1 * how far the rate has come."""
    for i in range(n):
        risen = (schedules.one_cycle(i, n, pct, 25, 25) - 0.04) / 0.96
        momentum = schedules.one_cycle_momentum(i, n, pct, (0.95, 0.85, 0.95))
        assert momentum == pytest.approx(0.95 - 0.1 * risen, rel=1e-9)


@unhurried
@given(n=steps, pct=shares, div_final=divisors)
def test_flat_cosine_follows_its_formula(n: int, pct: float, div_final: float) -> None:
    for i in range(n):
        late = max(0.0, i / n - pct) / (1 - pct) if pct < 1 else 0.0
        expected = annealed(1, 1 / div_final, late)
        assert schedules.flat_cosine(i, n, pct, div_final) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_cosine_is_torch_s(n: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=n)
    for i in range(n):
        assert schedules.cosine(i, n) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_linear_is_torch_s(n: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1, end_factor=0, total_iters=n)
    for i in range(n):
        assert schedules.linear(i, n) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_flat_stays() -> None:
    assert {schedules.flat(i, 7) for i in range(7)} == {1.0}


@pytest.mark.parametrize(("cycles", "length", "mult"), [(1, 5, 2), (3, 4, 2), (4, 1, 3), (5, 3, 1)])
def test_sgdr_is_torch_s_warm_restarts(cycles: int, length: int, mult: int) -> None:
    ends = schedules.sgdr_cycles(cycles, length, mult)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=length, T_mult=mult)
    for i in range(ends[-1]):
        assert schedules.sgdr(i, ends) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_sgdr_restarts_where_fastai_does() -> None:
    """Three cycles of one epoch, doubled: 1 + 2 + 4 epochs, at the full rate where each begins."""
    ends = schedules.sgdr_cycles(3, 10, 2)
    assert ends == (10, 30, 70)
    assert [i for i in range(70) if schedules.sgdr(i, ends) == 1.0] == [0, 10, 30]


@unhurried
@given(a=st.floats(1e-9, 10), b=st.floats(1e-9, 10), n=st.integers(2, 12))
def test_geometric_rates_are_numpy_s(a: float, b: float, n: int) -> None:
    rates = schedules.geometric(a, b, n)
    assert rates == pytest.approx(np.geomspace(a, b, n).tolist(), rel=1e-9)
    assert rates[-1] == b


def test_geometric_rates_by_hand() -> None:
    assert schedules.geometric(1e-6, 1e-4, 3) == pytest.approx((1e-6, 1e-5, 1e-4), rel=1e-12)
    assert schedules.geometric(1e-6, 1e-4, 1) == (1e-4,)


def test_last_and_tenths_by_hand() -> None:
    assert schedules.last_and_tenths(3e-3, 3) == pytest.approx((3e-4, 3e-4, 3e-3), rel=1e-15)
    assert schedules.last_and_tenths(3e-3, 1) == (3e-3,)


@pytest.mark.process
def test_schedules_import_neither_torch_nor_numpy() -> None:
    code = "import sys, dotexp_optimizers.schedules; print(*{'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
