"""A finished run done again, and held against what it left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.weights import load_weights
from dotexp.engine.events import Listener
from dotexp.engine.executor import execute
from dotexp.engine.state.resuming import as_before, changed_environment
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import ComponentError, Interrupted, RunError, UsageError
from dotexp.language.machine_faults import without_folder
from dotexp.language.wording import counted
from dotexp.planning.plan import Plan
from dotexp.planning.schedule_json import schedule_json
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, Status

_SHOWN = 10


@dataclass(frozen=True)
class Verification:
    """How a run and its repetition differ, and what had changed between them; `differences` is empty where equal."""

    differences: tuple[str, ...]
    changes: tuple[str, ...]


def verify_run(
    plan: Plan,
    run: RunFolder,
    plugins: Mapping[str, str],
    store: DataStore | None = None,
    device: Device | None = None,
    listener: Listener | None = None,
) -> Verification:
    """Do a finished run again in a temporary folder and compare weights, metrics and schedule, bit for bit.

    The device and the number of threads are the run's. Raises UsageError for a run that is not finished.
    """
    if run.status is not Status.finished or not run.model.exists():
        raise UsageError(f"{run.path} is {run.status}: only a finished run can be verified")
    plan, device = as_before(plan, run, device)
    changes = changed_environment(plan, run, plugins, device)
    with TemporaryDirectory(prefix="dotexp-verify-") as folder:
        again = RunFolder(Path(folder) / run.name)
        again.path.mkdir()
        try:
            execute(plan, again, listener, device, plugins, store)
        except Interrupted as stop:
            raise Interrupted(f"interrupted: {run.path} is as it was, and not verified") from stop
        except RunError as error:
            raise without_folder(error, folder) from error
        return Verification(compare(run, again), changes)


def compare(run: RunFolder, again: RunFolder) -> tuple[str, ...]:
    """Say how two finished runs differ in what must be equal: weights, epochs without their seconds, schedule."""
    return (*_weights(run, again), *_epochs(run, again), *_schedule(run, again))


def _weights(run: RunFolder, again: RunFolder) -> tuple[str, ...]:
    try:
        one, other = load_weights(run.model), load_weights(again.model)
    except ComponentError as error:
        return (str(error),)
    found = [f"model.safetensors: only one of them has `{name}`" for name in sorted(one.keys() ^ other.keys())]
    for name in sorted(one.keys() & other.keys()):
        first, second = one[name], other[name]
        if first.dtype != second.dtype or first.shape != second.shape:
            found.append(f"model.safetensors: `{name}` is {first.dtype} {tuple(first.shape)}, and again {second.dtype}")
        elif not torch.equal(_bytes(first), _bytes(second)):
            gap = (first.double() - second.double()).abs().max().item()
            found.append(f"model.safetensors: `{name}` differs by at most {gap:.3g}")
    more = len(found) - _SHOWN
    return (*found[:_SHOWN], *([f"model.safetensors: {more} more tensors differ"] if more > 0 else ()))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _epochs(run: RunFolder, again: RunFolder) -> Iterator[str]:
    one, other = run.read_epochs(), again.read_epochs()
    if len(one) != len(other):
        yield f"metrics.jsonl: {counted(len(one), 'epoch')}, and again {len(other)}"
    for first, second in zip(one, other, strict=False):
        if replace(first, seconds=0.0) != replace(second, seconds=0.0):
            yield from _row(first, second)


def _row(first: EpochRow, second: EpochRow) -> Iterator[str]:
    place = f"metrics.jsonl: stage {first.stage}, epoch {first.epoch}"
    old, new = ({**vars(row), **row.numbers} for row in (first, second))
    for name in {**old, **new}:
        if name not in ("seconds", "metrics", "logged") and old.get(name) != new.get(name):
            yield f"{place}: {name} {old.get(name)}, and again {new.get(name)}"


def _schedule(run: RunFolder, again: RunFolder) -> Iterator[str]:
    one, other = (
        [_sampled(stage) for stage in json.loads(each.schedule.read_text())["stages"]] for each in (run, again)
    )
    if len(one) != len(other):
        yield f"schedule.json: {counted(len(one), 'stage')}, and again {len(other)}"
    for first, second in zip(one, other, strict=False):
        for name in first:
            if first[name] != second.get(name):
                what = "a learning rate or momentum" if name == "sha256" else name
                yield f"schedule.json: stage {first['name']}: {what} differs"


def _sampled(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stage's schedule as it is written now; older versions wrote every step of a long one."""
    return stage if "at" in stage else {"name": stage["name"], **schedule_json(stage["lr"], stage["momentum"])}
