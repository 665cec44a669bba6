"""What a model's parameters and the opened ratings say together. No torch here: `plan` asks before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from dotexp import DataFacts, Problem

from dotexp_collab.models.params import FeatureDotBiasParams, RangeParams


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
                f"every training rating is {low:g}, so no y_range follows from them",
                field="y_range",
                help=f"give one, such as y_range = {_written(low - 1, high + 1)}",
                code="E404",
            )
    elif low < params.y_range.low or high > params.y_range.high:
        yield Problem(
            f"the training ratings run from {low:g} to {high:g}, "
            f"beyond {_written(params.y_range.low, params.y_range.high)}",
            field="y_range",
            help=f"a sigmoid never reaches its ends: y_range = {_written(*relaxed(low, high, params.relax))} "
            "leaves room, and is what the model takes by itself when y_range is left out",
            code="E404",
        )


def features_there(params: FeatureDotBiasParams, facts: DataFacts) -> Iterator[Problem]:
    """Report data of which no feature is known, and what `y_range_holds` does."""
    yield from y_range_holds(params, facts)
    if not (facts.vocabulary.get("user_features") or facts.vocabulary.get("item_features")):
        yield Problem(
            "the data has no features of users or items",
            help="give the data user_features or item_features, or take embedding_dot_bias or svd_plus_plus",
            code="E305",
        )


def _written(low: float, high: float) -> str:
    return f"{low:.6g}..{high:.6g}"
