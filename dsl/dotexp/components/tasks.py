"""Tasks: what is learned from data, and how a prediction of it reads."""

from __future__ import annotations

from typing import NamedTuple

from dotexp.record import Record


class Task(Record):
    """What is learned from data. Plugins declare tasks by the hook `dotexp_tasks`; facts name them.

    `answer` is the `"module:function"` that reads one example's predictions: `(outputs, facts)`, the loss's
    `activate` applied, a number or a list of numbers, to an `Answer`; dotexp.sdk.answers has the usual ones. A task
    that no plugin declares reads as numbers.
    """

    name: str
    about: str
    answer: str


class Answer(NamedTuple):
    """What a model predicts for one example: a label, labels, a number or numbers, and the probability by class."""

    value: str | float | tuple[str, ...] | tuple[float, ...]
    probabilities: dict[str, float] | None = None
