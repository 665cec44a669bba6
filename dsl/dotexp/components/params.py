"""Bases and marks of parameter models."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from dotexp.language.effects import Effect
from dotexp.record import Record


class Params(BaseModel):
    """Base of every component's parameters: strict, frozen, nothing unknown. Its docstring is the component's."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=True,
        defer_build=True,  # a check uses few of the installed components, and building a model takes a millisecond
    )


class Positional(Record):
    """Marks a parameter that may be given without its name: `factors: Annotated[int, Positional()] = …`."""


class Percent(Record):
    """Marks a number that may be written with `%`: `valid: Annotated[float, Percent()] = …`."""


class FormerName(Record):
    """Marks a parameter's former name, which still works and warns: `ratio: Annotated[float, FormerName("stretch")]`.

    A parameter may have several.
    """

    name: str


_E = TypeVar("_E", bound=Enum)


def former_members(**names: str) -> Callable[[type[_E]], type[_E]]:
    """Declare an enumeration's former member names, which still work and warn: `@former_members(old="new")`."""

    def declare(enum: type[_E]) -> type[_E]:
        enum.__former_members__ = names  # type: ignore[attr-defined]
        return enum

    return declare


def former_members_of(enum: type[Enum]) -> Mapping[str, str]:
    """Return the current name of each former member of an enumeration."""
    names: Mapping[str, str] = getattr(enum, "__former_members__", {})
    return names


class OfKind(Record):
    """Marks which kind of component a `Use` must be: `Annotated[Use, OfKind("transform")]`."""

    kind: str


class Affects(Record):
    """Marks what another value of a parameter does to a run, where that is less than to change the weights.

    `memory: Annotated[float, Affects(Effect.speed)]`; `note` says what it does besides. `diff` shows both.
    """

    effect: Effect
    note: str = ""


def effect_of(field: FieldInfo) -> Affects:
    """Return what another value of a parameter does to a run: it changes the weights, unless it is marked."""
    return next((mark for mark in field.metadata if isinstance(mark, Affects)), Affects(Effect.weights))


class OncePerExperiment(Record):
    """Marks a parameter of data that all stages share: which examples there are, their labels, their split.

    `check` refuses another value in a stage's data: with two splits one stage trains on what another validates with.
    """


class ForTasks(Record):
    """Marks a parameter with a meaning for some tasks only: `y_range: Annotated[…, ForTasks("regression")] = none`.

    `check` refuses another value than the default with data of another task.
    """

    tasks: tuple[str, ...]

    def __init__(self, *tasks: str) -> None:
        super().__init__(tasks=tasks)


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; written `0..5`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)
    low: float
    high: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"a range runs from the lower number to the higher one: {self.high:g}..{self.low:g}")
        return self
