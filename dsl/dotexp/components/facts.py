"""What is known of a component before anything is opened, and of data once it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


class Task(StrEnum):
    """What is learned from the data."""

    classification = "classification"
    multilabel = "multilabel"
    regression = "regression"
    ratings = "ratings"


@dataclass(frozen=True)
class LayerGroup:
    """A learning-rate group: its name and its layers, in order."""

    name: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What is known of a component with its parameters before anything is opened; `check` works with these.

    `task` is data's; `inputs` is what data gives and a body or model takes (`images`, `user_item`); `tasks` are those
    a loss, metric, head or model fits (empty: any); `layers` and `groups` are a body's or model's; `momentum` names
    the optimizer's parameter, and torch parameter-group key, that a policy's momentum moves (None: it has none);
    for a pair such as Adam's betas it is the pair's name, and the first of the two moves. `smallest` and `largest`
    are the sides, in pixels, of the images that a body or model takes (None: any), `multiple` what the sides must be
    a multiple of; data says its own in its parameter `size`. `batches_per_step` is how many batches a callback makes
    one step of the optimizer; `better` says which values of a metric are the better ones. `tables` names the learned
    tables that a model has (empty: it does not say), and those that a report reads; `unknown` says what a model takes
    an id for that it was not trained with; `rows` that an optimizer wants the gradients of embedding tables as sparse
    ones, of the rows that a batch has touched, and `rows_option` how a spec says so.
    """

    task: Task | None = None
    inputs: str | None = None
    tasks: tuple[Task, ...] = ()
    layers: tuple[str, ...] = ()
    groups: tuple[LayerGroup, ...] = ()
    momentum: str | None = None
    smallest: int | None = None
    largest: int | None = None
    multiple: int = 1
    batches_per_step: int = 1
    better: Literal["higher", "lower"] | None = None
    tables: tuple[str, ...] = ()
    unknown: str = ""
    rows: bool = False
    rows_option: str = ""


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data once it was opened.

    `train`, `valid` and `test` count examples; `classes` are the labels in the order of the model's outputs, `counts`
    the training examples of each; `users` and `items` count distinct ids in the training part; `range` spans the
    training targets of a regression; `outputs` is the width of the model's last layer; `notes` are worth a warning,
    `summary` are counts that a plan shows beside the others (rows read, duplicates, …). `guesses` are choices that the
    spec left open, by parameter, as the spec would write them, with the reason: `{"user": '"userID" (column 1, by its
    header)'}`; a plan shows each. `vocabulary` is what prediction needs to encode new inputs (JSON values only).
    """

    task: Task
    train: int
    valid: int
    test: int = 0
    classes: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None
    users: int | None = None
    items: int | None = None
    range: tuple[float, float] | None = None
    outputs: int = 1
    fingerprint: str = ""
    notes: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)
    guesses: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Mapping[str, Any] = field(default_factory=dict)


NO_FACTS = Facts()
