"""Kinds and tasks are open: plugins declare them as the core does."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import pytest
from dotexp import Answer, Component, DataFacts, Kind, OfKind, Params, Task, Use, hookimpl
from dotexp.components.component import load_attribute
from dotexp.components.registry import Registry, load_registry
from dotexp.sdk.answers import numbers, one_class, several_classes
from dotexp.testing import check_component
from pydantic import Field

from specs import RATINGS, faults, only, resolved

IMAGES = """
experiment listed
data image_list("images.csv"{})
model {{ body resnet18(weights = none)  head linear }}
loss cross_entropy
stage train {{ fit flat(epochs = 1, lr = 1e-3) }}
"""


class ScalerParams(Params):
    """Scale the gradient by a number."""

    by: float = Field(1.0, ge=0, le=10, description="the number")


class ScaledParams(Params):
    """Gradient descent, scaled."""

    scaler: Annotated[Use, OfKind("gradient_scaler")] = Field(description="how gradients are scaled")


SCALER = Kind("gradient_scaler", "gradient scalers", (), "a function of a gradient")
OFFERED = (
    Component("gradient_scaler", "constant", ScalerParams, "acme:constant"),
    Component("optimizer", "scaled", ScaledParams, "acme:scaled"),
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """Install modules with these hooks beside what is installed."""

    def install(**plugins: dict[str, object]) -> Registry:
        points = list(entry_points(group="dotexp"))
        for name, returned in plugins.items():
            module = types.ModuleType(f"made_{name}")
            for hook, value in returned.items():
                setattr(module, hook, hookimpl(lambda value=value: value))
            monkeypatch.setitem(sys.modules, module.__name__, module)
            points.append(EntryPoint(name, module.__name__, "dotexp"))
        return load_registry(points)

    return install


def test_a_plugin_s_kind_has_components_that_parameters_take(installed: Callable[..., Registry]) -> None:
    registry = installed(acme={"dotexp_kinds": [SCALER], "dotexp_components": OFFERED})
    assert registry.broken == ()
    text = f"{RATINGS}\noptimizer scaled(scaler = constant(by = 2.0))"
    optimizer = resolved(text, registry=registry).experiment.optimizer
    assert dict(optimizer.params)["scaler"].params == ScalerParams(by=2.0)
    unknown = only(f"{RATINGS}\noptimizer scaled(scaler = constnt)", registry=registry)
    assert unknown.message == "unknown gradient scaler `constnt`" and unknown.suggestion == "constant"
    assert unknown.help == "gradient scalers installed: constant"
    wrong = only(f"{RATINGS}\noptimizer scaled(scaler = 3)", registry=registry)
    assert "takes a gradient scaler, not a number" in wrong.message


def test_components_of_a_kind_that_nobody_declares_are_refused(installed: Callable[..., Registry]) -> None:
    registry = installed(acme={"dotexp_components": OFFERED})
    assert [p.name for p in registry.broken] == ["acme"]
    assert "no kind is called gradient_scaler" in str(registry.broken[0].error)


def test_a_plugin_may_offer_components_of_another_plugin_s_kind(installed: Callable[..., Registry]) -> None:
    other = {"dotexp_components": [Component("transform", "swirl", ScalerParams, "acme:swirl")]}
    assert installed(acme=other).broken == ()
    # whichever comes first by name
    registry = installed(zeta={"dotexp_kinds": [SCALER]}, acme={"dotexp_components": OFFERED})
    assert registry.broken == ()


@pytest.mark.parametrize(
    ("hook", "declared", "said"),
    [
        ("dotexp_kinds", [Kind("loss", "losses", (), "x")], "the kind loss is declared by dotexp already"),
        ("dotexp_kinds", [SCALER, "optimizer"], "'optimizer', which is not a Kind"),
        ("dotexp_tasks", [Task("ratings", "x", "a:b")], "the task ratings is declared by dotexp_collab already"),
        ("dotexp_tasks", [OFFERED[0]], "which is not a Task"),
    ],
)
def test_a_plugin_that_declares_what_it_may_not_is_told_of(
    installed: Callable[..., Registry], hook: str, declared: object, said: str
) -> None:
    registry = installed(zeta={hook: declared})
    assert [p.name for p in registry.broken] == ["zeta"]
    assert said in str(registry.broken[0].error)
    assert faults(RATINGS, registry=registry) == []


def test_a_kind_says_which_base_its_parameters_extend(installed: Callable[..., Registry]) -> None:
    registry = installed(acme={"dotexp_components": [Component("policy", "steps", ScalerParams, "acme:steps")]})
    assert "not a subclass of PolicyParams" in str(registry.broken[0].error)


def build_scaler(params: ScalerParams, steps: int) -> int:
    return steps


def test_check_component_holds_a_builder_to_its_kind() -> None:
    component = Component("gradient_scaler", "constant", ScalerParams, f"{__name__}:build_scaler")
    with pytest.raises(AssertionError, match="no such kind"):
        check_component(component)
    taking = Kind("gradient_scaler", "gradient scalers", ("steps",), "a number")
    check_component(component, [taking])
    with pytest.raises(AssertionError, match=r"does not take \(params\): missing a required argument: 'steps'"):
        check_component(component, [SCALER])


@pytest.mark.parametrize("name", ["newest(20%)", "leave_last(2)", "fold(5, 2)"])
def test_a_split_of_ratings_is_refused_for_images(name: str) -> None:
    diagnostic = only(IMAGES.format(f", valid = {name}"))
    bare = name.partition("(")[0]
    assert diagnostic.code == "E203" and diagnostic.message == f"unknown image split `{bare}`"
    assert diagnostic.help == f"`{bare}` is a rating split; image splits installed: column"


def test_a_split_of_images_is_refused_for_ratings() -> None:
    text = RATINGS.replace("latent_ratings", 'ratings("u.data", valid = vision.column("part"))')
    diagnostic = only(text)
    assert diagnostic.code == "E203" and diagnostic.message == "plugin `vision` has no rating split `column`"


def test_both_have_a_column_of_their_own() -> None:
    images = resolved(IMAGES.format(', valid = column("part")')).experiment.data
    ratings = resolved(RATINGS.replace("latent_ratings", 'ratings("u.data", valid = column("part"))')).experiment.data
    assert dict(images.params)["valid"].component.provider == "dotexp_vision"
    assert dict(ratings.params)["valid"].component.provider == "dotexp_collab"


FACTS = DataFacts("any", 1, 1, classes=("a", "b", "c"))


def test_the_tasks_that_are_declared_say_how_predictions_read() -> None:
    tasks = load_registry().tasks
    assert list(tasks) == ["ratings", "classification", "multilabel", "regression"]
    read = {name: load_attribute(task.answer) for name, task in tasks.items()}
    assert read == {
        "ratings": numbers, "classification": one_class, "multilabel": several_classes, "regression": numbers
    }  # fmt: skip


def test_answers() -> None:
    by_class = {"a": 0.2, "b": 0.7, "c": 0.6}
    assert one_class([0.2, 0.7, 0.6], FACTS) == Answer("b", by_class)
    assert several_classes([0.2, 0.7, 0.6], FACTS) == Answer(("b", "c"), by_class)
    assert several_classes([0.5, 0.4, 0.1], FACTS).value == ()
    assert numbers(3.5, FACTS) == numbers([3.5], FACTS) == Answer(3.5)
    assert numbers([1.0, 2.0], FACTS) == Answer((1.0, 2.0))
