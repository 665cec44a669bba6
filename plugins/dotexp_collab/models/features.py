"""What is known of users or items beside their ratings: short lists of feature codes, and sums over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Features(nn.Module):
    """For every owner, from 1, the features it has; an unknown owner, 0, has each by the part of the known that do.

    `lists` are the codes of the known owners' features, from 0, in the order of the owners' codes.
    """

    codes: Tensor
    weights: Tensor
    starts: Tensor

    def __init__(self, lists: Sequence[Sequence[int]], features: int) -> None:
        super().__init__()
        counts = [0] * features
        for one in lists:
            for code in one:
                counts[code] += 1
        codes = [*range(features), *(code for one in lists for code in one)]
        weights = [count / max(1, len(lists)) for count in counts] + [1.0] * (len(codes) - features)
        starts = [0, features]
        for one in lists:
            starts.append(starts[-1] + len(one))
        # derived from the data's facts whenever the model is built, so not saved
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.int64), persistent=False)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32), persistent=False)
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64), persistent=False)

    def total(self, tables: Sequence[nn.Embedding], owners: Tensor) -> list[Tensor]:
        """Sum of the features' rows in each table, (B, width), for owners (B,)."""
        starts = self.starts[owners]
        counts = self.starts[owners + 1] - starts
        offsets = counts.cumsum(0) - counts
        places = torch.repeat_interleave(starts - offsets, counts)
        places = places + torch.arange(len(places), device=places.device)
        codes, weights = self.codes[places], self.weights[places]
        return [
            functional.embedding_bag(
                codes, table.weight, offsets, mode="sum", per_sample_weights=weights, sparse=table.sparse
            )
            for table in tables
        ]


def features_of(vocabulary: Mapping[str, Any], kind: str) -> tuple[Sequence[Sequence[int]], int] | None:
    """Feature lists of the known `users` or `items`, and how many features there are; None where the data has none."""
    found = vocabulary.get(f"{kind.removesuffix('s')}_features")
    return (found["lists"], len(found["names"])) if found else None
