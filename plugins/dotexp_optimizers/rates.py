"""Learning rates by layer group. No torch."""

from typing import Annotated

from dotexp import Component, Params, Positional
from pydantic import Field


class SliceParams(Params):
    """Rates from the first group to the last: `slice(a, b)` geometric from a to b, `slice(b)` b with b/10 before it."""

    first: Annotated[float, Positional()] = Field(
        gt=0, le=1e4, description="the first group's rate; alone, the last group's, and a tenth of it for the others"
    )
    second: Annotated[float | None, Positional()] = Field(
        None, gt=0, le=1e4, description="the last group's rate; the groups between have a constant ratio"
    )


def slice_rates(params: SliceParams, groups: int) -> tuple[float, ...]:
    """Return the rates of `groups` groups, in order; of one group, the last rate."""
    first, last = params.first, params.second
    if last is None:
        return (*(first / 10 for _ in range(groups - 1)), first)
    return (*(first * (last / first) ** (i / (groups - 1)) for i in range(groups - 1)), last)


COMPONENTS = (Component("learning_rate", "slice", SliceParams, f"{__name__}:slice_rates"),)
