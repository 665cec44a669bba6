"""A stranger's data and model of two inputs, for tests of input forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from dotexp import DataContext, DataFacts, Params, UsageError
from dotexp.sdk.data import Encoded, Part, Piece, TensorPart, Trained
from torch import Tensor, nn

NAMES = {"drugs": [f"d{n}" for n in range(6)], "proteins": [f"p{n}" for n in range(4)]}


class Drugs:
    """Every drug with every protein."""

    def __init__(self) -> None:
        drugs, proteins = (axis.flatten() for axis in torch.meshgrid(torch.arange(6), torch.arange(4), indexing="ij"))
        self._part = TensorPart([drugs, proteins], (drugs * proteins).float())
        self.facts = DataFacts("regression", train=24, valid=24, vocabulary=NAMES)

    def part(self, name: str) -> Part:
        """All of it, as any set."""
        return self._part


class Affinity(nn.Module):
    """An embedding of drugs and one of proteins, multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.ModuleList([nn.Embedding(6, 3), nn.Embedding(4, 3)])

    def forward(self, drugs: Tensor, proteins: Tensor) -> Tensor:
        """Return affinities (B,)."""
        return (self.all[0](drugs) * self.all[1](proteins)).sum(1)


def build_data(params: Params, context: DataContext) -> Drugs:
    return Drugs()


def build_model(params: Params, facts: DataFacts) -> nn.Module:
    return Affinity()


def encoder(params: Params, vocabulary: Mapping[str, Any]) -> Callable[[Sequence[Any]], Encoded]:
    """Encode `DRUG+PROTEIN`, or a tuple of the two."""

    def encode(inputs: Sequence[Any]) -> Encoded:
        pairs = [each if isinstance(each, tuple) else tuple(each.split("+")) for each in inputs]
        rows = [dict(zip(("drug", "protein"), pair, strict=True)) for pair in pairs]
        columns = (
            torch.tensor([vocabulary[name].index(pair[place]) for pair in pairs])
            for place, name in enumerate(("drugs", "proteins"))
        )
        batch = tuple(columns)

        def pieces(start: int) -> Iterator[Piece]:
            yield Piece(rows[start:], tuple(column[start:] for column in batch))

        return Encoded(rows, iter([batch]), None, pieces, lambda: len(rows))

    return encode


def binds_to(trained: Trained, protein: str, most: int) -> list[dict[str, Any]]:
    """Rank drugs for a protein."""
    if protein not in trained.vocabulary["proteins"]:
        raise UsageError(f"there is no protein `{protein}`")
    code = trained.vocabulary["proteins"].index(protein)
    (scores,) = trained.scores(iter([(torch.arange(6), torch.full((6,), code))]))
    order = torch.argsort(scores, descending=True)[:most].tolist()
    return [{"rank": n, "drug": f"d{place}", "value": scores[place].item()} for n, place in enumerate(order, 1)]
