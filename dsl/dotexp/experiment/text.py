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
from dotexp.components.registry import owner_of
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
        yield f"model {use_text(model.whole)}"
        return
    assert model.body is not None and model.head is not None
    yield "model {"
    yield f"  body {use_text(model.body)}"
    yield f"  head {use_text(model.head)}"
    yield f"  groups {', '.join(_group(group) for group in model.groups)}"
    yield "}"


def _group(group: LayerGroup) -> str:
    return f"{group.name} [{', '.join(group.layers)}]"


def _stage(stage: Stage, experiment: Experiment) -> Iterator[str]:
    yield f"stage {stage.name} {{"
    yield f"  {freeze_text(stage.freeze)}"
    for keyword in in_place(STAGE, Form.component, Form.listing):
        own = getattr(stage, keyword.field)
        if TOP not in keyword.places or own != getattr(experiment, keyword.field):
            yield f"  {_statement(keyword.word, own)}"
    yield "}"


def _statement(word: str, value: Use | Params | Sequence[Use]) -> str:
    if isinstance(value, Use):
        return f"{word} {use_text(value)}"
    if isinstance(value, Params):
        return f"{word}{_arguments(value)}"
    return f"{word} {', '.join(use_text(use) for use in value) or 'none'}"


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
    """Write a component with every parameter."""
    owner = owner_of(use.component.provider)
    qualified = f"{owner}.{use.name}" if owner and owner != "dotexp" else use.name
    return f"{qualified}{_arguments(use.params)}"


def _arguments(params: BaseModel) -> str:
    values = ", ".join(f"{name} = {value_text(value)}" for name, value in params)
    return f"({values})" if values else ""


def value_text(value: Any) -> str:
    """Write a parameter's value as the language does."""
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
        case Use():
            return use_text(value)
        case tuple() | list():
            return f"[{', '.join(value_text(item) for item in value)}]"
        case dict():
            entries = (f"{_quoted(key)} = {value_text(item)}" for key, item in value.items())
            return f"{{{', '.join(entries)}}}"
    raise TypeError(f"the language has no way to write {value!r}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{HIDDEN.sub(_escape, escaped)}"'


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
