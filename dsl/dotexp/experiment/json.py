"""A resolved experiment as JSON values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dotexp.components.component import Use
from dotexp.experiment.experiment import Experiment, Model, Stage, Unfreeze
from dotexp.experiment.text import freeze_text
from dotexp.language.keywords import MODEL, STAGE, TOP, Form, in_place

FORMAT_VERSION = 1


def as_json(experiment: Experiment) -> dict[str, Any]:
    """`resolve --json`'s answer: components as {name, provider, params}, everything filled in."""
    return {
        "format_version": FORMAT_VERSION,
        "experiment": experiment.name,
        "description": experiment.description,
        "seed": experiment.seed,
        **_statements(experiment, TOP),
        "stages": [
            {
                "name": stage.name,
                "freeze": None if isinstance(stage.freeze, Unfreeze) else freeze_text(stage.freeze),
                **_statements(stage, STAGE),
            }
            for stage in experiment.stages
        ],
    }


def _statements(owner: Experiment | Stage, place: str) -> dict[str, Any]:
    """Return what the statements of components hold, by keyword."""
    rows: dict[str, Any] = {}
    for keyword in in_place(place, Form.component, Form.block, Form.listing, Form.settings):
        if keyword.form is Form.block and isinstance(owner, Experiment):
            rows[keyword.word] = _model(owner.model)
        elif keyword.field:
            rows[keyword.word] = json_value(getattr(owner, keyword.field))
    return rows


def _model(model: Model) -> dict[str, Any]:
    parts = (*in_place(MODEL, Form.component), *in_place(TOP, Form.block))
    uses = {each.word: getattr(model, each.field) for each in parts}
    return {
        **{word: json_value(use) for word, use in uses.items() if use is not None},
        "groups": [{"name": group.name, "layers": list(group.layers)} for group in model.groups],
    }


def json_value(value: Any) -> Any:
    """Return a parameter's value, a component or a list of them as JSON."""
    if isinstance(value, Use):
        return {"name": value.name, "provider": value.component.provider, "params": json_value(value.params)}
    if isinstance(value, BaseModel):
        return {name: json_value(item) for name, item in value}
    if isinstance(value, Path):
        return os.path.abspath(value)
    if isinstance(value, tuple):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    return value
