"""Former names of components, parameters and enum members: they work, and warn with the current name."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import pytest
from dotexp import Component, FormerName, OfKind, Params, Positional, Use, former_members
from dotexp.components.registry import Provider, Registry, load_registry
from dotexp.language.keywords import FORMER, RESERVED
from dotexp.testing import check_component
from pydantic import Field

from specs import IMAGES, checked, resolved


@former_members(soft="gentle", mild="gentle")
class Manner(StrEnum):
    """How to wait."""

    gentle = "gentle"
    harsh = "harsh"


class InnerParams(Params):
    """An inner component."""

    size: Annotated[int, FormerName("width")] = Field(1, ge=1, le=9, description="size")


class PatienceParams(Params):
    """Wait."""

    epochs: Annotated[int, Positional(), FormerName("rounds"), FormerName("n")] = Field(
        2, ge=1, le=100, description="epochs"
    )
    manner: Manner | None = Field(None, description="how")
    inner: Annotated[Use, OfKind("callback")] | None = Field(None, description="another")


OFFERED = (
    Component("callback", "patience", PatienceParams, "toys:build", provider="toys", former_names=("waiting",)),
    Component("callback", "inner", InnerParams, "toys:build", provider="toys", former_names=("kernel", "core")),
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins, and one whose components were renamed."""
    return Registry((*load_registry().providers, Provider("toys", OFFERED)))


def found(registry: Registry, callbacks: str, *overrides: str) -> tuple[object, list[tuple[str, str, str | None]]]:
    text = f"{IMAGES}callbacks {callbacks}\n"
    experiment, diagnostics = checked(text, *overrides, registry=registry)
    assert experiment is not None, [d.message for d in diagnostics]
    uses = experiment.experiment.callbacks
    return uses, [(d.code, d.span.text if d.span else "", d.suggestion) for d in diagnostics]


@pytest.mark.parametrize(
    ("former", "current", "warnings"),
    [
        ("waiting(3)", "patience(3)", [("waiting", "patience")]),
        ("toys.waiting(3)", "patience(3)", [("waiting", "patience")]),
        ("patience(rounds = 3)", "patience(3)", [("rounds", "epochs")]),
        ("patience(n = 3)", "patience(3)", [("n", "epochs")]),
        ("patience(manner = soft)", "patience(manner = gentle)", [("soft", "gentle")]),
        ("patience(manner = mild)", "patience(manner = gentle)", [("mild", "gentle")]),
        ("patience(inner = core(width = 4))", "patience(inner = inner(size = 4))",
         [("core", "inner"), ("width", "size")]),
        ("waiting(rounds = 3, manner = mild)", "patience(3, manner = gentle)",
         [("waiting", "patience"), ("rounds", "epochs"), ("mild", "gentle")]),
    ],
)  # fmt: skip
def test_a_former_name_means_the_current_one_and_warns(
    registry: Registry, former: str, current: str, warnings: list[tuple[str, str]]
) -> None:
    uses, diagnostics = found(registry, former)
    assert (uses, []) == found(registry, current)
    assert diagnostics == [("W507", old, new) for old, new in warnings]


def test_an_override_may_use_a_former_name(registry: Registry) -> None:
    uses, diagnostics = found(registry, "patience(inner = inner)", "callbacks=waiting(n=3)")
    assert uses == found(registry, "patience(3)")[0]
    assert [(code, new) for code, _, new in diagnostics] == [("W507", "patience"), ("W507", "epochs")]


def test_a_former_and_the_current_name_are_one_parameter(registry: Registry) -> None:
    _, diagnostics = checked(f"{IMAGES}callbacks patience(rounds = 3, epochs = 4)", registry=registry)
    assert sorted(d.code for d in diagnostics) == ["E202", "W507"]


def test_what_is_written_out_has_the_current_names(registry: Registry) -> None:
    from dotexp.experiment.text import as_text

    experiment = resolved(f"{IMAGES}callbacks waiting(n = 3, manner = soft)", registry=registry).experiment
    assert "callbacks toys.patience(epochs = 3, manner = gentle, inner = none)" in as_text(experiment)


class TakenParams(Params):
    """A parameter whose former name is another's."""

    one: Annotated[int, FormerName("other")] = Field(1, ge=1, le=9, description="one")
    other: int = Field(1, ge=1, le=9, description="other")


@former_members(old="nowhere")
class Astray(StrEnum):
    """A former member that stands for none."""

    here = "here"


class AstrayParams(Params):
    """An enumeration whose former member stands for none."""

    where: Astray = Field(Astray.here, description="where")


@pytest.mark.parametrize("params", [TakenParams, AstrayParams])
def test_a_former_name_that_cannot_work_is_told_to_the_author(params: type[Params]) -> None:
    with pytest.raises(AssertionError, match=r"was called other|nowhere"):
        check_component(Component("callback", "taken", params, "toys:build_body"))


def test_a_statements_former_word_means_the_current_one_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMER, "measures", "metrics")  # type: ignore[misc]
    monkeypatch.setitem(RESERVED, "measures", "TOP_LISTING")  # type: ignore[misc]
    monkeypatch.setitem(FORMER, "criterion", "loss")  # type: ignore[misc]
    monkeypatch.setitem(RESERVED, "criterion", "COMPONENT")  # type: ignore[misc]
    text = IMAGES.replace("metrics", "measures").replace("freeze body", "freeze body criterion cross_entropy")
    experiment, diagnostics = checked(text)
    assert experiment is not None
    assert experiment.experiment == resolved(IMAGES).experiment
    assert [(d.code, d.span.text if d.span else "", d.suggestion) for d in diagnostics] == [
        ("W507", "measures", "metrics"),
        ("W507", "criterion", "loss"),
    ]
