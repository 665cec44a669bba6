"""What a plugin offers: a component's kind, name, parameter model and builder, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from dotexp.components.built import built_fault
from dotexp.components.calls import PluginError, calling
from dotexp.components.facts import DataFacts, DataSignature, Facts
from dotexp.components.input_form import InputForm
from dotexp.components.kinds import words
from dotexp.components.params import Params
from dotexp.components.queries import Query
from dotexp.language.diagnostics import Problem
from dotexp.record import Record

AnyFacts = Facts | DataSignature
F = TypeVar("F", bound=AnyFacts)
T = TypeVar("T")


class ByPath(Generic[T]):
    """A field of a record that is given as a value, or as the `"module:attribute"` of one, imported when it is read.

    The default, if there is one, is the only argument.
    """

    def __init__(self, *default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> T:
        if instance is None or self._name not in instance.__dict__:
            if not self._default:
                raise AttributeError(self._name)
            return self._default[0]
        value = instance.__dict__[self._name]
        if isinstance(value, str):
            value = instance.__dict__[self._name] = load_attribute(value)
        return value  # type: ignore[no-any-return]

    def __set__(self, instance: Any, value: T | str) -> None:
        instance.__dict__[self._name] = value


class Origin(Protocol):
    """The plugin that a component comes from."""

    @property
    def distribution(self) -> str:
        """Name of its distribution."""
        ...

    @property
    def version(self) -> str:
        """Version of the distribution."""
        ...


class Component(Record):
    """One thing that a spec can name.

    `params`, `facts` and `check` may be given by import path, `"module:attribute"`: they are then imported when a spec
    uses the component. Components that differ in little share a builder and a parameter model: each then has a
    `variant`, which the builder takes after the parameters, and `about`, a sentence that stands for the parameter
    model's docstring.
    """

    kind: str
    """Name of its kind (dotexp.components.kinds)."""

    name: str
    """Its name, one of the kind's namespace."""

    params: ByPath[type[Params]] = ByPath()
    """Its parameter model."""

    build: str = ""
    """The builder, `"module:function"`, imported when a run needs it; its kind says what it takes and returns."""

    facts: ByPath[AnyFacts | Callable[[Any], AnyFacts] | None] = ByPath(None)
    """Facts of the kind's class, or a function of the parameters that returns them; None: the class's defaults."""

    check: ByPath[Callable[[Any, DataFacts], Iterable[Problem]] | None] = ByPath(None)
    """Looks at the parameters together with the opened data, and yields problems."""

    inputs: InputForm | None = None
    """Of data: how it takes the inputs of `predict`; None: nothing can be predicted from it."""

    queries: tuple[Query, ...] = ()
    """Of data, a model, a body or a head: what `predict` can ask a finished run of it."""

    provider: str = ""
    """Name of the plugin that offers it; the registry fills it in."""

    origin: Origin | None = None
    """The plugin's distribution and version; the registry fills it in."""

    variant: str | None = None
    about: str = ""

    former_names: tuple[str, ...] = ()
    """Names that still work in a spec, with a warning that says the current one."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "origin"}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Component) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str | None, ...]:
        return self.provider, self.kind, self.name, self.build, self.variant

    def given(self, field: str) -> Any:
        """Return a field as it was given: an import path stays one."""
        return self.__dict__.get(field)

    @property
    def doc(self) -> str:
        """What it is: its own sentence, or the first paragraph of the parameter model's docstring."""
        return " ".join((self.about or self.params.__doc__ or "").strip().split("\n\n")[0].split())

    @property
    def label(self) -> str:
        """Its name with its plugin's, as messages have it: "body `tiny` of acme-bodies 0.1.0"."""
        of = f" of {self.origin.distribution} {self.origin.version}" if self.origin is not None else ""
        return f"{words(self.kind)} `{self.name}`{of}"

    def facts_for(self, params: Params) -> AnyFacts | None:
        """Facts of this component with these parameters; None where it declares none.

        Raises PluginError where the plugin's function fails, or returns what is no facts.
        """
        with calling(self, "its facts"):
            facts = self.facts(params) if callable(self.facts) else self.facts
        if facts is not None and not isinstance(facts, Facts | DataSignature):
            raise PluginError(self, f"has facts that are a {type(facts).__name__}, not {_FACTS}", code="E215")
        return facts


_FACTS = "of a class of facts, such as `BodyFacts`"


class Use(Record):
    """A component with its validated parameters."""

    component: Component
    params: Params

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": ["object", "string"], "title": "component"}  # which components fit depends on what is installed

    @property
    def kind(self) -> str:
        """The component's kind."""
        return self.component.kind

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def label(self) -> str:
        """The component's name with its plugin's."""
        return self.component.label

    @property
    def facts(self) -> Facts:
        """Which data the component is for."""
        return self.facts_as(Facts)

    def facts_as(self, kind: type[F]) -> F:
        """The component's facts as a class of facts; the class's defaults where it declares none, or others."""
        facts = self.component.facts_for(self.params)
        return facts if isinstance(facts, kind) else kind()

    def build(self, *arguments: Any) -> Any:
        """Import the component's builder; call it with the parameters, the variant if any, and these arguments.

        Raises PluginError where it fails, or returns what its kind does not allow.
        """
        variant = () if self.component.variant is None else (self.component.variant,)
        with calling(self, f"importing its builder {self.component.build}"):
            builder = load_attribute(self.component.build)
        with calling(self, "its builder"):
            built = builder(self.params, *variant, *arguments)
        fault = built_fault(self.kind, built)
        if fault is not None:
            raise PluginError(self, fault)
        return built


def load_attribute(reference: str) -> Any:
    """Import what `"module:attribute"` names."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


class ComponentModule(Record):
    """A module of a plugin that lists components in `COMPONENTS`, imported when a spec names one of them."""

    path: str
    """Its import path."""

    names: dict[str, list[str]] | None = None
    """Names of its components by kind; None: known once it is imported."""
