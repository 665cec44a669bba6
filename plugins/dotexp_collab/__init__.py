"""Collaborative filtering: tables of ratings, and models that learn who likes what."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, Facts, LayerGroup, Task, hookimpl

from dotexp_collab.checks import y_range_holds
from dotexp_collab.params import ColumnSplitParams, EmbeddingDotBiasParams, LatentRatingsParams, RatingsParams

_DATA = Facts(task=Task.ratings, inputs="user_item")
_MODEL = Facts(inputs="user_item", tasks=(Task.ratings,), layers=("model",), groups=(LayerGroup("model", ("model",)),))
_ENCODE = "dotexp_collab.encode:encode"


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer the ratings data, their split by a column, and the dot-product model."""
    return [
        Component("data", "ratings", RatingsParams, "dotexp_collab.ratings:build", facts=_DATA, encode=_ENCODE),
        Component("data", "latent_ratings", LatentRatingsParams, "dotexp_collab.latent:build", _DATA, encode=_ENCODE),
        Component("split", "column", ColumnSplitParams, "dotexp_collab.splitting:flagged"),
        Component(
            "model",
            "embedding_dot_bias",
            EmbeddingDotBiasParams,
            "dotexp_collab.embedding_dot_bias:build",
            facts=_MODEL,
            check=y_range_holds,
        ),
    ]
