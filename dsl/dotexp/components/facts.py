"""What `check` knows of components before anything is opened, and what is known of data once it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dotexp.record import Record


class LayerGroup(Record):
    """A learning-rate group: its name and its layers, in order."""

    name: str
    layers: tuple[str, ...]


class Facts(Record):
    """Which data a component is for; each kind's own facts extend these."""

    inputs: str | None = None
    """What the data's batches must hold, such as `images` or `users and items`; None: anything."""

    tasks: tuple[str, ...] = ()
    """Names of the tasks that it is for; empty: any."""

    smallest_batch: int = 1
    """Least number of examples in a training batch: 2 where batch norm sees one value a channel of each example."""


class DataSignature(Record):
    """What a data component gives."""

    task: str | None = None
    """Name of the task that is learned; None: known once the data is opened."""

    inputs: str | None = None
    """What the batches hold, such as `images`."""


class BodyFacts(Facts):
    """Layers and groups of a body, and the images that it takes."""

    layers: tuple[str, ...] = ()
    """Names of the layers, in order, without the head; empty: the model is one layer."""

    groups: tuple[LayerGroup, ...] = ()
    """Default learning-rate groups, the head's among them; empty: the body, then the head."""

    smallest: int | None = None
    """Smallest side of an image in pixels; None: any."""

    largest: int | None = None
    """Largest side of an image in pixels; None: any."""

    multiple: int = 1
    """What the side of an image must be a multiple of."""

    single_value_side: int | None = None
    """Largest side of an image of which batch norm sees one value a channel, so that it cannot train on a batch of one;
    None: not known, or none."""


class ModelFacts(BodyFacts):
    """What a whole model has beside layers and groups."""

    tables: tuple[str, ...] = ()
    """Names of its learned tables, which reports read; empty: not said."""

    unknown: str = ""
    """What stands in for an id that the training set did not have; predictions name it."""


class OptimizerFacts(Facts):
    """Which of an optimizer's keys a policy sets, and which gradients it wants."""

    momentum: str | None = None
    """The parameter, and torch's parameter-group key, that a policy's momentum sets: of a pair such as Adam's betas
    the first; None: it has none."""

    sparse: bool = False
    """Whether embedding tables shall give sparse gradients, of the rows that a batch has touched."""

    sparse_option: str = ""
    """How a spec asks for sparse gradients, such as `sparse = rows`; empty: it cannot."""


class MetricFacts(Facts):
    """Which values of a metric are better."""

    better: Literal["higher", "lower"] | None = None
    """None: not said, so that a callback that looks at the metric needs its `mode`."""


class CallbackFacts(Facts):
    """What a callback changes of a stage's steps."""

    batches_per_step: int = 1
    """Batches whose gradients make one step of the optimizer."""


class ReportFacts(Facts):
    """What a report reads of the model."""

    tables: tuple[str, ...] = ()
    """Names of the learned tables that the model must have."""


@dataclass(frozen=True)
class DataFacts:
    """Facts of a data set that only opening it tells."""

    task: str
    """Name of the task that is learned."""

    train: int
    """Number of training examples."""

    valid: int
    """Number of validation examples."""

    test: int = 0
    """Number of test examples."""

    classes: tuple[str, ...] | None = None
    """Labels in the order of the model's outputs; None: numbers are learned."""

    counts: tuple[int, ...] | None = None
    """Training examples of each class."""

    entities: Mapping[str, int] = field(default_factory=dict)
    """Distinct ids in the training set by what they name: `{"users": 943, "items": 1682}`. A model has a row for each,
    so they are the same in every stage."""

    range: tuple[float, float] | None = None
    """Least and greatest training target of a regression."""

    outputs: int = 1
    """Width of the model's last layer."""

    fingerprint: str = ""
    """Checksum of what was read; a run that is resumed must find the same."""

    notes: tuple[str, ...] = ()
    """Sentences that deserve a warning."""

    summary: Mapping[str, int] = field(default_factory=dict)
    """Counts that a plan shows beside the others, such as rows read."""

    guesses: Mapping[str, str] = field(default_factory=dict)
    """Choices that the spec left open, by parameter, as the spec would write them, with the reason:
    `{"user": '"userID" (column 1, by its header)'}`; a plan shows each."""

    vocabulary: Mapping[str, Any] = field(default_factory=dict)
    """What prediction needs to encode new inputs, in JSON values."""
