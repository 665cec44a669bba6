"""Learning rates that differ by layer group. No torch."""

from __future__ import annotations

from typing import Annotated

from dotexp import Component, Params, Positional
from pydantic import Field

from dotexp_optimizers import schedules


class SliceParams(Params):
    """Rates from the first group to the last: `slice(a, b)` in equal ratios, `slice(b)` b with b/10 before it."""

    first: Annotated[float, Positional()] = Field(
        gt=0, le=1e4, description="the first group's rate; alone, the last group's, the others having a tenth of it"
    )
    second: Annotated[float | None, Positional()] = Field(
        None, gt=0, le=1e4, description="the last group's rate; the groups between follow in equal ratios"
    )


def slice_rates(params: SliceParams, groups: int) -> tuple[float, ...]:
    """Rates of `groups` groups, in their order."""
    if params.second is None:
        return schedules.last_and_tenths(params.first, groups)
    return schedules.geometric(params.first, params.second, groups)


COMPONENTS = (Component("learning_rate", "slice", SliceParams, f"{__name__}:slice_rates"),)
