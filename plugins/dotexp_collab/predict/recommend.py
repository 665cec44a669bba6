"""What a user may like and what is like an item, by a trained model of ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from dotexp import Problem, UsageError
from dotexp.sdk.data import Data, Trained
from dotexp.sdk.names import composed
from torch import Tensor
from torch.nn import functional

from dotexp_collab.data.vocabulary import written_otherwise
from dotexp_collab.models.base import RatingModel
from dotexp_collab.predict.catalogue import Catalogue

Row = dict[str, Any]

_AT_ONCE = 1 << 16
_COMPARED = 10**5
"""Users up to which those with a similar id are looked for."""
_SETS = ("train", "valid", "test")


def recommend(trained: Trained, user: str, top: int, seen: bool) -> list[Row]:
    """Return the `top` items of the highest predicted rating, without those that the user has rated unless `seen`.

    Items of equal ratings come in the vocabulary's order. Raises UsageError for an unknown user.
    """
    code = _user(composed(user), trained.vocabulary)
    items: Sequence[str] = trained.vocabulary["items"]
    candidates = torch.ones(len(items) + 1, dtype=torch.bool)
    candidates[0] = False
    if not seen:
        candidates[rated(_data(trained), code)] = False
    codes = candidates.nonzero().squeeze(1)
    scores = torch.cat([torch.empty(0), *(batch.flatten() for batch in trained.scores(_pairs(code, codes)))])
    best = torch.sort(scores, descending=True, stable=True).indices[:top]
    return [
        {**_named(rank, items[int(codes[place]) - 1], trained.vocabulary), "value": scores[place].item()}
        for rank, place in enumerate(best.tolist(), start=1)
    ]


def similar(trained: Trained, item: str, top: int) -> list[Row]:
    """Return the `top` other items by the cosine between the model's vectors. Raises UsageError for an unknown item."""
    items: Sequence[str] = trained.vocabulary["items"]
    code = _item(composed(item), trained.vocabulary)
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
    """Return the codes of the items that a coded user has rated in any set of the data, int64."""
    found = [torch.empty(0, dtype=torch.int64)]
    for name in _SETS:
        try:
            part = data.part(name)
        except KeyError:
            continue
        for batch in part.batches(torch.arange(len(part)), _AT_ONCE, None, torch.device("cpu")):
            users, items = batch.inputs
            found.append(items[users == user].long())
    return torch.cat(found)


def _data(trained: Trained) -> Data:
    try:
        return trained.open_data()
    except UsageError as error:
        raise UsageError(f"what the user has rated is not known without the run's data: {error}") from error


def _pairs(user: int, items: Tensor) -> Iterator[tuple[Tensor, ...]]:
    for some in torch.split(items, _AT_ONCE):
        yield torch.full_like(some, user), some


def _named(rank: int, item: str, vocabulary: Mapping[str, Any]) -> Row:
    title = (vocabulary.get("titles") or {}).get(item)
    return {"rank": rank, "item": item, **({"title": title} if title else {})}


def _item(item: str, vocabulary: Mapping[str, Any]) -> int:
    """Code of an item given by its id, or else by its title. Raises UsageError where none has it, or several."""
    items: Sequence[str] = vocabulary["items"]
    if item in items:
        return list(items).index(item) + 1
    found = Catalogue(items, vocabulary.get("titles") or {}).find(item)
    if isinstance(found, Problem):
        raise UsageError(f"{found.message}; {found.help}")
    return found


def _user(user: str, vocabulary: Mapping[str, Any]) -> int:
    users: Sequence[str] = vocabulary["users"]
    if user in users:
        return list(users).index(user) + 1
    near = [label for _, label in written_otherwise([user], users)]
    if not near and len(users) <= _COMPARED:
        near = get_close_matches(user, users, n=3, cutoff=0.5)
    hint = f"; close to it: {', '.join(f'`{one}`' for one in near)}" if near else ""
    raise UsageError(f"the training set has no user `{user}`{hint}")
