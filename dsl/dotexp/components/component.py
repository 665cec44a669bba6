"""What a plugin offers: a kind, a name, a parameter model and a builder, all without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, SerializeAsAny
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dotexp.components.facts import NO_FACTS, DataFacts, Facts
from dotexp.components.params import OfKind, Params, Positional
from dotexp.language.diagnostics import Problem

if TYPE_CHECKING:
    from torch import nn

KINDS = (
    "data", "model", "body", "head", "weights", "transform", "split", "features", "loss", "optimizer", "policy",
    "learning_rate", "stages", "metric", "callback", "report",
)  # fmt: skip
"""Every kind of component; a kind is a namespace."""


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

    `former_names` still work in a spec, with a warning that names the current one.
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
    former_names: tuple[str, ...] = ()

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
