"""A stranger's data of lines of text and a model of them, for tests of input forms: bags of words, good or bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from dotexp import DataContext, DataFacts, Params, UsageError
from dotexp.sdk.data import Encoded, Part, TensorPart, Trained
from torch import Tensor, nn

LINES = {"a fine film": 1, "fine music": 1, "a dull film": 0, "dull and long": 0, "long but fine": 1, "dull music": 0}
WORDS = sorted({word for line in LINES for word in line.split()})
CLASSES = ("bad", "good")


class Lines:
    """Lines of text by their sentiment, all in every set."""

    def __init__(self) -> None:
        targets = torch.tensor(list(LINES.values()))
        self._part = TensorPart([bags(list(LINES))], targets)
        self.facts = DataFacts(
            "classification", train=6, valid=6, classes=CLASSES, counts=(3, 3), outputs=2, vocabulary={"words": WORDS}
        )

    def part(self, name: str) -> Part:
        """All of it, as any set."""
        return self._part


def bags(lines: Sequence[str], words: Sequence[str] = WORDS) -> Tensor:
    """Count words (B, words)."""
    return torch.tensor([[line.split().count(word) for word in words] for line in lines]).float()


def build_data(params: Params, context: DataContext) -> Lines:
    return Lines()


class Words(nn.Module):
    """A linear layer on counts of words."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.Linear(len(WORDS), 2)

    def forward(self, counts: Tensor) -> Tensor:
        """Return logits (B, 2)."""
        logits: Tensor = self.all(counts)
        return logits


def build_model(params: Params, facts: DataFacts) -> nn.Module:
    return Words()


def encoder(params: Params, vocabulary: Mapping[str, Any]) -> Callable[[Sequence[Any]], Encoded]:
    """Encode lines, the least that an encoder may do: rows and one batch."""

    def encode(inputs: Sequence[Any]) -> Encoded:
        lines = [each.decode() if isinstance(each, bytes) else each for each in inputs]
        if not all(isinstance(line, str) and line.strip() for line in lines):
            raise UsageError("a line of text has a word at least")
        return Encoded([{"text": line} for line in lines], iter([(bags(lines, vocabulary["words"]),)]))

    return encode


def words_for(trained: Trained, label: str, top: str, brief: bool) -> list[dict[str, Any]]:
    """Rank words for a class; `top` says from which end, `brief` leaves the weights out."""
    if label not in CLASSES:
        raise UsageError(f"there is no class `{label}`")
    weights = trained.model.all.weight[CLASSES.index(label)].tolist()  # type: ignore[union-attr, index]
    ranked = sorted(zip(weights, WORDS, strict=True), reverse=top == "strongest")[:3]
    return [{"word": word} if brief else {"word": word, "weight": weight} for weight, word in ranked]


def telling(trained: Trained, label: str, similar: str, brief: bool) -> list[dict[str, Any]]:
    """Rank words as `words_for`."""
    return words_for(trained, label, similar, brief)


def seen(trained: Trained, label: str, seen: str, brief: bool) -> list[dict[str, Any]]:
    """Rank words as `words_for`."""
    return words_for(trained, label, seen, brief)
