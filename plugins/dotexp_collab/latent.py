"""Made-up ratings whose biases and factors are known."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import polars as pl
from dotexp import DataContext
from dotexp.seeds import derive
from numpy.typing import NDArray

from dotexp_collab.params import LatentRatingsParams
from dotexp_collab.ratings import RatingsData, assemble
from dotexp_collab.splitting import split_rows

Floats = NDArray[np.float64]

_BIAS_SPREAD = 0.5
_NOT_DATA = {"batch_size", "valid", "test", "split_seed", "data_seed"}


@dataclass(frozen=True)
class Truth:
    """What made-up ratings are made of: factors (users, f) and (items, f), biases (users,) and (items,).

    Row k belongs to the id k + 1.
    """

    user_factors: Floats
    item_factors: Floats
    user_bias: Floats
    item_bias: Floats

    def ratings(self, low: float, high: float) -> Floats:
        """Every pair's rating without noise, (users, items): low + (high - low) · sigmoid(u·v + b_user + b_item)."""
        score = self.user_factors @ self.item_factors.T + self.user_bias[:, None] + self.item_bias
        return low + (high - low) * (1 + np.tanh(score / 2)) / 2


def truth(params: LatentRatingsParams, seed: int) -> Truth:
    """Draw the true biases (standard deviation 1/2) and factors (of whose products the sum has 1)."""
    random = np.random.default_rng(derive(seed, "latent", "truth"))
    spread = max(params.factors, 1) ** -0.25  # the sum of f products of two such numbers then varies by 1
    return Truth(
        random.normal(0, spread, (params.users, params.factors)),
        random.normal(0, spread, (params.items, params.factors)),
        random.normal(0, _BIAS_SPREAD, params.users),
        random.normal(0, _BIAS_SPREAD, params.items),
    )


def build(params: LatentRatingsParams, context: DataContext) -> RatingsData:
    """Make the ratings and split them as a file's. Raises ComponentError (E402) where a part would be empty."""
    data_seed = context.seed if params.data_seed is None else params.data_seed
    split_seed = context.seed if params.split_seed is None else params.split_seed
    frame = _observed(params, data_seed)
    split = split_rows(len(frame), params.valid, params.test, split_seed)
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    recipe = f"{params.model_dump_json(exclude=_NOT_DATA)} {data_seed}"
    return assemble(
        {name: frame[rows] for name, rows in parts.items() if rows is not None},
        fingerprint=sha256(recipe.encode()).hexdigest(),
    )


def _observed(params: LatentRatingsParams, seed: int) -> pl.DataFrame:
    low, high = params.range.low, params.range.high
    random = np.random.default_rng(derive(seed, "latent", "observed"))
    pairs = params.users * params.items
    chosen = np.sort(random.choice(pairs, max(1, int(params.density * pairs)), replace=False))
    clean = truth(params, seed).ratings(low, high).ravel()[chosen]
    noisy = np.clip(clean + random.normal(0, params.noise, len(chosen)), low, high)
    return pl.DataFrame(
        {"user": chosen // params.items + 1, "item": chosen % params.items + 1, "rating": noisy.astype(np.float32)}
    ).with_columns(pl.col("user", "item").cast(pl.String))
