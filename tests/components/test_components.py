"""Every component that the bundled plugins offer keeps the rules for components."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from dotexp.components.component import Component, load_attribute
from dotexp.components.params import Params
from dotexp.components.registry import load_registry
from dotexp.testing import check_component
from pydantic import Field
from pydantic.fields import FieldInfo

REGISTRY = load_registry()
COMPONENTS: list[Component] = [c for c in REGISTRY.components if c.provider.startswith("dotexp_")]
MODELS = list(dict.fromkeys(component.params for component in COMPONENTS))
"""The distinct parameter models: components that differ in little share one."""

FIELDS = [(model, name) for model in MODELS for name in model.model_fields]
BUILDERS = sorted(
    {
        r
        for c in COMPONENTS
        for r in (c.build, c.inputs and c.inputs.encoder, *(q.answer for q in c.queries))
        if r is not None
    }
)


def label(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def numbers(annotation: Any, bounds: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Bounds that hold for each number in a type: its own, and those of the unions around it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [m for part in arguments[1:] for m in (part.metadata if isinstance(part, FieldInfo) else (part,))]
        yield from numbers(arguments[0], (*bounds, *inner))
    elif origin in (Union, types.UnionType):
        for choice in arguments:
            yield from numbers(choice, bounds)
    elif origin is not None:
        for item in arguments:
            yield from numbers(item, ())
    elif annotation in (int, float):
        yield bounds


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=label)
def test_every_number_has_bounds_on_both_sides(model: type[Params], name: str) -> None:
    field = model.model_fields[name]
    for bounds in numbers(field.annotation, tuple(field.metadata)):
        assert any(isinstance(b, Ge | Gt) for b in bounds), f"{name} has no lower bound"
        assert any(isinstance(b, Le | Lt) for b in bounds), f"{name} has no upper bound"


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=label)
def test_every_parameter_is_described(model: type[Params], name: str) -> None:
    assert model.model_fields[name].description, f"{name} has no description"


@pytest.mark.parametrize("model", MODELS, ids=label)
def test_a_component_of_every_model_passes_the_check_for_plugins(model: type[Params]) -> None:
    assert model.__doc__ != Params.__doc__
    check_component(next(component for component in COMPONENTS if component.params is model))


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_builder_is_a_function(builder: str) -> None:
    assert callable(load_attribute(builder))


def test_every_component_has_a_kind_and_is_described_in_a_sentence() -> None:
    assert [c.name for c in COMPONENTS if c.kind not in REGISTRY.kinds] == []
    assert [c.name for c in COMPONENTS if not c.doc.endswith(".")] == []


class Rest(StrEnum):
    some = "some"
    none = "none"


class RestParams(Params):
    """What is left."""

    rest: Rest = Field(Rest.some, description="how much")


def test_a_member_that_a_spec_cannot_name_is_refused() -> None:
    with pytest.raises(AssertionError, match="a spec cannot name none"):
        check_component(Component("loss", "rest", RestParams, "dotexp_losses.losses.modules:CrossEntropy"))


def test_no_kind_has_a_name_twice() -> None:
    names = [(c.kind, c.name) for c in COMPONENTS]
    assert len(names) == len(set(names))


def test_numbers_are_found_wherever_they_are() -> None:
    """The rule above is only as good as its eyes."""
    bounded = Annotated[float, Ge(0), Le(1)]
    assert list(numbers(int, (Ge(1),))) == [(Ge(1),)]
    assert list(numbers(bounded | None, ())) == [(Ge(0), Le(1))]
    assert list(numbers(tuple[float, ...], (Ge(0),))) == [()]
    assert list(numbers(dict[str, bounded], ())) == [(Ge(0), Le(1))]
    assert list(numbers(bool | str | type[Enum], ())) == []


def test_the_language_s_components_are_walked() -> None:
    assert {("optimizer", "adam"), ("policy", "one_cycle"), ("loss", "mse"), ("metric", "rmse")} <= {
        (c.kind, c.name) for c in COMPONENTS
    }
    assert all(inspect.isclass(c.params) and issubclass(c.params, Params) for c in COMPONENTS)
