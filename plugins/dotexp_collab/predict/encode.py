"""Inputs of `predict`: pairs of a user and an item, as the codes that the model was trained with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from dotexp import Params
from dotexp.sdk.data import Encoded
from torch import Tensor

from dotexp_collab.predict.pairs import Pair, Pairs

_BATCH = 4096


def encode(params: Params, vocabulary: Mapping[str, Any], inputs: Sequence[str]) -> Encoded:
    """Encode `USER:ITEM` pairs, and files of pairs, batch by batch as they are asked for.

    Each row tells the `user`, the `item`, and which of the two are `unknown`, coded 0. Raises UsageError for an input
    of another form.
    """
    pairs = Pairs(inputs)
    users, items = (_codes(vocabulary[name]) for name in ("users", "items"))
    return Encoded(_Told(pairs, users, items), _batches(pairs, users, items))


@dataclass(frozen=True)
class _Told:
    """What is said of each pair, worked out as it is asked for."""

    pairs: Iterable[Pair]
    users: Mapping[str, int]
    items: Mapping[str, int]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for user, item in self.pairs:
            unknown = [] if user in self.users else ["user"]
            if item not in self.items:
                unknown.append("item")
            yield {"user": user, "item": item, "unknown": unknown}


def _codes(labels: Sequence[str]) -> dict[str, int]:
    return {label: code for code, label in enumerate(labels, start=1)}


def _batches(pairs: Iterable[Pair], users: Mapping[str, int], items: Mapping[str, int]) -> Iterator[tuple[Tensor, ...]]:
    rest = iter(pairs)
    while some := list(islice(rest, _BATCH)):
        yield (
            torch.tensor([users.get(user, 0) for user, _ in some], dtype=torch.int64),
            torch.tensor([items.get(item, 0) for _, item in some], dtype=torch.int64),
        )
