"""Interrupted runs for tests: cut off at a checkpoint, resumed, and compared bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dotexp.engine.executor import execute
from dotexp.engine.state.resuming import prepare
from dotexp.experiment.experiment import Device, Runtime
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import RunResult
from dotexp.testing.runs import bits, cut

__all__ = ["EVERY_STEP", "bits", "cut", "go_on", "with_runtime"]

EVERY_STEP = Runtime(device=Device.cpu, threads=1, checkpoint_steps=1, keep_checkpoints=1000)


def with_runtime(planned: Plan, runtime: Runtime) -> Plan:
    """Return the plan with another runtime."""
    return replace(planned, runtime=runtime)


def go_on(planned: Plan, run: RunFolder, **more: Any) -> RunResult:
    """Resume a run."""
    resumption = prepare(planned, run, {}, **more)
    return execute(resumption.plan, run, device=resumption.device, resumption=resumption)
