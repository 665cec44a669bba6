"""Execution of a plan: from the plan to a finished run folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import torch

from dotexp.diagnostics import FORMAT_VERSION, DotexpError, Interrupted, RunError
from dotexp.engine.datasets import DataStore
from dotexp.engine.devices import autocast, machine, seeder
from dotexp.engine.environment import environment, versions
from dotexp.engine.evaluation import Evaluation, Metric, build_metrics, evaluate
from dotexp.engine.listener import Listener, NullListener
from dotexp.engine.loop import Machinery, StageLoop
from dotexp.engine.network import Network, build_network
from dotexp.engine.weights import save_weights
from dotexp.parts import Data
from dotexp.plan import Plan, StagePlan
from dotexp.runs import EpochRow, RunFolder, RunResult, StageResult, Status, write_json
from dotexp.spec import Device


def execute(
    plan: Plan,
    run: RunFolder,
    listener: Listener | None = None,
    device: Device | None = None,
    plugins: Mapping[str, str] | None = None,
    store: DataStore | None = None,
) -> RunResult:
    """Run every stage of a plan and leave the results in the run's folder.

    `device` replaces the plan's; `plugins` are versions to write down; `store` may hold data opened already. The
    folder gets vocabulary, environment, metrics, schedule, model and result; a run that fails or is interrupted has
    its result too, which says why.

    Raises RunError where training fails, UsageError for a device that is not there, ComponentError for data or
    weights that cannot be used, Interrupted where the user stopped it.
    """
    execution = _Execution(plan, run, listener or NullListener(), plugins or {}, store or DataStore())
    try:
        execution.run_stages(device)
    except KeyboardInterrupt as stop:
        execution.end_early(Status.interrupted, f"interrupted {execution.where}")
        raise Interrupted(f"interrupted {execution.where}; {run.path} says so") from stop
    except DotexpError as error:
        execution.end_early(Status.failed, str(error))
        raise
    except Exception as error:
        failure = _failure(error, execution.where)
        execution.end_early(Status.failed, str(failure))
        raise failure from error
    return execution.end(Status.finished)


class _Execution:
    """One execution under way."""

    def __init__(
        self, plan: Plan, run: RunFolder, listener: Listener, plugins: Mapping[str, str], store: DataStore
    ) -> None:
        self._plan = plan
        self._run = run
        self._listener = listener
        self._plugins = plugins
        self._store = store
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._clock = perf_counter()
        self._device: torch.device | None = None
        self._stages: list[StageResult] = []
        self._used: list[dict[str, Any]] = []
        self._loop: StageLoop | None = None
        self.where = "before the first stage"

    def run_stages(self, device: Device | None) -> None:
        """Do all that the plan says, up to the saved model."""
        plan, run = self._plan, self._run
        self._listener.run_started(plan, run)
        run.write_facts(plan.facts)
        with machine(plan.experiment.runtime, device) as self._device:
            write_json(run.environment, environment(plan, self._device, self._plugins))
            self._check_data()
            network = build_network(plan.experiment.model, plan.facts, plan.experiment.seed).to(self._device)
            metrics = build_metrics(plan.experiment.metrics, plan.facts, self._device)
            for stage in plan.stages:
                self._run_stage(stage, network, metrics, self._device)
            save_weights(network.state_dict(), run.model)

    def end(self, status: Status, reason: str | None = None) -> RunResult:
        """Write down how the run ended and tell the listener."""
        plan, run = self._plan, self._run
        if not run.environment.exists():
            write_json(run.environment, environment(plan, self._device, self._plugins))
        self._keep_used()
        write_json(run.schedule, {"format_version": FORMAT_VERSION, "stages": self._used})
        result = RunResult(
            experiment=plan.experiment.name,
            status=status,
            stages=tuple(self._stages),
            seconds=perf_counter() - self._clock,
            started=self._started,
            device=str(self._device) if self._device is not None else None,
            parameters=plan.parameters,
            reason=reason,
            versions=versions(self._plugins),
        )
        run.write_result(result)
        self._listener.run_ended(result)
        return result

    def end_early(self, status: Status, reason: str) -> None:
        """Write down what can be written; a full disk or a broken listener must not hide why the run ended."""
        with suppress(Exception):
            self.end(status, reason)

    def _check_data(self) -> None:
        plan = self._plan
        facts = self._store.get(plan.experiment.data, plan.experiment.seed).facts
        if (facts.fingerprint, facts.train) != (plan.facts.fingerprint, plan.facts.train):
            raise RunError("the data is not what it was when the run was planned: plan it again")

    def _run_stage(
        self, stage: StagePlan, network: Network, metrics: Mapping[str, Metric], device: torch.device
    ) -> None:
        experiment = self._plan.experiment
        self.where = f"at the start of stage `{stage.name}`"
        data = self._store.get(stage.data, experiment.seed)
        loss = stage.loss.build().to(device)
        runtime = experiment.runtime
        machinery = Machinery(device, autocast(device, runtime.precision), seeder(device), runtime.workers)
        loop = StageLoop(stage, network, loss, data.part("train"), experiment.seed, machinery)
        self._loop = loop
        self._listener.stage_started(stage.name, stage.steps)
        seconds = 0.0
        for epoch in range(stage.epochs):
            clock = perf_counter()
            self.where = f"in stage `{stage.name}`, epoch {epoch + 1}"
            loop.epoch(epoch, self._progress)
            self._listener.progress(loop.step)
            numbers = _validate(stage, network, loss, metrics, data, machinery)
            row = _row(loop, epoch, numbers, perf_counter() - clock)
            seconds += row.seconds
            self._run.append_epoch(row)
            self._listener.epoch_ended(row)
        self._keep_used()
        self._stages.append(
            StageResult(stage.name, stage.epochs, loop.step, row.train_loss, row.valid_loss, row.metrics, seconds)
        )

    def _progress(self, step: int) -> None:
        self._listener.progress(step)

    def _keep_used(self) -> None:
        if self._loop is not None:
            self._used.append(self._loop.used)
            self._loop = None


def _validate(
    stage: StagePlan,
    network: Network,
    loss: torch.nn.Module,
    metrics: Mapping[str, Metric],
    data: Data,
    machinery: Machinery,
) -> Evaluation:
    return evaluate(
        network, loss, metrics, data.part("valid"), stage.batch_size, machinery.device, machinery.cast,
        machinery.workers,
    )  # fmt: skip


def _row(loop: StageLoop, epoch: int, numbers: Evaluation, seconds: float) -> EpochRow:
    return EpochRow(loop.stage.name, epoch + 1, loop.step, loop.train_loss, numbers.loss, numbers.metrics, seconds)


def _failure(error: Exception, where: str) -> RunError:
    memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "not enough memory" in str(error)
    if memory:
        return RunError(f"out of memory {where}: try a smaller batch_size, or a smaller size of the images")
    return RunError(f"{type(error).__name__} {where}: {error}")
