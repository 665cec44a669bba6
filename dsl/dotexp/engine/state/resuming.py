"""Where an interrupted run continues: its newest sound checkpoint, and what has changed since it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dotexp.engine.build.devices import machine
from dotexp.engine.environment import environment
from dotexp.engine.identity import conditions, differences, identity
from dotexp.engine.state.state import from_bytes, unpack
from dotexp.engine.training.controls import AppliedSchedule
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import RunError, UsageError
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import Position, Stored, read_newest, remove_leftovers, set_aside
from dotexp.runs.folder import RunFolder


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint's content: how far the run was, its history's facts, its state, and finished stages' schedules."""

    position: Position
    facts: Mapping[str, Any]
    state: Mapping[str, Any]
    applied: list[AppliedSchedule]


@dataclass(frozen=True)
class Resumption:
    """How a run is resumed: its plan and device, the point it continues from (None: the beginning), what changed."""

    plan: Plan
    device: Device | None
    point: ResumePoint | None
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def prepare(
    plan: Plan, run: RunFolder, plugins: Mapping[str, str], device: Device | None = None, allow_changes: bool = False
) -> Resumption:
    """Find where an interrupted run goes on, on the device and with the threads that it had.

    Damaged checkpoints are set aside, and told of in the notes. Raises RunError where all of them are damaged, or
    the plan has no such place; UsageError, naming each, for changes that were not allowed.
    """
    remove_leftovers(run.path)
    remove_leftovers(run.checkpoints)
    stored, notes = _stored(run)
    plan, device = as_before(plan, run, device)
    if stored is None:
        changes = changed_environment(plan, run, plugins, device)
    else:
        changes = differences(stored.facts["identity"], _identity(plan, plugins, device))
    if changes and not allow_changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise UsageError(
            f"{run.path} would not go on to the same bits, since something has changed:\n{listed}\n"
            " = --allow-changes goes on all the same, and the result says so"
        )
    earlier = tuple(stored.facts["changes"]) if stored else ()
    point = _resume_point(stored) if stored else None
    if point is not None:
        _require_place(point, plan)
    else:
        notes += (f"{run.path} has no checkpoint: it starts from the beginning",)
    return Resumption(plan, device, point, tuple(dict.fromkeys((*earlier, *changes))), notes)


def _stored(run: RunFolder) -> tuple[Stored | None, tuple[str, ...]]:
    stored, damaged = read_newest(run.checkpoints)
    if stored is None and damaged:
        listed = "\n".join(f"  {each.path}: {each.reason}" for each in damaged)
        raise RunError(
            f"no checkpoint of {run.path} can be used:\n{listed}\n"
            f" = remove {run.checkpoints} to have the run start from the beginning"
        )
    for each in damaged:
        set_aside(each)
    told = tuple(
        f"the checkpoint {each.path} is damaged ({each.reason}): the one before it is used" for each in damaged
    )
    return stored, told


def recorded_device(run: RunFolder, device: Device | None) -> Device | None:
    """The device that a run is resumed or repeated on: `device`, or the one that its environment.json names."""
    if device is not None or not run.environment.exists():
        return device
    name = run.read_environment().get("device")
    return Device(str(name).partition(":")[0]) if name else None


def as_before(plan: Plan, run: RunFolder, device: Device | None) -> tuple[Plan, Device | None]:
    """Take the device and the threads that the run had, since its bits depend on them; `device` stands before it."""
    before = run.read_environment() if run.environment.exists() else {}
    if before.get("threads"):
        plan = replace(plan, runtime=plan.runtime.model_copy(update={"threads": int(before["threads"])}))
    return plan, recorded_device(run, device)


def changed_environment(
    plan: Plan, run: RunFolder, plugins: Mapping[str, str], device: Device | None
) -> tuple[str, ...]:
    """Say what differs between what a run's environment.json says and what is here now; nothing where it is missing."""
    if not run.environment.exists():
        return ()
    now = _identity(plan, plugins, device)
    return differences({"experiment": now["experiment"], **conditions(run.read_environment())}, now)


def _identity(plan: Plan, plugins: Mapping[str, str], device: Device | None) -> dict[str, Any]:
    with machine(plan.runtime, device) as there:
        return identity(plan, environment(plan, there, plugins))


def _resume_point(stored: Stored) -> ResumePoint:
    state = unpack(stored.facts["state"], from_bytes(stored.tensors))
    applied = [AppliedSchedule.of_state(each) for each in state["used"]]
    return ResumePoint(stored.position, stored.facts, state, applied)


def _require_place(point: ResumePoint, plan: Plan) -> None:
    """Raise RunError unless the plan has the place where the checkpoint was written."""
    position = point.position
    done = [each.name for each in point.applied]
    names = [stage.name for stage in plan.stages]
    sound = done == names[: len(done)] == names[: position.stage]
    if sound and "loop" in point.state:
        stage = plan.stages[position.stage] if position.stage < len(names) else None
        epochs = sum(stage is not None and row["stage"] == stage.name for row in point.facts["rows"])
        sound = (
            stage is not None
            and position.step <= stage.steps
            and epochs * stage.steps_per_epoch <= position.step <= (epochs + 1) * stage.steps_per_epoch
        )
    if not sound:
        raise RunError(f"the checkpoint {position.name} was written in a place that the plan no longer has")
