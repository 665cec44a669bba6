"""The layers and groups that a body or a whole model publishes, held against what the language and the engine need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dotexp.components.facts import BodyFacts, LayerGroup
from dotexp.language.characters import NAME
from dotexp.language.keywords import RESERVED

_OF_A_SPEC = ("body", "head")
"""Names that a spec gives the parts of a model."""


def layers_fault(facts: BodyFacts, kind: str) -> str | None:
    """Say what is wrong with the layers and groups of a component of this kind; None where nothing is.

    A spec must be able to write every name, and the groups hold every layer once, in order: what is in none would
    never train. A body's groups hold the head as well.
    """
    return next(_faults(facts, kind), None)


def _faults(facts: BodyFacts, kind: str) -> Iterator[str]:
    layers = (*facts.layers, "head") if kind == "body" else facts.layers
    for layer in facts.layers:
        if kind == "body" and layer in _OF_A_SPEC:
            yield f"a layer is called `{layer}`, which is what a spec calls {_part(layer)}"
    yield from _unusable(layers, "layer")
    yield from _unusable([group.name for group in facts.groups], "group")
    if facts.groups and not facts.layers and kind != "body":
        yield "it publishes groups and no layers"
    elif facts.groups:
        yield from _missed(facts.groups, layers)


def _part(name: str) -> str:
    return "the whole body" if name == "body" else "the head"


def _unusable(names: Sequence[str], what: str) -> Iterator[str]:
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            yield f"a {what} is called {name!r}, which no spec can write: names are letters, digits, _ and inner -"
        elif name in RESERVED and name not in _OF_A_SPEC:
            yield f"a {what} is called `{name}`, which is a word of the language"
    yield from (f"the {what} `{name}` stands twice" for name in _twice(names))


def _missed(groups: Sequence[LayerGroup], layers: Sequence[str]) -> Iterator[str]:
    listed = [layer for group in groups for layer in group.layers]
    if listed == list(layers):
        yield from _like_a_layer(groups, layers)
        return
    unknown = [layer for layer in listed if layer not in layers]
    missing = [layer for layer in layers if layer not in listed]
    yield (
        f"its groups hold `{unknown[0]}`, which is no layer" if unknown
        else f"the layer `{missing[0]}` is in none of its groups, and would never train" if missing
        else f"the layer `{twice[0]}` is in two places of its groups" if (twice := _twice(listed))
        else "its groups hold the layers in another order than the model's"
    )  # fmt: skip


def _like_a_layer(groups: Sequence[LayerGroup], layers: Sequence[str]) -> Iterator[str]:
    for group in groups:
        if not group.layers:
            yield f"the group `{group.name}` has no layer"
        elif group.name in layers and tuple(group.layers) != (group.name,):
            yield f"the group `{group.name}` has the name of a layer, and holds others"


def _twice(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return [name for number, name in enumerate(listed) if name in listed[:number]]
