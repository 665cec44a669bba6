"""Checks of single parameters by the marks on their fields (dotexp.components.params)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from dotexp.components.component import Use
from dotexp.components.facts import DataSignature
from dotexp.components.params import ForTasks, Params
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span

_Mark = TypeVar("_Mark")


def check_fields(parts: Mapping[str, Use], data: Use, origins: Mapping[str, Span], collector: Collector) -> None:
    """Hold marked parameters of the model's parts, given by their path, against the data's task."""
    for place, use in parts.items():
        _check_tasks(place, use, data, origins, collector)


def _check_tasks(place: str, use: Use, data: Use, origins: Mapping[str, Span], collector: Collector) -> None:
    task = data.facts_as(DataSignature).task
    for name, mark in _marked(use.params, ForTasks):
        default = type(use.params).model_fields[name].default
        if task is None or task in mark.tasks or getattr(use.params, name, default) == default:
            continue
        message = f"`{name}` is for {' or '.join(mark.tasks)}, and `{data.name}` is {task}"
        span = origins.get(f"{place}.{name}") or origins.get(place)
        collector.report("E304", message, span, help=f"leave `{name}` out")


def _marked(params: Params, kind: type[_Mark]) -> Iterator[tuple[str, _Mark]]:
    for name, field in type(params).model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, kind):
                yield name, mark
