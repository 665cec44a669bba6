"""What a sweep suggests: against fastai's formulas done another way, and on curves made by hand."""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
import pytest
from dotexp.engine.lr_suggestions import Rule, Sweep, exploded, minimum, rounded, steep, suggest, sweep_rates, valley
from hypothesis import given, settings
from hypothesis import strategies as st

unhurried = settings(deadline=None, max_examples=200)
losses_of = st.lists(
    st.floats(0.01, 100).map(lambda loss: round(loss, 2)), min_size=3, max_size=60
)  # two decimals: equal losses occur


def rates_of(count: int) -> tuple[float, ...]:
    return tuple(np.geomspace(1e-6, 1.0, count).tolist())


def longest_fall(losses: list[float]) -> tuple[int, int]:
    """Length of the longest strictly falling subsequence and where the first of that length ends: patience sorting."""
    tails: list[float] = []
    ends = []
    for loss in losses:
        pile = bisect_left(tails, -loss)
        tails[pile : pile + 1] = [-loss]
        ends.append(pile + 1)
    return max(ends), ends.index(max(ends))


@unhurried
@given(losses_of)
def test_valley_is_half_way_along_the_longest_fall(losses: list[float]) -> None:
    length, end = longest_fall(losses)
    rates = rates_of(len(losses))
    expected = rates[end - length + length // 3 + length // 6] if length >= 3 else None
    assert valley(rates, losses) == expected


@unhurried
@given(losses_of)
def test_steep_is_where_the_slope_over_the_logarithm_is_lowest(losses: list[float]) -> None:
    rates = rates_of(len(losses))
    slopes = np.diff(losses) / np.diff(np.log(rates))
    found = steep(rates, losses)
    if slopes.min() >= 0:
        assert found is None
    else:
        assert found is not None
        assert slopes[rates.index(found)] == pytest.approx(slopes.min(), rel=1e-12)


@unhurried
@given(losses_of)
def test_minimum_is_a_tenth_of_the_lowest_losses_rate(losses: list[float]) -> None:
    rates = rates_of(len(losses))
    lowest = int(np.argmin(losses))
    assert minimum(rates, losses) == (rates[lowest] / 10 if lowest else None)


@unhurried
@given(losses_of)
def test_valley_and_minimum_do_not_depend_on_the_losses_scale(losses: list[float]) -> None:
    rates = rates_of(len(losses))
    other = [math.log(loss) * 3 - 7 for loss in losses]
    assert valley(rates, other) == valley(rates, losses)
    assert minimum(rates, other) == minimum(rates, losses)


def test_curves_made_by_hand() -> None:
    rates = [float(i) for i in range(30)]
    falling = [30.0 - i for i in range(30)]
    assert valley(rates, falling) == 14.0  # 29 - 30 + 10 + 5
    hill = [*range(10, 20), *range(19, 1, -1), 5, 9]
    # from 19, at 9 and at 10, down to 2, at 27: 18 losses; 27 - 18 + 6 + 3
    assert valley(rates, [float(loss) for loss in hill]) == 18.0
    assert minimum(rates, [float(loss) for loss in hill]) == 2.7
    cliff = [5.0] * 12 + [1.0] + [0.9] * 17
    powers = [10.0**i for i in range(30)]
    assert steep(powers, cliff) == 1e11, "the rate before the step down"
    assert valley(powers, cliff) == 10.0 ** (13 - 3 + 1 + 0), "5, 1, 0.9"


def test_rates_are_those_of_fastai() -> None:
    rates = sweep_rates()
    assert len(rates) == 100
    assert rates == pytest.approx(np.geomspace(1e-7, 10, 101)[:-1], rel=1e-12)
    assert sweep_rates(4, 1.0, 16.0) == pytest.approx((1, 2, 4, 8))


def test_a_sweep_stops_at_four_times_the_lowest_and_at_no_number() -> None:
    assert not exploded([1.0])
    assert not exploded([1.0, 0.5, 2.0])
    assert exploded([1.0, 0.5, 2.01])
    assert exploded([1.0, math.nan]) and exploded([1.0, math.inf])


def test_the_first_tenth_and_the_last_five_are_not_looked_at() -> None:
    """A deep pit in either would else be the minimum; what is left falls and rises, lowest at step 60."""
    losses = [0.0] * 10 + [3 + abs(i - 60) / 10 for i in range(10, 95)] + [0.0] * 5
    sweep = Sweep(sweep_rates(), tuple(losses))
    assert sweep.looked_at == slice(10, 95)
    found = suggest(sweep)
    assert found[Rule.minimum] == rounded(sweep_rates()[60] / 10) == 6.3e-4
    # 51 losses fall, the last at 60: the seventeenth and the eighth more
    assert found[Rule.valley] == rounded(sweep_rates()[60 - 51 + 17 + 8])


def test_a_sweep_that_ended_early_loses_its_last_five_as_well() -> None:
    sweep = Sweep(sweep_rates()[:40], tuple(40.0 - i for i in range(40)), 100, "the loss was no longer a number")
    assert sweep.looked_at == slice(10, 35)
    assert suggest(sweep)[Rule.minimum] == rounded(sweep_rates()[34] / 10)


@pytest.mark.parametrize("count", [1, 5, 10, 15, 17])
def test_too_short_a_sweep_suggests_nothing(count: int) -> None:
    sweep = Sweep(sweep_rates()[:count], tuple(9.0 - i / 10 for i in range(count)))
    assert set(suggest(sweep).values()) == {None}


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    sweep = Sweep(sweep_rates(), tuple(1.0 + i / 100 for i in range(100)))
    assert set(suggest(sweep).values()) == {None}
    flat = Sweep(sweep_rates(), (1.0,) * 100)
    assert set(suggest(flat).values()) == {None}


def test_rates_are_rounded_to_two_digits() -> None:
    assert [rounded(rate) for rate in (1.2346e-3, 9.96e-4, 8.0)] == [1.2e-3, 1e-3, 8.0]
