"""Learning rates and momentum as functions of the step, in plain arithmetic.

Every curve is a factor on the peak learning rate at step `i`, from 0, of `n`: position i/n, set before the step, so
the end of a curve is approached and never reached. The curves are fastai v2's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import cos, pi


def cosine_between(start: float, end: float, position: float) -> float:
    """Go from `start` at position 0 to `end` at position 1 along half a cosine."""
    return start + (end - start) * (1 - cos(pi * position)) / 2


def two_cosines(position: float, turn: float, start: float, middle: float, end: float) -> float:
    """Go from `start` to `middle`, reached at `turn`, and on to `end` at 1; `turn` may be 0 or 1."""
    if position < turn:
        return cosine_between(start, middle, position / turn)
    if position >= 1:
        return end
    return cosine_between(middle, end, (position - turn) / (1 - turn))


def one_cycle(i: int, n: int, pct_start: float = 0.25, div: float = 25.0, div_final: float = 1e5) -> float:
    """One-cycle's factor: from 1/div up to 1 at `pct_start` of the steps, then down towards 1/div_final."""
    return two_cosines(i / n, pct_start, 1 / div, 1.0, 1 / div_final)


def one_cycle_momentum(i: int, n: int, pct_start: float, momentum: tuple[float, float, float]) -> float:
    """One-cycle's momentum: `momentum` is its value at the start, at the peak rate, and at the end."""
    return two_cosines(i / n, pct_start, *momentum)


def flat_cosine(i: int, n: int, pct_start: float = 0.75, div_final: float = 1e5) -> float:
    """Stay at 1 until `pct_start` of the steps, then go down a cosine towards 1/div_final."""
    return two_cosines(i / n, pct_start, 1.0, 1.0, 1 / div_final)


def cosine(i: int, n: int) -> float:
    """Go down a cosine from 1 towards 0: (1 + cos(pi * i/n)) / 2."""
    return (1 + cos(pi * i / n)) / 2


def linear(i: int, n: int) -> float:
    """Go down a straight line from 1 towards 0: 1 - i/n."""
    return 1 - i / n


def flat(i: int, n: int) -> float:
    """Stay at 1."""
    return 1.0


def sgdr(i: int, cycle_ends: Sequence[int]) -> float:
    """Go down a cosine from 1 towards 0 in every cycle, with a warm restart at each of `cycle_ends` (in steps)."""
    cycle = bisect_right(cycle_ends, i, hi=len(cycle_ends) - 1)
    start = cycle_ends[cycle - 1] if cycle else 0
    return cosine(i - start, cycle_ends[cycle] - start)


def sgdr_cycles(cycles: int, cycle_len: int, cycle_mult: int) -> tuple[int, ...]:
    """Where each cycle ends: the first is `cycle_len` long, each further one `cycle_mult` times the one before."""
    return tuple(accumulate(cycle_len * cycle_mult**k for k in range(cycles)))


def geometric(first: float, last: float, n: int) -> tuple[float, ...]:
    """`n` rates from `first` to `last` with a constant ratio; a single one is `last`."""
    return (*(first * (last / first) ** (i / (n - 1)) for i in range(n - 1)), last)


def last_and_tenths(last: float, n: int) -> tuple[float, ...]:
    """`n` rates: `last` for the last one, a tenth of it for the others."""
    return (*(last / 10 for _ in range(n - 1)), last)
