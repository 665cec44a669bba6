"""Checks of single parameters by the marks on their fields (dotexp.components.params)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from dotexp.components.component import Use
from dotexp.components.facts import DataSignature
from dotexp.components.params import ForTasks, OncePerExperiment, Params
from dotexp.experiment.text import value_text
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span

_Mark = TypeVar("_Mark")


def check_fields(parts: Mapping[str, Use], data: Use, origins: Mapping[str, Span], collector: Collector) -> None:
    """Hold marked parameters of the model's parts, given by their path, against the data's task."""
    for place, use in parts.items():
        _check_tasks(place, use, data, origins, collector)


def check_stage_fields(stage: str, own: Use, common: Use, origins: Mapping[str, Span], collector: Collector) -> None:
    """Hold the marked parameters of a stage's data against those of the experiment's, a component of the same kind."""
    if own.component is not common.component:
        return
    place = f"stage.{stage}.data"
    for name, _ in _marked(own.params, OncePerExperiment):
        field = type(own.params).model_fields[name]
        here, there = (getattr(use.params, name, field.default) for use in (own, common))
        if here == there:
            continue
        written = origins.get(f"{place}.{name}")
        values = f"{value_text(there)}, and {value_text(here)} in the stage `{stage}`"
        message = f"`{name}` is one for the whole experiment: {values}"
        help = f"leave `{name}` out of the stage, or change it in the experiment's `data`"
        if written is None:
            help = "`data(…)` in a stage, without a component's name, keeps what it does not change"
        collector.report("E308", message, written or origins.get(place), help=help)


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
