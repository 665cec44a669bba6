"""Interrupted runs for tests: cut off at a checkpoint, resumed, and compared bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.state.resuming import prepare
from dotexp.experiment.experiment import Device, Runtime
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import RunResult

EVERY_STEP = Runtime(device=Device.cpu, threads=1, checkpoint_steps=1, keep_checkpoints=1000)


def with_runtime(planned: Plan, runtime: Runtime) -> Plan:
    """Return the plan with another runtime."""
    return replace(planned, runtime=runtime)


def bits(run: RunFolder) -> dict[str, Any]:
    """Return everything of a run that must not depend on interruptions."""
    result = run.read_result()
    assert result is not None
    return {
        "weights": {name: (tensor.dtype, tensor.tolist()) for name, tensor in load_weights(run.model).items()},
        "file": run.model.read_bytes(),
        "epochs": [replace(row, seconds=0.0) for row in run.read_epochs()],
        "schedule": run.schedule.read_text(),
        "stages": [replace(each, seconds=0.0) for each in result.stages],
        "status": result.status,
    }


def cut(run: RunFolder, to: Path, position: Position | None) -> RunFolder:
    """Copy a run as if it was killed after this checkpoint: younger files are missing, the last line is torn."""
    copy = RunFolder(to)
    shutil.copytree(run.path, to)
    for path in (copy.model, copy.result, copy.schedule):
        path.unlink()
    for other in positions(copy.checkpoints):
        if position is None or other > position:
            (copy.checkpoints / f"{other.name}.json").unlink()
    with copy.metrics.open("a") as file:
        file.write('{"stage": "torn')
    return copy


def go_on(planned: Plan, run: RunFolder, **more: Any) -> RunResult:
    """Resume a run."""
    resumption = prepare(planned, run, {}, **more)
    return execute(resumption.plan, run, device=resumption.device, resumption=resumption)
