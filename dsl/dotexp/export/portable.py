"""An experiment as text that names nothing of the machine it ran on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from dotexp.components.bases import BodyParams
from dotexp.components.component import Use
from dotexp.experiment.experiment import Experiment
from dotexp.experiment.text import as_text, value_text
from dotexp.record import Record, values_of

Value = TypeVar("Value")


def portable_text(experiment: Experiment) -> str:
    """Write an experiment out in full, each path by its last name and the body's weights as none unless published.

    What is left out is not needed to predict, evaluate or train on: the weights are the bundle's own.
    """
    bare = _without_local_weights(experiment)
    text = as_text(bare)
    for path in sorted(set(every(Path, bare)), key=lambda path: -len(str(path))):
        text = text.replace(value_text(path), value_text(path.name))
    return text


def _without_local_weights(experiment: Experiment) -> Experiment:
    """Replace weights that are a file or another run by none; published ones, such as `imagenet`, stay named."""
    body = experiment.model.body
    if body is None or not isinstance(body.params, BodyParams) or isinstance(body.params.weights, Enum | None):
        return experiment
    bare = body.replace(params=body.params.model_copy(update={"weights": None}))
    return experiment.replace(model=experiment.model.replace(body=bare))


def every(kind: type[Value], value: Any) -> Iterator[Value]:
    """Yield every value of a type among an experiment's values."""
    if isinstance(value, kind):
        yield value
    inner: Iterable[Any] = ()
    if isinstance(value, Use):
        inner = (value.params,)
    elif isinstance(value, Record):
        inner = values_of(value).values()
    elif isinstance(value, BaseModel):
        inner = (item for _, item in value)
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, tuple | list):
        inner = value
    for item in inner:
        yield from every(kind, item)
