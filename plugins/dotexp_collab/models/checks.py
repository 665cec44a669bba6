"""What a model's parameters and the opened ratings say together. No torch here: `plan` asks before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from dotexp import DataFacts, Problem, range_ends

from dotexp_collab.models.params import LARGEST, FeatureDotBiasParams, RangeParams


def relaxed(low: float, high: float, relax: float) -> tuple[float, float]:
    """Widen a range by `relax` of its span at each end: 0..5 and 0.1 give (-0.5, 5.5)."""
    margin = relax * (high - low)
    return low - margin, high + margin


def y_range_holds(params: RangeParams, facts: DataFacts) -> Iterator[Problem]:
    """Report a y_range that cannot reach the training ratings; a range that ends where they end is allowed."""
    if facts.range is None or not params.bounded:
        return
    low, high = facts.range
    if params.y_range is None:
        if low == high:
            yield Problem(
                f"every training rating is {low:.10g}, so no y_range follows from them",
                field="y_range",
                help=_advice(low - 1, high + 1, "give one, such as", ""),
                code="E404",
            )
    elif low < params.y_range.low or high > params.y_range.high:
        given = "..".join(range_ends(params.y_range.low, params.y_range.high))
        leaves = "leaves room, and is what the model takes without y_range"
        yield Problem(
            f"{_extent(low, high)}, beyond {given}",
            field="y_range",
            help=_advice(*relaxed(low, high, params.relax), "a sigmoid never reaches its ends:", leaves),
            code="E404",
        )


def _extent(low: float, high: float) -> str:
    if low == high:
        return f"every training rating is {low:.10g}"
    return f"the training ratings run from {' to '.join(range_ends(low, high))}"


def _advice(low: float, high: float, before: str, behind: str) -> str:
    if max(abs(low), abs(high)) > LARGEST:
        return "numbers this large are no usual ratings: is the rating column the right one? bounded = false takes any"
    return f"{before} y_range = {'..'.join(range_ends(low, high))} {behind}".rstrip()


def features_there(params: FeatureDotBiasParams, facts: DataFacts) -> Iterator[Problem]:
    """Report data of which no feature is known, and what `y_range_holds` does."""
    yield from y_range_holds(params, facts)
    if not (facts.vocabulary.get("user_features") or facts.vocabulary.get("item_features")):
        yield Problem(
            "the data has no features of users or items",
            help="give the data user_features or item_features, or take embedding_dot_bias or svd_plus_plus",
            code="E305",
        )
