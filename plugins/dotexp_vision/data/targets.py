"""Labels to tensors, and what they say of the data: classes, how many of each, the range of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from dotexp import ComponentError
from torch import Tensor

Label = str | tuple[str, ...] | tuple[float, ...]
"""A class, the labels that apply, or the numbers to learn."""


@dataclass(frozen=True)
class Example:
    """An image: its identity, by which its reader knows it and which names it to people, and its label."""

    identity: str
    label: Label


@dataclass(frozen=True)
class Targets:
    """Every part's targets, the fields of the data's facts that tell of them, and what is worth a warning."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]


def as_targets(task: str, parts: Mapping[str, Sequence[Example]], classes: Sequence[str]) -> Targets:
    """Code the labels of parts, `train` among them, by the classes in their order.

    Classification: int64 (N,); several labels: float32 (N, C) of 0 and 1; numbers: float32 (N,), or (N, k) for
    several. Raises ComponentError, naming the part, where one has unknown classes.
    """
    return _numbers(parts) if task == "regression" else _classes(task, parts, classes)


def require_classes(task: str, classes: Sequence[str], field: str) -> None:
    """Raise ComponentError, naming `field`, where there is nothing to tell apart."""
    if task == "classification" and len(classes) == 1:
        raise ComponentError(f"there is one class only, `{classes[0]}`: there is nothing to tell apart", field)
    if task != "regression" and not classes:
        raise ComponentError("there are no labels", field)


def names_in(examples: Sequence[Example]) -> list[str]:
    """Class names of examples, sorted."""
    return sorted({name for example in examples for name in _names(example)})


def _names(example: Example) -> tuple[str, ...]:
    return (example.label,) if isinstance(example.label, str) else tuple(str(name) for name in example.label)


def _numbers(parts: Mapping[str, Sequence[Example]]) -> Targets:
    tensors = {name: torch.tensor([e.label for e in examples], dtype=torch.float32) for name, examples in parts.items()}
    train = tensors["train"]
    width = train.shape[1]
    facts = {"outputs": width, "range": (float(train.min()), float(train.max()))}
    return Targets({name: t.squeeze(1) if width == 1 else t for name, t in tensors.items()}, facts, ())


def _classes(task: str, parts: Mapping[str, Sequence[Example]], classes: Sequence[str]) -> Targets:
    numbers = {name: number for number, name in enumerate(classes)}
    for part, examples in parts.items():
        unknown = [name for name in names_in(examples) if name not in numbers]
        if unknown:
            message = f"the {part} part has classes that the training part lacks: {', '.join(unknown)}"
            raise ComponentError(message, part, f"classes of the training part: {', '.join(classes)}")
    seen = Counter(name for example in parts["train"] for name in _names(example))
    facts = {"classes": tuple(classes), "counts": tuple(seen[name] for name in classes), "outputs": len(classes)}
    tensors = {part: _coded(task, examples, numbers) for part, examples in parts.items()}
    return Targets(tensors, facts, tuple(_notes(task, parts["train"], classes, seen)))


def _coded(task: str, examples: Sequence[Example], numbers: Mapping[str, int]) -> Tensor:
    if task == "classification":
        return torch.tensor([numbers[_names(example)[0]] for example in examples], dtype=torch.int64)
    coded = torch.zeros(len(examples), len(numbers))
    for row, example in enumerate(examples):
        coded[row, [numbers[name] for name in _names(example)]] = 1
    return coded


def _notes(task: str, train: Sequence[Example], classes: Sequence[str], seen: Mapping[str, int]) -> Iterator[str]:
    for name in classes:
        if not seen[name]:
            yield f"no image of the class `{name}` is left to train with"
    without = sum(not _names(example) for example in train)
    if without:
        yield f"{without} training image{'s have' if without > 1 else ' has'} no label at all"
