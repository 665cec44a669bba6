"""A resolved experiment as JSON values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dotexp.components.component import Use
from dotexp.experiment.experiment import Experiment, Unfreeze
from dotexp.experiment.text import freeze_text

FORMAT_VERSION = 1


def as_json(experiment: Experiment) -> dict[str, Any]:
    """`resolve --json`'s answer: components as {name, provider, params}, everything filled in."""
    model = experiment.model
    parts = {"body": model.body, "head": model.head, "model": model.whole}
    return {
        "format_version": FORMAT_VERSION,
        "experiment": experiment.name,
        "description": experiment.description,
        "seed": experiment.seed,
        "data": _value(experiment.data),
        "model": {
            **{name: _value(use) for name, use in parts.items() if use is not None},
            "groups": [{"name": group.name, "layers": list(group.layers)} for group in model.groups],
        },
        "loss": _value(experiment.loss),
        "optimizer": _value(experiment.optimizer),
        "metrics": _value(experiment.metrics),
        "callbacks": _value(experiment.callbacks),
        "report": _value(experiment.reports),
        "runtime": _value(experiment.runtime),
        "stages": [
            {
                "name": stage.name,
                "freeze": None if isinstance(stage.freeze, Unfreeze) else freeze_text(stage.freeze),
                **{slot: _value(getattr(stage, slot)) for slot in ("data", "loss", "optimizer", "callbacks", "fit")},
            }
            for stage in experiment.stages
        ],
    }


def _value(value: Any) -> Any:
    if isinstance(value, Use):
        return {"name": value.name, "provider": value.component.provider, "params": _value(value.params)}
    if isinstance(value, BaseModel):
        return {name: _value(item) for name, item in value}
    if isinstance(value, Path):
        return os.path.abspath(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    return value
