"""What a run will do, step by step, before it does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.experiment.experiment import Freeze, Kept, Model, RewriteName, Runtime, Unfreeze
from dotexp.planning.inference import Inference
from dotexp.planning.schedule_json import schedule_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class LayerCount:
    """A layer's parameters, and those of them that batch norm, any norm, or embedding tables hold.

    `table_width` is how many of the tables' an example touches: a row of each.
    """

    name: str
    parameters: int
    batchnorm_parameters: int = 0
    norm_parameters: int = 0
    table_parameters: int = 0
    table_width: int = 0


@dataclass(frozen=True)
class GroupPlan:
    """A learning-rate group in one stage."""

    name: str
    layers: tuple[str, ...]
    parameters: int
    trainable_parameters: int
    frozen: Literal["all", "part", "none"]
    frozen_layers: tuple[str, ...]
    batchnorm: Literal["train", "still", "none"]


@dataclass(frozen=True)
class Rewrite:
    """A faster way to the same bits: whether it applies to a stage, and why or why not."""

    name: RewriteName
    applies: bool
    reason: str


@dataclass(frozen=True)
class StagePlan:
    """One stage: its components, what is frozen, and the learning rates and momentum of every step.

    `frozen` are the layers that `freeze` freezes. `rates` has one tuple a group, one value a step (None where nothing
    in the group trains); `momentum` has one value a step (None: the optimizer has none); `momentum_key` is the
    optimizer's key that it moves. A step is the optimizer's, on the gradient of `batches_per_step` batches of
    `batch_size` examples. `hints` suggest what only the spec may choose. `start_text` is spec text that determines the
    weights with which the stage starts.
    """

    name: str
    data: Use
    loss: Use
    optimizer: Use
    fit: Use
    freeze: Freeze
    epochs: int
    batch_size: int
    steps_per_epoch: int
    groups: tuple[GroupPlan, ...]
    frozen: frozenset[str]
    rates: tuple[tuple[float, ...] | None, ...]
    momentum: tuple[float, ...] | None
    momentum_key: str | None
    rewrites: tuple[Rewrite, ...] = ()
    callbacks: tuple[Use, ...] = ()
    batches_per_step: int = 1
    hints: tuple[str, ...] = ()
    start_text: str = ""

    @property
    def kept(self) -> Kept | None:
        """Kind of modules that go on training inside frozen layers."""
        return None if isinstance(self.freeze, Unfreeze) else self.freeze.kept

    def applies(self, rewrite: RewriteName) -> bool:
        """Whether a rewrite was decided on."""
        return any(each.applies for each in self.rewrites if each.name is rewrite)

    @property
    def steps(self) -> int:
        """Steps in the whole stage."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Plan:
    """A whole run: all that the engine is told.

    `text` is the experiment as a spec with everything filled in; `identity` is the part of it that the numbers depend
    on, which leaves out how the run uses the machine.
    """

    name: str
    description: str
    seed: int
    data: Use
    model: Model
    metrics: tuple[Use, ...]
    reports: tuple[Use, ...]
    runtime: Runtime
    facts: DataFacts
    layers: tuple[LayerCount, ...]
    stages: tuple[StagePlan, ...]
    text: str
    identity: str
    places: tuple[tuple[Use, str], ...] = field(default=(), compare=False)
    """Every component, and where the spec has it: `pets.exp:9:11`."""

    def place_of(self, owner: object) -> str | None:
        """Where the spec has a component; None where it is not written."""
        return next((place for use, place in self.places if use == owner or use.component is owner), None)

    @property
    def inference(self) -> Inference:
        """How the trained network is asked."""
        last = self.stages[-1]
        return Inference(self.model, last.data, last.loss, self.metrics, self.reports, self.runtime, self.seed)

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return sum(layer.parameters for layer in self.layers)

    def as_json(self, every_step: bool = True) -> dict[str, Any]:
        """`plan --json`'s answer; without `every_step` plan.json's, which samples the schedules of long stages."""
        facts = self.facts
        data: dict[str, Any] = {"task": facts.task, "train": facts.train, "valid": facts.valid, "test": facts.test}
        optional = {"classes": facts.classes, **facts.entities, "range": facts.range}
        data.update({name: value for name, value in optional.items() if value is not None})
        data.update({"summary": dict(facts.summary)} if facts.summary else {})
        data.update({"guesses": dict(facts.guesses)} if facts.guesses else {})
        return {
            "format_version": FORMAT_VERSION,
            "experiment": self.name,
            "seed": self.seed,
            "data": data,
            "model": {"parameters": self.parameters},
            "stages": [_stage_json(stage, every_step) for stage in self.stages],
        }


def _stage_json(stage: StagePlan, every_step: bool) -> dict[str, Any]:
    every = {"lr": stage.rates, "momentum": stage.momentum}
    return {
        "name": stage.name,
        "epochs": stage.epochs,
        "steps_per_epoch": stage.steps_per_epoch,
        "steps": stage.steps,
        "batch_size": stage.batch_size,
        "batches_per_step": stage.batches_per_step,
        "groups": [vars(group) for group in stage.groups],
        "schedule": every if every_step else schedule_json(stage.rates, stage.momentum),
        "rewrites": [vars(rewrite) for rewrite in stage.rewrites],
        "hints": list(stage.hints),
    }
