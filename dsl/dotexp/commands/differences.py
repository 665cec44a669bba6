"""How two runs differ beside their specs: the data and versions that they had, and the numbers that they reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dotexp.engine.identity import conditions
from dotexp.language.diagnostics import UsageError
from dotexp.language.effects import Effect
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, StageResult

_ROUNDING = ("device", "device_name", "threads", "cpu_capability")
"""Conditions that change how sums are rounded, and nothing else."""


class Condition(NamedTuple):
    """Something outside the spec that a run's bits depend on, with two values."""

    name: str
    before: Any
    after: Any
    effect: Effect
    note: str = ""


class NumberPair(NamedTuple):
    """A number of a stage in two runs; None where a run has none."""

    stage: str
    number: str
    before: Any
    after: Any

    @property
    def delta(self) -> float | None:
        """The second less the first, where both are numbers."""
        pair = (self.before, self.after)
        return self.after - self.before if all(isinstance(each, int | float) for each in pair) else None


def changed_conditions(one: RunFolder, other: RunFolder) -> tuple[Condition, ...]:
    """Return the conditions in which two runs differ; none where a run, such as a bundle, does not have them."""
    before, after = _conditions(one), _conditions(other)
    if not before or not after:
        return ()
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return tuple(_condition(name, before.get(name), after.get(name)) for name in names)


def _conditions(run: RunFolder) -> Mapping[str, Any]:
    try:
        return conditions(run.read_environment())
    except UsageError:
        return {}


def _condition(name: str, before: Any, after: Any) -> Condition:
    words = name.replace("_", " ")
    if name in _ROUNDING:
        return Condition(words, before, after, Effect.speed, "sums are rounded otherwise")
    return Condition(words, before, after, Effect.weights)


def paired_numbers(one: RunFolder, other: RunFolder) -> tuple[NumberPair, ...]:
    """Return the numbers of two runs stage by stage: losses, and the metrics."""
    before, after = dict(_numbers(one)), dict(_numbers(other))
    return tuple(NumberPair(*place, before.get(place), after.get(place)) for place in {**before, **after})


def _numbers(run: RunFolder) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield the numbers that each stage ended with, or those of its newest epoch while the run has not ended."""
    result = run.read_result()
    stages = {stage.name: stage for stage in result.stages} if result is not None else {}
    newest = {epoch.stage: epoch for epoch in run.read_epochs()}
    rows: dict[str, StageResult | EpochRow] = {**newest, **stages}
    for name, row in rows.items():
        yield (name, "train_loss"), row.train_loss
        yield (name, "valid_loss"), row.valid_loss
        yield from (((name, metric), value) for metric, value in row.metrics.items())
