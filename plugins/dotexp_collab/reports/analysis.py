"""What a trained model says of its users and items: learned tables, how often each was rated, and what follows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from dotexp import ComponentError
from dotexp.sdk.data import Part
from dotexp.sdk.report import Subject
from torch import Tensor
from torch.nn import functional

from dotexp_collab.models.base import RatingModel

_CHUNK = 1 << 20
_CPU = torch.device("cpu")


class Kind(NamedTuple):
    """Users or items: the word for one of them, the vocabulary's name of their ids, their place in a batch's inputs."""

    word: str
    ids: str
    column: int


USER = Kind("user", "users", 0)
ITEM = Kind("item", "items", 1)


class Observed(NamedTuple):
    """Ratings by code, row 0 for unknown ids: how many, (n + 1,) int64, and their mean, (n + 1,) float64, NaN for none.

    `where` is empty for the training part, else it says which part was looked at.
    """

    counts: Tensor
    means: Tensor
    where: str


class Components(NamedTuple):
    """Principal components of n rows: `scores` (n, k) float64, `variances` (k,), and `shares` of the variance (k,)."""

    scores: Tensor
    variances: Tensor
    shares: Tensor


def learned(subject: Subject, kind: Kind, what: str) -> Tensor:
    """Return the model's table `item_bias`, `user_factors`, …, (n + 1, width) float64; row 0 stands for unknown ids.

    Raises ComponentError where the model has no embedding of this name, or one of other ids.
    """
    name = f"{kind.word}_{what}"
    suffix = f".{name}.weight"
    found = [value for key, value in subject.network.state_dict().items() if f".{key}".endswith(suffix)]
    if len(found) != 1:
        message = f"{_model(subject)} has no table `{name}`, which this report is about"
        raise ComponentError(message, help="leave the report out")
    return _fitting(found[0], name, subject, kind)


def item_factors(subject: Subject) -> Tensor:
    """Return what the model knows of every item beside its bias, (n + 1, width) float64; raises as `learned`.

    That is its factors, and where a model adds something to them, such as its features', their sum.
    """
    for module in subject.network.modules():
        if isinstance(module, RatingModel):
            with torch.no_grad():
                return _fitting(module.item_vectors(), "item_factors", subject, ITEM)
    return learned(subject, ITEM, "factors")


def observed(subject: Subject, kind: Kind) -> Observed:
    """Count and average the ratings of every user or item over the training part, or else the validation part."""
    part, where = (subject.part, "validation") if subject.train is None else (subject.train, "")
    return _observed(part, kind, len(subject.facts.vocabulary[kind.ids]) + 1, where)


def rating_counts(subject: Subject) -> Tensor:
    """Ratings of every item, (n + 1,) int64: the data's own counts, or else those that can be seen."""
    counts = subject.facts.vocabulary.get("item_counts")
    return observed(subject, ITEM).counts if counts is None else torch.tensor([0, *counts], dtype=torch.int64)


def most_rated(counts: Tensor, most: int | None, least: int = 0) -> Tensor:
    """Codes of the known rows with `least` ratings or more, the `most` rated of them, most first; ties by code."""
    order = 1 + counts[1:].argsort(descending=True, stable=True)
    return order[counts[order] >= least][:most]


def by_value(codes: Tensor, values: Tensor) -> Tensor:
    """Sort codes by their values, highest first; what ties stays in the order it came in."""
    return codes[values[codes].argsort(descending=True, stable=True)]


def ends(order: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Take the first and the last `top` of an order, the last one first; nothing is in both."""
    lower = min(top, len(order) // 2)
    return order[: min(top, len(order) - lower)], order[len(order) - lower :].flip(0)


def principal_components(rows: Tensor, most: int) -> Components:
    """Find the principal components of rows (n, f), n ≥ 2 and not all the same: as many as there are, up to `most`."""
    from sklearn.decomposition import PCA

    found = PCA(n_components=min(most, *rows.shape), svd_solver="full")
    scores = found.fit_transform(rows.numpy())
    return Components(*map(torch.from_numpy, (scores, found.explained_variance_, found.explained_variance_ratio_)))


def cosines(factors: Tensor, code: int) -> Tensor:
    """Cosine of every row (n + 1, f) to one of them, (n + 1,); 0 where either has no length."""
    return functional.cosine_similarity(factors, factors[code : code + 1], dim=1)


def _fitting(table: Tensor, name: str, subject: Subject, kind: Kind) -> Tensor:
    rows = len(subject.facts.vocabulary[kind.ids]) + 1
    if table.dim() != 2 or len(table) != rows:
        shape = " × ".join(map(str, table.shape))
        said = f"the table `{name}` of {_model(subject)} is {shape}"
        raise ComponentError(f"{said}, and {rows - 1} {kind.ids} and the unknown one want {rows} rows")
    return table.detach().cpu().double()


def _model(subject: Subject) -> str:
    whole = subject.model.whole
    return f"`{whole.name}`" if whole is not None else "the model"


def _observed(part: Part, kind: Kind, rows: int, where: str) -> Observed:
    counts = torch.zeros(rows, dtype=torch.int64)
    sums = torch.zeros(rows, dtype=torch.float64)
    for start in range(0, len(part), _CHUNK):  # an order of all rows at once would be as large as a column
        order = torch.arange(start, min(start + _CHUNK, len(part)))
        for batch in part.batches(order, _CHUNK, None, _CPU):
            codes = batch.inputs[kind.column]
            counts += codes.bincount(minlength=rows)
            sums += codes.bincount(batch.targets.double(), minlength=rows)
    return Observed(counts, sums / counts, where)
