"""What a plugin offers: a kind, a name, a parameter model and a builder, all without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, SerializeAsAny, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dotexp.diagnostics import Problem

if TYPE_CHECKING:
    from torch import nn

KINDS = (
    "data", "model", "body", "head", "weights", "transform", "split", "features", "loss", "optimizer", "policy",
    "learning_rate", "stages", "metric", "callback", "report",
)  # fmt: skip
"""Every kind of component; a kind is a namespace."""


class Task(StrEnum):
    """What is learned from the data."""

    classification = "classification"
    multilabel = "multilabel"
    regression = "regression"
    ratings = "ratings"


class Params(BaseModel):
    """Base of every component's parameters: strict, frozen, nothing unknown. Its docstring is the component's."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=True,
        defer_build=True,  # a check uses few of the installed components, and building a model takes a millisecond
    )


@dataclass(frozen=True)
class Positional:
    """Marks a parameter that may be given without its name: `factors: Annotated[int, Positional()] = …`."""


@dataclass(frozen=True)
class Percent:
    """Marks a number that may be written with `%`: `valid: Annotated[float, Percent()] = …`."""


@dataclass(frozen=True)
class OfKind:
    """Marks which kind of component a `Use` must be: `Annotated[Use, OfKind("transform")]`."""

    kind: str


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; written `0..5`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)
    low: float
    high: float

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"a range runs from the lower number to the higher one: {self.high:g}..{self.low:g}")
        return self


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
    `summary` are counts that a plan shows beside the others (rows read, duplicates, …). `vocabulary` is what
    prediction needs to encode new inputs (JSON values only).
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
    vocabulary: Mapping[str, Any] = field(default_factory=dict)


NO_FACTS = Facts()


@dataclass(frozen=True)
class Component:
    """One thing that the language can name.

    `build` is `"module:function"`, imported when the run needs it; what it takes and returns depends on the kind
    (plugins/README.md). `facts` is a `Facts` or a function of the parameters. `check` looks at the parameters
    together with the opened data and yields problems. `encode`, for data, is the `"module:function"` that turns the
    inputs of `predict` into tensors; `recommend` and `similar`, likewise, answer what a user may like and what is like
    an item (plugins/README.md). `provider` is filled in by the registry: the plugin's name.

    Components that differ in little share a builder and a parameter model: each then has a `variant`, which the
    builder takes behind the parameters, and `about`, a sentence that stands for the parameter model's docstring.
    """

    kind: str
    name: str
    params: type[Params]
    build: str
    facts: Facts | Callable[[Any], Facts] = NO_FACTS
    check: Callable[[Any, DataFacts], Iterable[Problem]] | None = None
    encode: str | None = None
    recommend: str | None = None
    similar: str | None = None
    provider: str = ""
    variant: str | None = None
    about: str = ""

    @property
    def doc(self) -> str:
        """What it is: its own sentence, or the first paragraph of the parameter model's docstring."""
        return " ".join((self.about or self.params.__doc__ or "").strip().split("\n\n")[0].split())

    def facts_for(self, params: Params) -> Facts:
        """Facts of this component with these parameters."""
        return self.facts if isinstance(self.facts, Facts) else self.facts(params)


class Use(BaseModel):
    """A component with its validated parameters."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid", defer_build=True)
    component: Annotated[Component, Field(exclude=True)]
    params: SerializeAsAny[Params]

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Any object: which components fit depends on what is installed."""
        return {"type": "object", "title": "component"}

    @property
    def kind(self) -> str:
        """The component's kind."""
        return self.component.kind

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def facts(self) -> Facts:
        """What is known of it before anything is opened."""
        return self.component.facts_for(self.params)

    def build(self, *arguments: Any) -> Any:
        """Import the component's builder; call it with the parameters, the variant if any, and these arguments."""
        variant = () if self.component.variant is None else (self.component.variant,)
        return load_attribute(self.component.build)(self.params, *variant, *arguments)


def load_attribute(reference: str) -> Any:
    """Import what `"module:attribute"` names."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


class DataParams(Params):
    """Parameters that every data component has, beside its own."""

    batch_size: int = Field(64, ge=1, le=65536, description="examples in a batch")
    split_seed: int | None = Field(
        None, ge=0, lt=2**63, description="seed of the train/valid split; none takes the experiment's seed"
    )


Rate = Annotated[float, Field(gt=0, le=1e4)]
"""A learning rate."""

LearningRate = Annotated[
    Rate | Annotated[Use, OfKind("learning_rate")] | tuple[Rate, ...] | dict[str, Rate],
    Positional(),
    Field(description="peak learning rate: one for all groups, a slice, one a group, or a map by group"),
]
"""A policy's `lr`; as a field: `lr: LearningRate`."""


class PolicyParams(Params):
    """Base of every policy's parameters.

    A policy has `lr: LearningRate` (a number, a slice, a list or a map over the groups), says over how many epochs it
    runs, and `momentum` where it moves the optimizer's.
    """

    if TYPE_CHECKING:  # each policy declares it itself: an inherited field would come first, before `epochs`
        lr: LearningRate

    @property
    def total_epochs(self) -> int:
        """Epochs that the policy runs for."""
        raise TypeError(f"{type(self).__name__} says nothing of its epochs")

    @property
    def moves_momentum(self) -> bool:
        """Whether the policy sets the optimizer's momentum."""
        return False


class Schedule(NamedTuple):
    """A policy over `n` steps: `factor(i)` multiplies every group's peak learning rate at step i, `momentum(i)` is
    the momentum (None: the optimizer's own stays)."""

    factor: Callable[[int], float]
    momentum: Callable[[int], float] | None = None


class DataContext(NamedTuple):
    """What a data builder is told beside its parameters: the experiment's seed, and what the run's other data keeps.

    `shared` lives as long as the run: what one stage's data has read, another's need not read again. None: nothing
    is shared.
    """

    seed: int
    shared: MutableMapping[str, Any] | None = None


class Body(NamedTuple):
    """A model's body, built.

    `module` maps images (N, 3, H, W), normalised by `mean` and `std` (None: as they are, in 0..1), to features
    (N, `features`, h, w); `layers` names its parts in order.
    """

    module: nn.Module
    layers: Mapping[str, nn.Module]
    features: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class RunWeights(Params):
    """Start the body from the newest finished run of an experiment, or from the run in a folder."""

    run: Annotated[str, Positional()] = Field(
        min_length=1, max_length=4096, description="an experiment's name, a run's name, or the path of a run's folder"
    )
