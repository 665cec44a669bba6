"""Made-up ratings whose biases and factors are known."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from dotexp import DataContext, Range
from dotexp.sdk.seeds import derive
from numpy.typing import NDArray

from dotexp_collab.data.columns import Rows, chunks
from dotexp_collab.data.dataset import RatingsData, Source, assemble
from dotexp_collab.data.params import LatentRatingsParams
from dotexp_collab.data.splits import split_rows

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

_BIAS_SPREAD = 0.5
_PAIRS = 1 << 22
"""Pairs of which the rated ones are drawn at once."""
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
    rows = _observed(params, data_seed)
    labels = split_rows(rows, params.valid, params.test, split_seed)
    recipe = f"{params.model_dump_json(exclude=_NOT_DATA)} {data_seed}"
    users, items = ([str(number) for number in range(1, count + 1)] for count in (params.users, params.items))
    return assemble(Source(rows, labels, users, items, sha256(recipe.encode()).hexdigest()))


def _observed(params: LatentRatingsParams, seed: int) -> Rows:
    """Draw the pairs and their ratings, a block of users at a time, in the order of users and items."""
    real = truth(params, seed)
    random = np.random.default_rng(derive(seed, "latent", "observed"))
    total = max(1, int(params.density * params.users * params.items))
    rows = Rows(np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.float32))
    each = max(1, _PAIRS // params.items)
    filled = 0
    for first in range(0, params.users, each):
        last = min(params.users, first + each)
        end = total if last == params.users else int(params.density * last * params.items)
        chosen = np.sort(random.choice((last - first) * params.items, end - filled, replace=False))
        users, items = first + chosen // params.items, chosen % params.items
        noise = random.normal(0, params.noise, len(chosen))
        rows.users[filled:end], rows.items[filled:end] = users, items
        rows.ratings[filled:end] = _rated(real, users, items, noise, params.range)
        filled = end
    return rows


def _rated(real: Truth, users: Numbers, items: Numbers, noise: Floats, span: Range) -> Floats:
    """Ratings of pairs, with noise, clipped to the range."""
    ratings = np.empty(len(users))
    for part in chunks(len(users), _PAIRS // 64):
        u, i = users[part], items[part]
        dot = np.einsum("nf,nf->n", real.user_factors[u], real.item_factors[i])
        score = dot + real.user_bias[u] + real.item_bias[i]
        ratings[part] = span.low + (span.high - span.low) * (1 + np.tanh(score / 2)) / 2
    clipped: Floats = np.clip(ratings + noise, span.low, span.high)
    return clipped
