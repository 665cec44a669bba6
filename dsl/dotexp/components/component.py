"""What a plugin offers: a component's kind, name, parameter model and builder, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, SerializeAsAny
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dotexp.components.facts import DataFacts, DataSignature, Facts
from dotexp.components.params import Params
from dotexp.language.diagnostics import Problem

AnyFacts = Facts | DataSignature
F = TypeVar("F", bound=AnyFacts)


@dataclass(frozen=True)
class Component:
    """One thing that a spec can name.

    Components that differ in little share a builder and a parameter model: each then has a `variant`, which the
    builder takes after the parameters, and `about`, a sentence that stands for the parameter model's docstring.
    """

    kind: str
    """Name of its kind (dotexp.components.kinds)."""

    name: str
    """Its name, one of the kind's namespace."""

    params: type[Params]
    """Its parameter model."""

    build: str
    """The builder, `"module:function"`, imported when a run needs it; its kind says what it takes and returns."""

    facts: AnyFacts | Callable[[Any], AnyFacts] | None = None
    """Facts of the kind's class, or a function of the parameters that returns them; None: the class's defaults."""

    check: Callable[[Any, DataFacts], Iterable[Problem]] | None = None
    """Looks at the parameters together with the opened data, and yields problems."""

    encode: str | None = None
    """Of data: the `"module:function"` that turns the inputs of `predict` into tensors."""

    recommend: str | None = None
    similar: str | None = None

    provider: str = ""
    """Name of the plugin that offers it; the registry fills it in."""

    variant: str | None = None
    about: str = ""

    former_names: tuple[str, ...] = field(default=())
    """Names that still work in a spec, with a warning that says the current one."""

    @property
    def doc(self) -> str:
        """What it is: its own sentence, or the first paragraph of the parameter model's docstring."""
        return " ".join((self.about or self.params.__doc__ or "").strip().split("\n\n")[0].split())

    def facts_for(self, params: Params) -> AnyFacts | None:
        """Facts of this component with these parameters; None where it declares none."""
        return self.facts(params) if callable(self.facts) else self.facts


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
        """Which data the component is for."""
        return self.facts_as(Facts)

    def facts_as(self, kind: type[F]) -> F:
        """The component's facts as a class of facts; the class's defaults where it declares none, or others."""
        facts = self.component.facts_for(self.params)
        return facts if isinstance(facts, kind) else kind()

    def build(self, *arguments: Any) -> Any:
        """Import the component's builder; call it with the parameters, the variant if any, and these arguments."""
        variant = () if self.component.variant is None else (self.component.variant,)
        return load_attribute(self.component.build)(self.params, *variant, *arguments)


def load_attribute(reference: str) -> Any:
    """Import what `"module:attribute"` names."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)
