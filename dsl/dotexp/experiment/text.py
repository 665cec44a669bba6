"""A resolved experiment as text that resolves to the same experiment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dotexp.components.component import Use
from dotexp.components.facts import LayerGroup
from dotexp.components.params import Params, Range
from dotexp.components.provider import owner_of
from dotexp.experiment.experiment import (
    LANGUAGE_VERSION,
    Experiment,
    Freeze,
    FreezeBefore,
    FreezeLayers,
    Model,
    Stage,
    Unfreeze,
)
from dotexp.language.keywords import STAGE, TOP, Form, Keyword, in_place
from dotexp.language.layout import Bracket, Brackets, Item, laid_out, listing
from dotexp.language.source import HIDDEN


def as_text(experiment: Experiment) -> str:
    """Write an experiment out with everything filled in; paths are absolute, so the text may stand anywhere."""
    return laid_out(statements_of(experiment))


def statements_of(experiment: Experiment) -> list[Item]:
    """Return an experiment's statements, to be laid out. The key of each, and of each parameter, is its path."""
    return [*_statements(experiment)]


def _statements(experiment: Experiment) -> Iterator[Item]:
    yield Item(f"dotexp {LANGUAGE_VERSION}")
    described = f" {_quoted(experiment.description)}" if experiment.description else ""
    yield Item(f"experiment {experiment.name}{described}", key="experiment")
    yield Item(f"seed {experiment.seed}", blank=True, key="seed")
    blank = False
    for keyword in in_place(TOP, Form.component, Form.block, Form.listing, Form.settings):
        if keyword.form is Form.block:
            yield _spaced(_model(experiment.model))
            blank = True
        elif keyword.field and getattr(experiment, keyword.field):
            item = _statement(keyword, getattr(experiment, keyword.field), keyword.path)
            yield _spaced(item) if blank else item
            blank = False
    for stage in experiment.stages:
        yield _spaced(_stage(stage, experiment))


def _spaced(item: Item) -> Item:
    item.blank = True
    return item


def _model(model: Model) -> Item:
    if model.whole is not None:
        return _use("model ", model.whole, path="model")
    assert model.body is not None and model.head is not None
    members = [_use("body ", model.body, path="model.body"), _use("head ", model.head, path="model.head")]
    if model.groups:
        groups = listing("groups", Bracket(Brackets.none, [_group(group) for group in model.groups]))
        groups.key = "model.groups"
        members.append(groups)
    return Item("model", Bracket(Brackets.block, members), key="model")


def _group(group: LayerGroup) -> Item:
    return Item(f"{group.name} ", Bracket(Brackets.list, [Item(layer) for layer in group.layers]))


def _stage(stage: Stage, experiment: Experiment) -> Item:
    place = f"stage.{stage.name}"
    members = [Item(freeze_text(stage.freeze), key=f"{place}.freeze")]
    for keyword in in_place(STAGE, Form.component, Form.listing):
        own = getattr(stage, keyword.field)
        if TOP not in keyword.places or own != getattr(experiment, keyword.field):
            members.append(_statement(keyword, own, f"{place}.{keyword.path}"))
    return Item(f"stage {stage.name}", Bracket(Brackets.block, members), key=place)


def _statement(keyword: Keyword, value: Use | Params | Sequence[Use], path: str) -> Item:
    if isinstance(value, Use):
        return _use(f"{keyword.word} ", value, path=path)
    if isinstance(value, Params):
        return Item(keyword.word, Bracket(Brackets.arguments, _arguments(value, path=path)), key=path)
    items = [_use("", use, path=f"{path}.{number}") for number, use in enumerate(value)] or [Item("none")]
    made = listing(keyword.word, Bracket(Brackets.none, items))
    made.key = path
    return made


def freeze_text(freeze: Freeze) -> str:
    """Write a freeze statement."""
    if isinstance(freeze, Unfreeze):
        return "unfreeze"
    kept = f" except {freeze.kept}" if freeze.kept else ""
    if isinstance(freeze, FreezeBefore):
        return f"freeze before {freeze.layer}{kept}"
    assert isinstance(freeze, FreezeLayers)
    items = (f"{item.first}..{item.last}" if item.last else item.first for item in freeze.items)
    return f"freeze {', '.join(items)}{kept}"


def use_text(use: Use) -> str:
    """Write a component with every parameter, on one line."""
    return _flat(_use("", use))


def value_text(value: Any, short: bool = False) -> str:
    """Write a parameter's value as the language does, on one line.

    A `short` component is its bare name and the parameters whose value is not their default.
    """
    return _flat(_value("", value, short))


def groups_text(groups: Sequence[LayerGroup]) -> str:
    """Write learning-rate groups as behind `groups`."""
    return ", ".join(_flat(_group(group)) for group in groups)


def _flat(item: Item) -> str:
    assert item.flat is not None, "an item without comments and trailing commas can stand on one line"
    return item.flat


def _use(lead: str, use: Use, short: bool = False, path: str = "") -> Item:
    owner = owner_of(use.component.provider)
    name = f"{owner}.{use.name}" if owner and owner != "dotexp" and not short else use.name
    arguments = _arguments(use.params, short, path)
    return Item(f"{lead}{name}", Bracket(Brackets.arguments, arguments) if arguments else None, key=path)


def _arguments(params: BaseModel, short: bool = False, path: str = "") -> list[Item]:
    shown = ((name, value) for name, value in params if not (short and _is_default(params, name, value)))
    return [_value(f"{name} = ", value, short, f"{path}.{name}") for name, value in shown]


def _is_default(params: BaseModel, name: str, value: Any) -> bool:
    field = type(params).model_fields[name]
    return not field.is_required() and bool(value == field.get_default(call_default_factory=True, validated_data={}))


def _value(lead: str, value: Any, short: bool = False, path: str = "") -> Item:
    match value:
        case Use():
            return _use(lead, value, short, path)
        case tuple() | list():
            items = [_value("", item, short, f"{path}.{number}") for number, item in enumerate(value)]
            return Item(lead, Bracket(Brackets.list, items), key=path)
        case dict():
            entries = [_value(f"{_quoted(key)} = ", item, short) for key, item in value.items()]
            return Item(lead, Bracket(Brackets.map, entries), key=path)
    return Item(f"{lead}{_plain(value)}", key=path)


def _plain(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case Enum():
            return str(value.value)
        case int() | float():
            return repr(value)
        case str():
            return _quoted(value)
        case Path():
            return _quoted(os.path.abspath(value))
        case Range(low=low, high=high):
            return f"{low!r}..{high!r}"
    raise TypeError(f"the language has no way to write {value!r}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{HIDDEN.sub(_escape, escaped)}"'


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
