"""Bases and marks of parameter models."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, model_validator


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
