"""Nodes of the syntax tree that are made of Python values, and trees with nodes replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from dotexp.components.component import Use
from dotexp.components.params import Range
from dotexp.components.templates import ComponentTemplate, StageTemplate
from dotexp.language.source import Span
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Constant,
    Freeze,
    LayerItem,
    Listing,
    ListValue,
    MapValue,
    Number,
    NumberRange,
    StageBlock,
    Text,
    Value,
    Word,
)

_Node = TypeVar("_Node")


def value_node(value: object, span: Span) -> Value:
    """Return the node that means a Python value, placed at `span`. Raises TypeError where the language has none."""
    match value:
        case None | bool():
            return Constant(value, span)
        case Enum():
            return Call(Word(str(value.value), span), None, span)
        case int() | float():
            return Number(value, span)
        case str():
            return Text(value, span)
        case Path():
            return Text(os.path.abspath(value), span)
        case Range(low=low, high=high):
            return NumberRange(Number(low, span), Number(high, span), span)
        case list() | tuple():
            return ListValue(tuple(value_node(item, span) for item in value), span)
        case Mapping():
            return MapValue(tuple((Word(str(key), span), value_node(item, span)) for key, item in value.items()), span)
        case Use():
            return call_node(value.name, dict(value.params), span)
        case ComponentTemplate():
            return call_node(value.name, value.arguments, span)
    raise TypeError(f"the language has no way to write {value!r}")


def call_node(name: str, arguments: Mapping[str, Any], span: Span) -> Call:
    """Return a component's node: its name, which may say the plugin's (`vision.mlp`), and its arguments."""
    owner, _, bare = name.rpartition(".")
    return Call(Word(bare, span), argument_nodes(arguments, span), span, Word(owner, span) if owner else None)


def argument_nodes(arguments: Mapping[str, Any], span: Span) -> tuple[Argument, ...]:
    """Return the nodes of arguments by name."""
    return tuple(Argument(Word(name, span), value_node(value, span), span) for name, value in arguments.items())


def stage_node(stage: StageTemplate, span: Span) -> StageBlock:
    """Return a stage's node, all of it placed at `span`."""
    members: list[Component | Freeze | Listing] = []
    if stage.freeze or stage.freeze_before:
        before = Word(stage.freeze_before, span) if stage.freeze_before else None
        keep = Word(stage.keep, span) if stage.keep else None
        members.append(Freeze(False, before, tuple(_layers(item, span) for item in stage.freeze), keep, span))
    for keyword, template in {**stage.components, "fit": stage.fit}.items():
        call = call_node(template.name, template.arguments, span)
        members.append(Component(Word(keyword, span), call, None, span))
    for keyword, arguments in stage.changes.items():
        members.append(Component(Word(keyword, span), None, argument_nodes(arguments, span), span))
    for keyword, templates in stage.listings.items():
        calls = tuple(call_node(each.name, each.arguments, span) for each in templates)
        members.append(Listing(Word(keyword, span), calls, span))
    return StageBlock(Word(stage.name, span), tuple(members), span)


def _layers(item: str, span: Span) -> LayerItem:
    first, _, last = item.partition("..")
    return LayerItem(Word(first, span), Word(last, span) if last else None, span)


def with_values(node: _Node, values: Mapping[Span, Value]) -> _Node:
    """Return a tree with other values in the places given by their spans; all else is as it was."""
    if not isinstance(node, tuple):
        return node
    if isinstance(node, Value) and node.span in values:
        return values[node.span]  # type: ignore[return-value]
    parts: Iterable[Any] = (with_values(part, values) for part in node)
    return type(node)(*parts) if hasattr(node, "_fields") else tuple(parts)  # type: ignore[return-value]
