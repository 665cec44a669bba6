"""A resolved experiment as text that resolves to the same experiment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

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
from dotexp.language.keywords import STAGE, TOP, Form, in_place
from dotexp.language.source import HIDDEN

_WIDEST = 100
_INDENT = "  "


def as_text(experiment: Experiment) -> str:
    """Write an experiment out with everything filled in; paths are absolute, so the text may stand anywhere."""
    return "\n".join(_lines(experiment)) + "\n"


def _lines(experiment: Experiment) -> Iterator[str]:
    yield f"dotexp {LANGUAGE_VERSION}"
    name = f"experiment {experiment.name}"
    yield f"{name} {_quoted(experiment.description)}" if experiment.description else name
    yield ""
    yield f"seed {experiment.seed}"
    for keyword in in_place(TOP, Form.component, Form.block, Form.listing, Form.settings):
        if keyword.form is Form.block:
            yield from ("", *_model(experiment.model), "")
        elif keyword.field and getattr(experiment, keyword.field):
            yield _statement(keyword.word, getattr(experiment, keyword.field))
    for stage in experiment.stages:
        yield ""
        yield from _stage(stage, experiment)


def _model(model: Model) -> Iterator[str]:
    if model.whole is not None:
        yield _statement("model", model.whole)
        return
    assert model.body is not None and model.head is not None
    yield "model {"
    yield f"  {_statement('body', model.body, 1)}"
    yield f"  {_statement('head', model.head, 1)}"
    yield f"  {_listed('groups', [_group(group) for group in model.groups], 1)}"
    yield "}"


def _group(group: LayerGroup) -> str:
    return f"{group.name} [{', '.join(group.layers)}]"


def _stage(stage: Stage, experiment: Experiment) -> Iterator[str]:
    yield f"stage {stage.name} {{"
    yield f"  {freeze_text(stage.freeze)}"
    for keyword in in_place(STAGE, Form.component, Form.listing):
        own = getattr(stage, keyword.field)
        if TOP not in keyword.places or own != getattr(experiment, keyword.field):
            yield f"  {_statement(keyword.word, own, 1)}"
    yield "}"


def _statement(word: str, value: Use | Params | Sequence[Use], depth: int = 0) -> str:
    """Write a statement; one too long for a line has an argument a line, so that a fault has a line of its own."""
    if isinstance(value, Use):
        return _layout(_use(f"{word} ", value), depth)
    if isinstance(value, Params):
        return _layout(_Bracketed(word, "()", _arguments(value)), depth)
    return _listed(word, [_layout(_use("", use), depth + 1) for use in value], depth)


def _listed(word: str, items: Sequence[str], depth: int) -> str:
    line = f"{word} {', '.join(items) or 'none'}"
    if "\n" not in line and len(line) + len(_INDENT * depth) <= _WIDEST:
        return line
    separator = f",\n{_INDENT * (depth + 1)}"
    return f"{word}\n{_INDENT * (depth + 1)}{separator.join(items)}"


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


class _Bracketed(NamedTuple):
    """Text with brackets behind it: what stands before them, the brackets, and what is in them."""

    lead: str
    brackets: str
    items: tuple[_Bracketed | str, ...]


def use_text(use: Use) -> str:
    """Write a component with every parameter, on one line."""
    return _flat(_use("", use))


def value_text(value: Any) -> str:
    """Write a parameter's value as the language does, on one line."""
    return _flat(_value("", value))


def _flat(node: _Bracketed | str) -> str:
    if isinstance(node, str):
        return node
    return f"{node.lead}{node.brackets[0]}{', '.join(map(_flat, node.items))}{node.brackets[1]}"


def _layout(node: _Bracketed | str, depth: int) -> str:
    """Write a node on one line where it fits, else with a line for each of its items."""
    flat = _flat(node)
    if isinstance(node, str) or not node.items or len(_INDENT * depth) + len(flat) <= _WIDEST:
        return flat
    items = "".join(f"{_INDENT * (depth + 1)}{_layout(item, depth + 1)},\n" for item in node.items)
    return f"{node.lead}{node.brackets[0]}\n{items}{_INDENT * depth}{node.brackets[1]}"


def _use(lead: str, use: Use) -> _Bracketed | str:
    owner = owner_of(use.component.provider)
    name = f"{owner}.{use.name}" if owner and owner != "dotexp" else use.name
    arguments = _arguments(use.params)
    return _Bracketed(f"{lead}{name}", "()", arguments) if arguments else f"{lead}{name}"


def _arguments(params: BaseModel) -> tuple[_Bracketed | str, ...]:
    return tuple(_value(f"{name} = ", value) for name, value in params)


def _value(lead: str, value: Any) -> _Bracketed | str:
    match value:
        case Use():
            return _use(lead, value)
        case tuple() | list():
            return _Bracketed(lead, "[]", tuple(_value("", item) for item in value))
        case dict():
            return _Bracketed(lead, "{}", tuple(_value(f"{_quoted(key)} = ", item) for key, item in value.items()))
    return f"{lead}{_plain(value)}"


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
