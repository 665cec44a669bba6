"""Runs made, resumed and verified: plan, take the run's lock, execute, write the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.commands.references import load_run, plan_run
from dotexp.commands.reports import origins, report_at_end
from dotexp.components.registry import Registry
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import Diagnostic
from dotexp.language.machine_faults import file_fault
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.files import write_json, write_text
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.headline import setbacks
from dotexp.runs.lock import run_lock
from dotexp.runs.results import RunResult, Status

if TYPE_CHECKING:
    from dotexp.engine.events import EventBus, Listener
    from dotexp.engine.verification import Verification

Notify = Callable[[Sequence[Diagnostic]], None]
"""Hears of warnings: of the spec and its data, and of a run's checkpoints."""


def run_spec(
    resolved: Resolved,
    registry: Registry,
    root: Path,
    device: Device | None,
    listener: Listener | None,
    notify: Notify | None,
    report: bool,
) -> RunFolder:
    """Run a resolved spec to the end in a new folder under `root`; what cannot be reported is a warning."""
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.devices import choose_device
    from dotexp.engine.build.probe import LookAt, Probe
    from dotexp.engine.executor import execute

    choose_device(device or resolved.experiment.runtime.device)
    store = DataStore()
    plan, warnings = make_plan(resolved, Probe(root, store, device, LookAt.values))
    if notify is not None:
        notify(warnings)
    folder = create_run(plan.name, root)
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(folder))
            write_text(folder.spec, _as_written(resolved))
            write_text(folder.resolved, plan.text)
            write_json(folder.plan, plan.as_json(every_step=False))
        except OSError as error:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise file_fault("write", error.filename or folder.path, error, "--runs names it") from error
        bus = _event_bus(registry, listener)
        _tell_setbacks(plan, execute(plan, folder, bus, device, registry.versions(), store), bus)
        if report:
            report_at_end(folder, plan, registry, store, device, bus)
    return folder


def resume_run(
    folder: RunFolder,
    registry: Registry,
    root: Path,
    device: Device | None,
    allow_changes: bool,
    listener: Listener | None,
    notify: Notify | None,
    report: bool,
) -> RunFolder:
    """Go on with a run from its newest sound checkpoint; a finished run is left as it is."""
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.probe import Probe
    from dotexp.engine.executor import execute
    from dotexp.engine.state.resuming import prepare, recorded_device

    with run_lock(folder):
        if folder.status is Status.finished:
            return folder
        store = DataStore()
        plan = plan_run(
            load_run(folder, (), registry), Probe(root, store, recorded_device(folder, device), builders=True)
        )
        resumption = prepare(plan, folder, registry.versions(), device, allow_changes)
        if notify is not None and resumption.notes:
            notify(tuple(Diagnostic("W508", note, None) for note in resumption.notes))
        folder.result.unlink(missing_ok=True)
        bus = _event_bus(registry, listener)
        result = execute(resumption.plan, folder, bus, resumption.device, registry.versions(), store, resumption)
        _tell_setbacks(resumption.plan, result, bus)
        if report:
            report_at_end(folder, resumption.plan, registry, store, resumption.device, bus)
    return folder


def repeat_run(
    folder: RunFolder, registry: Registry, root: Path, device: Device | None, listener: Listener | None
) -> Verification:
    """Do a finished run again in a temporary folder and compare."""
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.probe import LookAt, Probe
    from dotexp.engine.state.resuming import recorded_device
    from dotexp.engine.verification import verify_run

    store = DataStore()
    probe = Probe(root, store, recorded_device(folder, device), LookAt.values)
    plan = plan_run(load_run(folder, (), registry), probe)
    return verify_run(plan, folder, registry.versions(), store, device, listener)


def _tell_setbacks(plan: Plan, result: RunResult, bus: EventBus) -> None:
    for message in setbacks(result, {stage.name: stage.loss for stage in plan.stages}):
        bus.warned(message)


def _event_bus(registry: Registry, listener: Listener | None) -> EventBus:
    from dotexp.engine.events import EventBus
    from dotexp.engine.hooks import PluginListener

    bus = EventBus([] if listener is None else [listener])
    bus.subscribe(PluginListener(registry.listeners(), origins(registry), bus.warned))
    return bus


def _as_written(resolved: Resolved) -> str:
    overrides = "".join(f"# --set {override.text}\n" for override in resolved.overrides)
    return overrides + resolved.source.text
