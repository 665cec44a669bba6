"""The usual ways to read one example's predictions: `(outputs, facts)`, to an `Answer`. Need no torch.

`outputs` is a number or a list of numbers, the loss's `activate` applied.
"""

from __future__ import annotations

from typing import Any

from dotexp.components.facts import DataFacts
from dotexp.components.tasks import Answer

_THRESHOLD = 0.5
"""Probability above which a label of several applies."""


def one_class(outputs: list[float], facts: DataFacts) -> Answer:
    """Read the probabilities of exclusive classes: the most probable one."""
    probabilities = _by_class(outputs, facts)
    return Answer(max(probabilities, key=lambda name: probabilities[name]), probabilities)


def several_classes(outputs: list[float], facts: DataFacts) -> Answer:
    """Read the probabilities of independent labels: those above 0.5."""
    probabilities = _by_class(outputs, facts)
    return Answer(tuple(name for name, p in probabilities.items() if p > _THRESHOLD), probabilities)


def numbers(outputs: Any, facts: DataFacts) -> Answer:
    """Read numbers as they are: one number, or a tuple of several."""
    if not isinstance(outputs, list):
        return Answer(outputs)
    return Answer(outputs[0] if len(outputs) == 1 else tuple(outputs))


def _by_class(outputs: list[float], facts: DataFacts) -> dict[str, float]:
    return dict(zip(facts.classes or (), outputs, strict=True))
