"""`lr-find` as a function: plan, get the weights that a stage starts with, sweep, suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.commands.rate_edits import peaks_of, scaled_rate, stage_of
from dotexp.components.registry import Registry, load_registry
from dotexp.engine.lr_suggestions import FIRST, LAST, STEPS, LrFind, Sweep, suggest, sweep_rates
from dotexp.experiment.checking import SpecPath, load
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import Diagnostic, UsageError
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.folder import DEFAULT_ROOT, RunFolder, newest_unfinished, open_run

if TYPE_CHECKING:
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.events import Listener
    from dotexp.engine.lr_find import Start


def find_lr(
    spec: SpecPath | Resolved,
    stage: str | None = None,
    set: Sequence[str] = (),
    run: str | Path | RunFolder | None = None,
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    steps: int = STEPS,
    first: float = FIRST,
    last: float = LAST,
    listener: Listener | None = None,
    progress: Callable[[int], None] | None = None,
    notify: Callable[[tuple[Diagnostic, ...]], None] | None = None,
) -> LrFind:
    """Sweep a stage's learning rate, from the weights that the stage starts with, and read suggestions off the loss.

    `stage` may be left out where there is one. The stages before it are trained first, in a temporary folder, unless
    `run`, of the same experiment up to there, has a checkpoint of the stage's start. The rate of the last group that
    trains goes from `first` towards `last` in `steps` steps; the others keep their ratios to it. Nothing is written.

    `listener` hears of the stages trained first, `progress` of the sweep's steps done, `notify` of warnings. Raises
    SpecError where the spec or its data is wrong, UsageError for a stage or run that does not fit, RunError where
    training fails.
    """
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.devices import choose_device
    from dotexp.engine.build.probe import Probe
    from dotexp.engine.lr_find import sweep_stage

    if not 0 < first < last:
        raise UsageError(f"a sweep goes from a rate above 0 to a higher one, not from {first:g} to {last:g}")
    registry = load_registry()
    resolved = spec if isinstance(spec, Resolved) else load(spec, set, registry)
    name = stage_of(resolved.experiment, stage).name
    choose_device(device or resolved.experiment.runtime.device)
    store = DataStore()
    plan, warnings = make_plan(resolved, Probe(runs, store))
    if notify is not None:
        notify(warnings)
    index = [each.name for each in plan.stages].index(name)
    peaks = peaks_of(resolved.experiment, name)
    group = _reference(plan, index)
    start = _start(plan, index, run, runs, device, registry.versions(), store, listener)
    rates = sweep_rates(steps, first, last)
    warn = listener.warned if listener is not None else None
    sweep = sweep_stage(plan, index, group, tuple(peaks.values()), rates, start, store, device, progress, warn)
    return _found(resolved, plan, index, plan.stages[index].groups[group].name, sweep, start.said, registry)


def _found(
    resolved: Resolved, plan: Plan, index: int, reference: str, sweep: Sweep, start: str, registry: Registry
) -> LrFind:
    """Read the suggestions off a sweep whose rates are those of the group `reference`."""
    name = plan.stages[index].name
    peaks = peaks_of(resolved.experiment, name)
    suggestions = suggest(sweep)
    factors = {rule: None if rate is None else rate / (peaks[reference] or 1.0) for rule, rate in suggestions.items()}
    return LrFind(
        experiment=plan.experiment.name,
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
    run: str | Path | RunFolder | None,
    runs: Path,
    device: Device | None,
    plugins: dict[str, str],
    store: DataStore,
    listener: Listener | None,
) -> Start:
    from dotexp.engine.lr_find import first_start, start_by_training, start_from_run

    if index == 0:
        return first_start()
    if run is not None:
        folder = run if isinstance(run, RunFolder) else newest_unfinished(str(run), runs) or open_run(str(run), runs)
        if not folder.resolved.exists():
            raise UsageError(f"{folder.path} has no resolved.exp: it is not a run's folder")
        start = start_from_run(plan, index, folder, load(folder.resolved).experiment)
        if start is not None:
            return start
        if listener is not None:
            listener.warned(f"{folder.path} keeps no checkpoint of the stage's start: the stages before it are trained")
    return start_by_training(plan, index, device, plugins, store, listener)
