"""Learning-rate sweeps and what they suggest, in plain arithmetic: fastai v2's `lr_find`.

The loss over a sweep is the debiased moving average that training records (0.98). A suggestion looks at the sweep
without its first tenth, where the average has not settled, and without its last five steps, where the loss explodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

STEPS = 100
FIRST = 1e-7
LAST = 10.0
EXPLODED = 4.0
"""A sweep stops once the loss is so many times its lowest."""

_FEWEST = 3
_DROPPED_LAST = 5


class Rule(StrEnum):
    """How a learning rate is read off a sweep: in its longest valley, where the loss falls fastest, a tenth of the
    rate of the lowest loss."""

    valley = "valley"
    steep = "steep"
    minimum = "minimum"


@dataclass(frozen=True)
class Sweep:
    """Learning rates of one group, step by step, and the smoothed loss that each step's batch had before the step.

    `planned` is how many steps there would have been; `stopped` says why there are fewer, or "".
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    planned: int = STEPS
    stopped: str = ""

    @property
    def looked_at(self) -> slice:
        """The steps that suggestions look at."""
        return slice(self.planned // 10, max(0, len(self.losses) - _DROPPED_LAST))


@dataclass(frozen=True)
class LrFind:
    """A stage's sweep and what it suggests: the rate of `group`, the last one that trains, by rule (None: no reading).

    `peaks` are the groups' rates that the spec has, by name (None: nothing in it trains), whose ratios hold throughout;
    `values` writes each suggestion as the stage's `lr` would be; `start` says where the stage's weights came from.
    """

    experiment: str
    stage: str
    group: str
    peaks: Mapping[str, float | None]
    start: str
    sweep: Sweep
    suggestions: Mapping[Rule, float | None]
    values: Mapping[Rule, str | None] = field(default_factory=dict)

    @property
    def peak(self) -> float:
        """The rate of `group` that the spec has."""
        peak = self.peaks[self.group]
        assert peak is not None  # the group trains
        return peak


def sweep_rates(steps: int = STEPS, first: float = FIRST, last: float = LAST) -> tuple[float, ...]:
    """Rates in equal ratios: first·(last/first)^(i/steps) for step i, so that `last` is approached and not reached."""
    return tuple(first * (last / first) ** (i / steps) for i in range(steps))


def exploded(losses: Sequence[float]) -> bool:
    """Whether the newest of the smoothed losses is more than four times the lowest, or no number."""
    return not math.isfinite(losses[-1]) or losses[-1] > EXPLODED * min(losses)


def suggest(sweep: Sweep) -> dict[Rule, float | None]:
    """Every rule's rate, rounded to two digits; None where the curve does not bear one out."""
    rates, losses = sweep.rates[sweep.looked_at], sweep.losses[sweep.looked_at]
    found: dict[Rule, float | None] = {}
    for rule, read in _RULES.items():
        rate = read(rates, losses) if len(losses) >= _FEWEST else None
        found[rule] = None if rate is None else rounded(rate)
    return found


def rounded(rate: float) -> float:
    """A rate to two digits: the steps of a sweep are a fifth apart."""
    return float(f"{rate:.1e}")


def valley(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Rate half way along the longest falling subsequence of the losses: a third and a sixth of its length in.

    The subsequence need not be without gaps, and its start is taken to be its length before its end, as fastai does.
    None where fewer than three losses fall.
    """
    longest = [1] * len(losses)
    end = 0
    for i in range(len(losses)):
        for j in range(i):
            if losses[i] < losses[j]:
                longest[i] = max(longest[i], longest[j] + 1)
        if longest[end] < longest[i]:
            end = i
    if longest[end] < _FEWEST:
        return None
    third = longest[end] / 3
    return rates[end - longest[end] + int(third) + int(third / 2)]


def steep(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Rate at which the loss falls fastest with the logarithm of the rate; None where it never falls."""
    slopes = [
        (losses[i + 1] - losses[i]) / (math.log(rates[i + 1]) - math.log(rates[i])) for i in range(len(losses) - 1)
    ]
    lowest = min(slopes)
    return rates[slopes.index(lowest)] if lowest < 0 else None


def minimum(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """A tenth of the rate at which the loss is lowest; None where it is lowest at the start."""
    lowest = list(losses).index(min(losses))
    return rates[lowest] / 10 if lowest else None


_RULES: Mapping[Rule, Callable[[Sequence[float], Sequence[float]], float | None]] = {
    Rule.valley: valley,
    Rule.steep: steep,
    Rule.minimum: minimum,
}
