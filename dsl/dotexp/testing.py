"""Checks that a plugin's author runs over what the plugin offers."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from dotexp.components.component import Component, load_attribute
from dotexp.components.kinds import Kind
from dotexp.components.params import former_members_of
from dotexp.components.registry import load_registry
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.binding import former_names
from dotexp.experiment.bounds import bounds_of


def check_component(component: Component, kinds: Iterable[Kind] = ()) -> None:
    """Assert what the language relies on: a declared kind, documented and bounded parameters, defaults that validate,
    facts of the kind's class, a builder that imports and takes what its kind says.

    `kinds` are those that the plugin itself declares; the kinds of installed plugins are known.
    """
    label = f"{component.kind} {component.name}"
    known = {**_installed_kinds(), **{kind.name: kind for kind in kinds}}
    assert component.kind in known, f"{label}: no such kind; kinds are {', '.join(known)}"
    kind = known[component.kind]
    assert component.name.isidentifier(), f"{label}: a component's name is an identifier"
    assert issubclass(component.params, kind.params), f"{label}: parameters are a subclass of {kind.params.__name__}"
    assert component.params.__doc__ and component.doc, f"{label}: the parameter model's docstring says what it is"
    fields = component.params.model_fields
    for name, field in fields.items():
        _check_field(f"{label}: parameter {name}", field)
        taken = [former for former in former_names(field) if former in fields]
        assert not taken, f"{label}: parameter {name} was called {taken[0]}, and another parameter is called that"
    _check_defaults(label, component, kind)
    _check_builder(label, component, kind)


@cache
def _installed_kinds() -> Mapping[str, Kind]:
    return load_registry().kinds


def _check_field(label: str, field: FieldInfo) -> None:
    assert field.description, f"{label} has no description"
    expected = expected_for(field)  # raises TypeError for a type that the language has no value for
    for enum in expected.enums:
        unknown = set(former_members_of(enum).values()) - {member.value for member in enum}
        assert not unknown, f"{label}: a former member of {enum.__name__} stands for {unknown}, which is no member"
    hidden = sorted({"true", "false", "none"} & set(expected.members))
    assert not hidden, f"{label}: a spec cannot name {hidden[0]}, which is a constant of the language"
    assert bounds_of(field) or not _holds_numbers(field.annotation), f"{label} holds numbers without bounds"


def _holds_numbers(annotation: Any) -> bool:
    return annotation in (int, float) or any(_holds_numbers(argument) for argument in get_args(annotation))


def _check_defaults(label: str, component: Component, kind: Kind) -> None:
    if any(field.is_required() for field in component.params.model_fields.values()):
        return
    try:
        params = component.params()
    except ValidationError as error:
        raise AssertionError(f"{label}: the defaults do not validate: {error}") from error
    facts = component.facts_for(params)
    assert facts is None or isinstance(facts, kind.facts), f"{label}: its facts are no {kind.facts.__name__}"


def _check_builder(label: str, component: Component, kind: Kind) -> None:
    build = load_attribute(component.build)
    assert callable(build), f"{label}: {component.build} is not a function"
    takes = ("params", *(["variant"] if component.variant is not None else []), *kind.takes)
    try:
        inspect.signature(build).bind(*takes)
    except TypeError as error:
        said = f"{component.build} does not take ({', '.join(takes)}): {error}"
        raise AssertionError(f"{label}: {said}") from error


def check_face(module: str) -> None:
    """Assert that a plugin's face imports without torch, in an interpreter of its own."""
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0, f"importing {module} imports torch, or fails"


def check_optimizer(component: Component, **parameters: Any) -> None:
    """Assert that an optimizer trains: the loss of a small regression falls, and a group at rate 0 stays as it is."""
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 3, generator=generator)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    weights = torch.zeros(3, 1, requires_grad=True)
    still = torch.ones(2, requires_grad=True)
    groups = [
        {"params": [weights], "lr": 0.01, "weight_decay": 0.0, "name": "all"},
        {"params": [still], "lr": 0.0, "weight_decay": 0.0, "name": "still"},
    ]
    optimizer = load_attribute(component.build)(component.params(**parameters), groups)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((inputs @ weights - targets) ** 2).mean() + 0 * still.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2, f"{component.name}: the loss went from {losses[0]:.3g} to {losses[-1]:.3g} only"
    assert torch.equal(still, torch.ones(2)), f"{component.name}: parameters moved at a learning rate of 0"
