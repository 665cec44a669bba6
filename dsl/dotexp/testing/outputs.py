"""Outputs and targets of the usual tasks, for checks of losses and metrics. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dotexp.components.facts import DataFacts

CLASSES = ("a", "b", "c")
EXAMPLES = 12

TASKS = ("classification", "multilabel", "regression", "ratings")
"""Tasks that the bundled plugins declare."""


class Case(NamedTuple):
    """Outputs of a model and targets of a task; `good` predicts well, `bad` does not."""

    task: str
    facts: DataFacts
    good: Tensor
    bad: Tensor
    targets: Tensor


def facts_of(task: str) -> DataFacts:
    """Facts of data of one of the usual tasks."""
    if task in ("classification", "multilabel"):
        counts = tuple(EXAMPLES // 2 - place for place in range(len(CLASSES)))
        vocabulary = {"classes": list(CLASSES)}
        return DataFacts(
            task, EXAMPLES, EXAMPLES, classes=CLASSES, counts=counts, outputs=len(CLASSES), vocabulary=vocabulary
        )
    entities = {"users": 4, "items": 30} if task == "ratings" else {}
    return DataFacts(task, EXAMPLES, EXAMPLES, range=(1.0, 5.0), entities=entities)


def case_of(task: str) -> Case:
    """A batch of one of the usual tasks."""
    generator = torch.Generator().manual_seed(0)
    if task == "classification":
        targets = torch.arange(EXAMPLES) % len(CLASSES)
        good = torch.nn.functional.one_hot(targets, len(CLASSES)).float() * 4
    elif task == "multilabel":
        targets = (torch.rand(EXAMPLES, len(CLASSES), generator=generator) < 0.5).float()
        good = targets * 8 - 4
    else:
        targets = torch.rand(EXAMPLES, generator=generator) * 4 + 1
        good = targets.clone()
    noise = torch.randn(good.shape, generator=generator) / 10
    wrong = -good if task == "multilabel" else good.roll(1, -1)
    return Case(task, facts_of(task), good + noise, wrong + noise, targets)


def cases(tasks: Sequence[str]) -> list[Case]:
    """Batches of the usual ones among these tasks; of all where none is named."""
    return [case_of(task) for task in TASKS if not tasks or task in tasks]


def columns(numbers: Tensor) -> Tensor:
    """Numbers (B,) as (B, 1)."""
    return numbers[:, None]
