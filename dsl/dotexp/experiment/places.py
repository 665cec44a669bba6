"""Every component of an experiment, with its place in the resolved spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dotexp.components.component import Use
from dotexp.experiment.experiment import Experiment


def components_of(experiment: Experiment) -> Iterator[tuple[str, Use]]:
    """Yield the path of every component and the component, those inside parameters included, the outer ones first.

    What a stage has in common with the experiment comes once, as the experiment's.
    """
    for path, use in _statements(experiment):
        if use is not None:
            yield from _inside(path, use)


def _statements(experiment: Experiment) -> Iterator[tuple[str, Use | None]]:
    model = experiment.model
    yield "data", experiment.data
    yield from (("model", model.whole), ("model.body", model.body), ("model.head", model.head))
    yield from (("loss", experiment.loss), ("optimizer", experiment.optimizer))
    yield from ((f"metrics.{i}", use) for i, use in enumerate(experiment.metrics))
    yield from ((f"callbacks.{i}", use) for i, use in enumerate(experiment.callbacks))
    yield from ((f"report.{i}", use) for i, use in enumerate(experiment.reports))
    for stage in experiment.stages:
        place = f"stage.{stage.name}"
        common = {"data": experiment.data, "loss": experiment.loss, "optimizer": experiment.optimizer, "fit": None}
        yield from (
            (f"{place}.{word}", getattr(stage, word)) for word in common if getattr(stage, word) != common[word]
        )
        if stage.callbacks != experiment.callbacks:
            yield from ((f"{place}.callbacks.{i}", use) for i, use in enumerate(stage.callbacks))


def _inside(path: str, value: Any) -> Iterator[tuple[str, Use]]:
    if isinstance(value, Use):
        yield path, value
        value = dict(value.params)
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _inside(f"{path}.{name}", each)
    elif isinstance(value, tuple | list):
        for number, each in enumerate(value):
            yield from _inside(f"{path}.{number}", each)
