"""Inputs of `predict`: pairs of a user and an item, as the codes that the model was trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
from dotexp import Params
from dotexp.sdk.data import Encoded, Piece
from dotexp.sdk.names import composed
from torch import Tensor

from dotexp_collab.predict.pairs import Pair, Pairs, TrainedIds, Unreadable

_BATCH = 4096


def encoder(params: Params, vocabulary: Mapping[str, Any]) -> Callable[[Sequence[str | Pair]], Encoded]:
    """Return the function that encodes pairs for a model that was trained with this vocabulary."""
    coding = _Coding(*(_codes(vocabulary[name]) for name in ("users", "items")))
    trained = TrainedIds(params, vocabulary.get("columns", {}), coding.users, coding.items)
    return partial(_encode, coding, trained)


def _encode(coding: _Coding, trained: TrainedIds, inputs: Sequence[str | Pair]) -> Encoded:
    """Encode pairs, `USER:ITEM` or a tuple, and files of pairs, batch by batch as they are asked for.

    Each row has the `user`, the `item`, and which of the two are `unknown`, coded 0. Raises UsageError for an input
    that is neither, and for a file that holds no pairs; rows of a file that are none raise it as the rows or batches
    are asked for, and are rows with an error among the pieces.
    """
    pairs = Pairs(inputs, trained)

    def pieces(start: int) -> Iterator[Piece]:
        return coding.pieces(islice(pairs.read(), start, None))

    return Encoded(_Rows(pairs, coding), coding.batches(pairs), None, pieces, pairs.count)


@dataclass(frozen=True)
class _Coding:
    """Codes of the known users and items."""

    users: Mapping[str, int]
    items: Mapping[str, int]

    def row(self, user: str, item: str) -> dict[str, Any]:
        """Name a pair, and say which of its ids are unknown."""
        unknown = [] if composed(user) in self.users else ["user"]
        if composed(item) not in self.items:
            unknown.append("item")
        return {"user": user, "item": item, "unknown": unknown}

    def tensors(self, pairs: Sequence[Pair]) -> tuple[Tensor, ...]:
        """Code pairs, 0 for unknown ids."""
        return (
            torch.tensor([self.users.get(composed(user), 0) for user, _ in pairs], dtype=torch.int64),
            torch.tensor([self.items.get(composed(item), 0) for _, item in pairs], dtype=torch.int64),
        )

    def batches(self, pairs: Iterable[Pair]) -> Iterator[tuple[Tensor, ...]]:
        """Yield the codes of all pairs."""
        rest = iter(pairs)
        while some := list(islice(rest, _BATCH)):
            yield self.tensors(some)

    def pieces(self, found: Iterator[Pair | Unreadable]) -> Iterator[Piece]:
        """Yield rows with codes; what is no pair is a row with its error."""
        while some := list(islice(found, _BATCH)):
            good = [one for one in some if not isinstance(one, Unreadable)]
            rows = [
                {"user": one.text, "item": "", "error": one.reason} if isinstance(one, Unreadable) else self.row(*one)
                for one in some
            ]
            yield Piece(rows, self.tensors(good) if good else ())


@dataclass(frozen=True)
class _Rows:
    """What names each pair, worked out as it is asked for."""

    pairs: Iterable[Pair]
    coding: _Coding

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for user, item in self.pairs:
            yield self.coding.row(user, item)


def _codes(labels: Sequence[str]) -> dict[str, int]:
    return {composed(label): code for code, label in enumerate(labels, start=1)}
