"""Parameters of the ranking metrics."""

from collections.abc import Iterator
from typing import Annotated

from dotexp import Component, DataFacts, MetricFacts, Params, Positional, Problem, range_ends
from pydantic import Field


class RankingParams(Params):
    """Base of the ranking metrics.

    For each user, all known items that the user has not rated in training are ranked by predicted rating. Relevant are
    the items that the user has rated in the evaluated set at `threshold` or more. An item that is rated in both sets is
    never ranked, and counts as missed. The metric is the mean over the users who have a relevant item.
    """

    k: Annotated[int, Positional()] = Field(10, ge=1, le=100_000, description="length of the ranking that is evaluated")
    threshold: float | None = Field(
        None,
        ge=-1e6,
        le=1e6,
        description="lowest rating of a relevant item; none: three quarters up the training ratings' range",
    )
    users: int | None = Field(
        1000, ge=1, le=10**9, description="largest number of users evaluated, evenly spaced among them; none: all"
    )


class PrecisionAtParams(RankingParams):
    """Precision at k: the fraction of the k best-ranked items, of those not rated in training, that is relevant."""


class RecallAtParams(RankingParams):
    """Recall at k: the fraction of the relevant items among the k best-ranked of those not rated in training."""


class NdcgAtParams(RankingParams):
    """NDCG at k: discounted gain of the k best-ranked items not rated in training, divided by the best possible.

    A relevant item at rank r, from 1, gains 1 / log2(r + 1).
    """


def check_ranking(params: RankingParams, facts: DataFacts) -> Iterator[Problem]:
    """Refuse a threshold that no rating or every rating reaches, and k at or above the number of items."""
    if facts.range is not None and params.threshold is not None:
        low, high = facts.range
        if not low < params.threshold <= high:
            lowest, highest = range_ends(low, high)
            said = "none of the items is relevant" if params.threshold > high else "all rated items are relevant"
            yield Problem(
                f"the training ratings range from {lowest} to {highest}: with threshold {params.threshold:g} {said}",
                field="threshold",
                help=f"take one above {lowest} and up to {highest}, or leave it out",
                code="E404",
            )
    items = facts.entities.get("items")
    if items is not None and params.k >= items:
        yield Problem(
            f"the {params.k} best of {items} items are all of them",
            field="k",
            help=f"take k below {items}",
            code="E304",
        )


def relevance_threshold(params: RankingParams, facts: DataFacts) -> float:
    """Return the given threshold, or three quarters up the range: 4 for ratings from 1 to 5."""
    if params.threshold is not None:
        return params.threshold
    low, high = facts.range or (0.0, 0.0)
    return low + 0.75 * (high - low)


_HOME = "dotexp_losses.ranking.metrics"
_FACTS = MetricFacts(tasks=("ratings",), better="higher")

COMPONENTS = (
    Component("metric", "precision_at", PrecisionAtParams, f"{_HOME}:precision_at", _FACTS, check_ranking),
    Component("metric", "recall_at", RecallAtParams, f"{_HOME}:recall_at", _FACTS, check_ranking),
    Component("metric", "ndcg_at", NdcgAtParams, f"{_HOME}:ndcg_at", _FACTS, check_ranking),
)
