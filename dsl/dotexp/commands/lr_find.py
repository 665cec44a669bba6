"""`lr-find`: plan, get the weights that a stage starts with, sweep, suggest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.commands.rate_edits import peaks_of, scaled_rate, stage_of
from dotexp.commands.references import as_number, load_run
from dotexp.commands.training import Notify
from dotexp.components.registry import Registry
from dotexp.engine.events import EventBus, Listener, NullListener, bus_of
from dotexp.engine.lr_suggestions import LrFind, Sweep, suggest, sweep_rates
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import UsageError
from dotexp.planning.identity import start_text
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.folder import RunFolder

if TYPE_CHECKING:
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.lr_find import InitialWeights


def rates_of(steps: int, first: float, last: float) -> tuple[float, ...]:
    """Rates of a sweep. Raises UsageError unless they rise from above 0, TypeError for what is no number."""
    as_number("steps", steps, whole=True)
    as_number("first", first)
    as_number("last", last)
    if steps < 1:
        raise UsageError(f"a sweep has at least one step, not {steps}")
    if not 0 < first < last:
        raise UsageError(f"a sweep goes from a rate above 0 to a higher one, not from {first:g} to {last:g}")
    return sweep_rates(steps, first, last)


def sweep_spec(
    resolved: Resolved,
    stage: str | None,
    source: RunFolder | None,
    rates: tuple[float, ...],
    registry: Registry,
    root: Path,
    device: Device | None,
    listener: Listener | None,
    progress: Callable[[int], None] | None,
    notify: Notify | None,
) -> LrFind:
    """Sweep a stage of a resolved spec with `rates` for the last group that trains, and read suggestions off the loss.

    The stage's first weights come from `source`, a run, where that has them, else from training the stages before it.
    """
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.devices import choose_device
    from dotexp.engine.build.probe import LookAt, Probe
    from dotexp.engine.lr_find import sweep_stage

    name = stage_of(resolved.experiment, stage).name
    choose_device(device or resolved.experiment.runtime.device)
    store = DataStore()
    plan, warnings = make_plan(resolved, Probe(root, store, device, LookAt.values))
    if notify is not None:
        notify(warnings)
    index = [each.name for each in plan.stages].index(name)
    peaks = peaks_of(resolved.experiment, name)
    group = _reference(plan, index)
    bus = bus_of(listener)
    start = _start(plan, index, source, device, registry.versions(), store, bus)
    steps = EventBus([_SweepProgress(progress, bus)])
    sweep = sweep_stage(
        plan, index, group, tuple(peaks.values()), rates, start, store, device, steps.progress, bus.warned
    )
    return _found(resolved, plan, index, plan.stages[index].groups[group].name, sweep, start.origin, registry)


class _SweepProgress(NullListener):
    """Tells a function of the sweep's steps, and a run's listeners of its warnings."""

    def __init__(self, progress: Callable[[int], None] | None, bus: EventBus) -> None:
        self._progress = progress
        self._bus = bus

    def progress(self, step: int) -> None:
        """Tell how many of the sweep's steps are done."""
        if self._progress is not None:
            self._progress(step)

    def warned(self, message: str) -> None:
        """Pass a warning on."""
        self._bus.warned(message)


def _found(
    resolved: Resolved, plan: Plan, index: int, reference: str, sweep: Sweep, start: str, registry: Registry
) -> LrFind:
    """Read the suggestions off a sweep whose rates are those of the group `reference`."""
    name = plan.stages[index].name
    peaks = peaks_of(resolved.experiment, name)
    suggestions = suggest(sweep)
    factors = {rule: None if rate is None else rate / (peaks[reference] or 1.0) for rule, rate in suggestions.items()}
    return LrFind(
        experiment=plan.name,
        stage=name,
        group=reference,
        peaks={each: peaks[each] if rates is not None else None for each, rates in _by_group(plan, index)},
        start=start,
        sweep=sweep,
        suggestions=suggestions,
        values={
            rule: None if factor is None else scaled_rate(resolved, name, factor, registry).text
            for rule, factor in factors.items()
        },
    )


def _by_group(plan: Plan, index: int) -> list[tuple[str, tuple[float, ...] | None]]:
    stage = plan.stages[index]
    return [(group.name, rates) for group, rates in zip(stage.groups, stage.rates, strict=True)]


def _reference(plan: Plan, index: int) -> int:
    """Place of the last group that trains."""
    training = [place for place, (_, rates) in enumerate(_by_group(plan, index)) if rates is not None]
    if not training:
        raise UsageError(f"stage `{plan.stages[index].name}` trains nothing: all of it is frozen")
    return training[-1]


def _start(
    plan: Plan,
    index: int,
    source: RunFolder | None,
    device: Device | None,
    plugins: dict[str, str],
    store: DataStore,
    bus: EventBus,
) -> InitialWeights:
    from dotexp.engine.lr_find import initial_weights, weights_by_training, weights_from_run

    if index == 0:
        return initial_weights()
    if source is not None:
        start = weights_from_run(plan, index, source, start_text(load_run(source).experiment, index))
        if start is not None:
            return start
        bus.warned(f"{source.path} keeps no checkpoint of the stage's start: the stages before it are trained")
    return weights_by_training(plan, index, device, plugins, store, bus)
