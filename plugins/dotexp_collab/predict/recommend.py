"""What a user may like and what is like an item, by a trained model of ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from dotexp import UsageError
from dotexp.sdk.data import Data, Trained
from torch import Tensor
from torch.nn import functional

from dotexp_collab.models.base import RatingModel

Row = dict[str, Any]

_AT_ONCE = 1 << 16
_PARTS = ("train", "valid", "test")


def recommend(trained: Trained, user: str, top: int, seen: bool) -> list[Row]:
    """The `top` known items of the highest predicted rating, those that the user has rated left out unless `seen`.

    Items of equal ratings come in the vocabulary's order. Raises UsageError for an unknown user.
    """
    code = _code(trained.vocabulary["users"], user, "user")
    items: Sequence[str] = trained.vocabulary["items"]
    candidates = torch.ones(len(items) + 1, dtype=torch.bool)
    candidates[0] = False
    if not seen:
        candidates[rated(trained.open_data(), code)] = False
    codes = candidates.nonzero().squeeze(1)
    scores = torch.cat([torch.empty(0), *(batch.flatten() for batch in trained.scores(_pairs(code, codes)))])
    best = torch.sort(scores, descending=True, stable=True).indices[:top]
    return [
        {**_named(rank, items[int(codes[place]) - 1], trained.vocabulary), "value": scores[place].item()}
        for rank, place in enumerate(best.tolist(), start=1)
    ]


def similar(trained: Trained, item: str, top: int) -> list[Row]:
    """The `top` other items by the cosine between the model's vectors. Raises UsageError for an unknown item."""
    items: Sequence[str] = trained.vocabulary["items"]
    code = _code(items, _identified(item, trained.vocabulary), "item")
    if not isinstance(trained.model, RatingModel):
        raise UsageError("this model has no vectors of items to compare")
    vectors = functional.normalize(trained.model.item_vectors().float().cpu(), dim=1)
    cosines = vectors[1:] @ vectors[code]
    cosines[code - 1] = -torch.inf
    best = torch.sort(cosines, descending=True, stable=True).indices[: min(top, len(items) - 1)]
    return [
        {**_named(rank, items[place], trained.vocabulary), "similarity": cosines[place].item()}
        for rank, place in enumerate(best.tolist(), start=1)
    ]


def rated(data: Data, user: int) -> Tensor:
    """Codes of the items that a coded user has rated in any part of the data, int64."""
    found = [torch.empty(0, dtype=torch.int64)]
    for name in _PARTS:
        try:
            part = data.part(name)
        except KeyError:
            continue
        for batch in part.batches(torch.arange(len(part)), _AT_ONCE, None, torch.device("cpu")):
            users, items = batch.inputs
            found.append(items[users == user].long())
    return torch.cat(found)


def _pairs(user: int, items: Tensor) -> Iterator[tuple[Tensor, ...]]:
    for some in torch.split(items, _AT_ONCE):
        yield torch.full_like(some, user), some


def _named(rank: int, item: str, vocabulary: Mapping[str, Any]) -> Row:
    title = (vocabulary.get("titles") or {}).get(item)
    return {"rank": rank, "item": item, **({"title": title} if title else {})}


def _identified(item: str, vocabulary: Mapping[str, Any]) -> str:
    """The id of an item that is given by its id, or by a title that only one item has."""
    titles: Mapping[str, str] = vocabulary.get("titles") or {}
    if item in titles or item in vocabulary["items"]:
        return item
    named = [one for one, title in titles.items() if title == item]
    return named[0] if len(named) == 1 else item


def _code(labels: Sequence[str], label: str, kind: str) -> int:
    try:
        return list(labels).index(label) + 1
    except ValueError:
        near = get_close_matches(label, labels, n=3, cutoff=0.5) if len(labels) <= 10**5 else []
        hint = f"; it knows {', '.join(f'`{one}`' for one in near)}" if near else ""
        raise UsageError(f"the run's training data has no {kind} `{label}`{hint}") from None
