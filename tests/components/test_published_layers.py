"""What a body publishes of its layers is held against what the language can name and what would never train."""

from __future__ import annotations

import pytest
from dotexp import BodyFacts, BodyParams, Component, LayerGroup, ModelFacts, Params
from strangers import registry_offering

from specs import IMAGES, RATINGS, faults, only

BODY = IMAGES.replace("resnet18(weights = none)", "tiny")


class TinyParams(BodyParams):
    """A body of a stranger."""

    weights: None = None


class WholeParams(Params):
    """A model of a stranger."""


def body(layers: tuple[str, ...], *groups: tuple[str, ...]) -> Component:
    named = tuple(LayerGroup(name, layers) for name, *layers in groups)  # type: ignore[arg-type]
    named = tuple(LayerGroup(group.name, tuple(group.layers)) for group in named)
    return Component("body", "tiny", TinyParams, "acme:build", BodyFacts(layers=layers, groups=named))


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (body(("a", "b"), ("early", "a"), ("late", "head")), "`b` is in none of its groups, and would never train"),
        (body(("a", "b"), ("all", "a", "b")), "`head` is in none of its groups"),
        (body(("a", "b"), ("early", "a", "c"), ("late", "b", "head")), "hold `c`, which is no layer"),
        (body(("a", "b"), ("early", "a", "b"), ("late", "b", "head")), "`b` is in two places of its groups"),
        (body(("a", "b"), ("late", "b", "head"), ("early", "a")), "another order"),
        (body(("a", "a")), "the layer `a` stands twice"),
        (body(("a", "b"), ("one", "a"), ("one", "b", "head")), "the group `one` stands twice"),
        (body(("a", "b"), ("a", "a", "b"), ("late", "head")), "has the name of a layer"),
        (body(("a",), ("empty",), ("all", "a", "head")), "the group `empty` has no layer"),
        (body(("freeze",)), "`freeze`, which is a word of the language"),
        (body(("a",), ("fit", "a", "head")), "`fit`, which is a word of the language"),
        (body(("a b",)), "'a b', which no spec can write"),
        (body(("1st",)), "'1st', which no spec can write"),
        (body(("",)), "'', which no spec can write"),
        (body(("layer.1",)), "'layer.1', which no spec can write"),
        (body(("a", "head")), "`head`, which is what a spec calls the head"),
        (body(("body",)), "`body`, which is what a spec calls the whole body"),
    ],
)
def test_layers_that_cannot_be_named_or_would_never_train_are_the_plugins_fault(
    component: Component, said: str
) -> None:
    diagnostic = only(BODY, registry=registry_offering(component))
    assert diagnostic.code == "E215"
    assert diagnostic.message.startswith("body `tiny` of ") and said in diagnostic.message
    assert diagnostic.span is not None and diagnostic.span.text.startswith("tiny")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (ModelFacts(layers=("a", "b"), groups=(LayerGroup("one", ("a",)),)), "`b` is in none of its groups"),
        (ModelFacts(groups=(LayerGroup("one", ("a",)),)), "groups and no layers"),
        (ModelFacts(layers=("model",)), "`model`, which is a word of the language"),
    ],
)
def test_a_whole_models_layers_are_held_to_the_same(facts: ModelFacts, said: str) -> None:
    registry = registry_offering(Component("model", "tiny", WholeParams, "acme:build", facts))
    diagnostic = only(RATINGS.replace("embedding_dot_bias(factors = 4)", "tiny"), registry=registry)
    assert diagnostic.code == "E215" and said in diagnostic.message


@pytest.mark.parametrize(
    "component",
    [
        body(("a", "b")),
        body(("a", "b"), ("a", "a"), ("rest", "b", "head")),
        body(("stage-1", "größe"), ("all", "stage-1", "größe", "head")),
    ],
)
def test_sound_layers_pass(component: Component) -> None:
    assert faults(BODY, registry=registry_offering(component)) == []
