"""What the models of ratings share: tables with a row for the unknown, ids hidden in training, and the range."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
from dotexp import DataFacts
from dotexp.sdk.data import Part
from torch import Tensor, nn
from torch.nn import functional

from dotexp_collab.models.checks import relaxed
from dotexp_collab.models.params import RangeParams, RatingModelParams

_READ = 1 << 20


class Settings(NamedTuple):
    """What every model of ratings is made with: the ends of its sigmoid, and `unknown_rate` and `mean_start`."""

    y_range: tuple[float, float] | None = None
    unknown_rate: float = 0.0
    mean_start: bool = False


class RatingModel(nn.Module, ABC):
    """Base of the models that map coded users (B,) and items (B,) to ratings (B,).

    Tables have a row for each known id, from 1, and row 0 for unknown ids. With an `unknown_rate`, ids are hidden at
    that rate in training and so train row 0; without one, the mean of the rows from 1 stands in for it in evaluation
    mode, and the parameters stay as they are. `y_range` are the ends of the sigmoid (None: there is none).
    """

    start: Tensor | None

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.y_range = settings.y_range
        self.unknown_rate = settings.unknown_rate
        self.register_buffer("start", torch.zeros(()) if settings.mean_start else None)
        self._means: tuple[tuple[object, ...], list[Tensor]] | None = None

    def prepare(self, train: Part) -> None:
        """Take the training ratings' mean, before the sigmoid, as what predictions start from."""
        if self.start is None:
            return
        total, order = 0.0, torch.arange(len(train))
        for batch in train.batches(order, _READ, None, torch.device("cpu")):
            total += batch.targets.double().sum().item()
        mean = total / max(1, len(train))
        if self.y_range is not None:
            low, high = self.y_range
            share = min(max((mean - low) / (high - low), 1e-6), 1 - 1e-6)
            mean = math.log(share / (1 - share))
        self.start.fill_(mean)

    def train(self, mode: bool = True) -> RatingModel:
        """Change the mode; the means are worked out again when next needed."""
        self._means = None
        return super().train(mode)

    def hide(self, codes: Tensor) -> Tensor:
        """In training, put 0 in place of some codes, at `unknown_rate`; torch's generator draws them."""
        if not (self.training and self.unknown_rate):
            return codes
        hidden = torch.rand(codes.shape, device=codes.device) < self.unknown_rate
        return codes.masked_fill(hidden, 0)

    def look_up(self, tables: Sequence[nn.Embedding], codes: Sequence[Tensor]) -> list[Tensor]:
        """Rows (B, width) of each table for its codes (B,). Always ask for the same tables, or for one at a time."""
        # A batch is small, so calls count: going through the modules costs some 6 % of both passes.
        rows = [
            functional.embedding(code, table.weight, sparse=table.sparse)
            for code, table in zip(codes, tables, strict=True)
        ]
        if self.training or self.unknown_rate:
            return rows
        return [
            torch.where((code == 0).unsqueeze(1), mean, row)
            for code, mean, row in zip(codes, self._unknown(tables), rows, strict=True)
        ]

    def bound(self, score: Tensor) -> Tensor:
        """Ratings (B,) of scores (B,): the start added, and through the sigmoid."""
        if self.start is not None:
            score = score + self.start
        if self.y_range is None:
            return score
        low, high = self.y_range
        return torch.sigmoid(score) * (high - low) + low

    def exportable(self) -> nn.Module:
        """A copy whose row 0 stands for the unknown, so that nothing is looked up or averaged beside the tables."""
        copied = deepcopy(self).eval()
        if not self.unknown_rate:
            tables = [child for child in copied.children() if isinstance(child, nn.Embedding)]
            with torch.no_grad():
                for table, mean in zip(tables, self._mean_rows(tables), strict=True):
                    table.weight[0] = mean
            copied.unknown_rate = 1.0  # row 0 stands for the unknown as if it had been trained to
        return copied

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """What the model knows of each item beside its bias, (items + 1, width); row 0 is the unknown item's."""

    def _unknown(self, tables: Sequence[nn.Embedding]) -> list[Tensor]:
        """Mean row of each table, kept until the table changes: weights may be loaded in evaluation mode too."""
        if torch.is_grad_enabled():  # a step may follow, and a fused optimizer's leaves the version as it was
            self._means = None
            return self._mean_rows(tables)
        state = tuple((table.weight.data_ptr(), table.weight._version) for table in tables)
        if self._means is None or self._means[0] != state:
            self._means = (state, self._mean_rows(tables))
        return self._means[1]

    def _mean_rows(self, tables: Sequence[nn.Embedding]) -> list[Tensor]:
        return [table.weight.detach()[1:].mean(0) for table in tables]


def known(facts: DataFacts) -> tuple[int, int]:
    """How many users and items the training part knows."""
    return facts.entities["users"], facts.entities["items"]


def ends(params: RangeParams, facts: DataFacts) -> tuple[float, float] | None:
    """Ends of the sigmoid: those given, else the training ratings' range, relaxed; None where there is no sigmoid."""
    if not params.bounded:
        return None
    if params.y_range is not None:
        return params.y_range.low, params.y_range.high
    assert facts.range is not None, "ratings have a range"
    return relaxed(*facts.range, params.relax)


def settings(params: RatingModelParams, facts: DataFacts) -> Settings:
    """Settings that the parameters ask for."""
    return Settings(ends(params, facts), params.unknown_rate, params.mean_start)


def table(known: int, width: int) -> nn.Embedding:
    """Make a table of `known` + 1 rows of normal numbers, cut off at 2, times 0.01, as fastai does."""
    made = nn.Embedding(known + 1, width)
    with torch.no_grad():
        made.weight.normal_().fmod_(2).mul_(0.01)
    return made
