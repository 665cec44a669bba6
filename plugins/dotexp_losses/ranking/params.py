"""What the ranking metrics take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from dotexp import DataFacts, Params, Positional, Problem
from pydantic import Field


class RankingParams(Params):
    """How a ranking is judged.

    For each user, every item that training knows and the user has not rated in training is ranked by its predicted
    rating; what the user has rated in the part at `threshold` or more is relevant. An item that is rated in both is
    never ranked, and counts as missed. The metric is the mean over the users who have something relevant.
    """

    k: Annotated[int, Positional()] = Field(10, ge=1, le=100_000, description="how many items of a ranking count")
    threshold: float | None = Field(
        None,
        ge=-1e6,
        le=1e6,
        description="lowest rating that makes an item relevant; none: three quarters up the training ratings' range",
    )
    users: int | None = Field(
        1000, ge=1, le=10**9, description="most users that are judged, evenly spaced among them; none: all"
    )


class PrecisionAtParams(RankingParams):
    """Share of the k best-ranked items that are relevant; ranked are all known items not rated in training."""


class RecallAtParams(RankingParams):
    """Share of the relevant items among the k best-ranked; ranked are all known items not rated in training."""


class NdcgAtParams(RankingParams):
    """Gain of the k best-ranked items as a part of the best possible, ranks discounted by 1/log2(rank + 1).

    The gain of a relevant item is 1; ranked are all known items that the user did not rate in training.
    """


def check_ranking(params: RankingParams, facts: DataFacts) -> Iterator[Problem]:
    """Refuse a threshold that no rating, or every rating, reaches, and as many ranks as there are items."""
    if facts.range is not None and params.threshold is not None:
        low, high = facts.range
        if not low < params.threshold <= high:
            said = "none of them is relevant" if params.threshold > high else "all of them are relevant"
            yield Problem(
                f"the training ratings run from {low:g} to {high:g}: with threshold {params.threshold:g} {said}",
                field="threshold",
                help=f"take one above {low:g} and up to {high:g}, or leave it out",
                code="E404",
            )
    if facts.items is not None and params.k >= facts.items:
        yield Problem(
            f"the {params.k} best of {facts.items} items are all of them",
            field="k",
            help=f"take k below {facts.items}",
            code="E304",
        )


def threshold_of(params: RankingParams, facts: DataFacts) -> float:
    """Lowest rating that makes an item relevant: the one given, or 4 where ratings run from 1 to 5."""
    if params.threshold is not None:
        return params.threshold
    low, high = facts.range or (0.0, 0.0)
    return low + 0.75 * (high - low)
