"""One execution of a plan: the run's folder, its machine and network opened, the stages trained, the result written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from dotexp.engine.blame import Owner
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import machine
from dotexp.engine.environment import environment, versions
from dotexp.engine.events import Listener
from dotexp.engine.identity import identity
from dotexp.engine.stage_run import open_network
from dotexp.engine.stage_sequence import StageSequence
from dotexp.engine.state.history import History
from dotexp.engine.state.resuming import Resumption
from dotexp.engine.state.run_checkpoints import RunCheckpoints
from dotexp.engine.state.saving import said_of_disk
from dotexp.engine.training.polling import Polling
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import RunError
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.files import write_json
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import RunResult, Status

_RESERVED = 1 << 16  # bytes


class Execution:
    """Executes a plan in a run's folder, from the start or from where an interrupted run had got to."""

    def __init__(
        self,
        plan: Plan,
        run: RunFolder,
        listener: Listener,
        plugins: Mapping[str, str],
        store: DataStore,
        resumption: Resumption | None,
    ) -> None:
        self.polling = Polling()
        self.store = store
        self._plan = plan
        self._run = run
        self._listener = listener
        self._plugins = plugins
        self._resumption = resumption
        self._changes = resumption.changes if resumption else ()
        self._history = History(run)
        self._reserve = run.path / ".reserve.tmp"
        self._device: torch.device | None = None
        self._stages: StageSequence | None = None

    @property
    def where(self) -> str:
        """In words, how far the run is."""
        return self._stages.where if self._stages is not None else "before the first stage"

    def run_stages(self, device: Device | None) -> None:
        """Do all that the plan says, up to the saved model."""
        self._listener.run_started(self._plan, self._run)
        with suppress(OSError):  # a disk that fills up meanwhile leaves room to write how the run ended
            self._reserve.write_bytes(bytes(_RESERVED))
        self._run.write_facts(self._plan.facts)
        with machine(self._plan.runtime, device) as chosen:
            self._device = chosen
            self._stages = self._open(chosen)
            self._stages.train()

    def end(self, status: Status, reason: str | None = None) -> RunResult:
        """Write how the run ended and tell the listener.

        Raises RunError where a finished run's files cannot be written: it is failed then, in result.json too.
        """
        plan, run, history = self._plan, self._run, self._history
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        problem = self._write_records()
        if problem is not None and status is Status.finished:
            status, reason = Status.failed, problem
        result = RunResult(
            experiment=plan.name,
            status=status,
            stages=history.stages(plan),
            seconds=history.seconds,
            started=history.started,
            device=str(self._device) if self._device is not None else None,
            parameters=plan.parameters,
            reason=reason,
            changes=self._changes,
            versions=versions(self._plugins),
        )
        try:
            run.write_result(result)
        except OSError as error:
            problem = problem or self._unwritten(error)
        self._listener.run_ended(result)
        if problem is not None:
            raise RunError(problem)
        return result

    def _write_records(self) -> str | None:
        """Write the environment and the history; return what cannot be written."""
        run = self._run
        stage = self._stages.under_way if self._stages is not None else None
        try:
            if not run.environment.exists():
                write_json(run.environment, environment(self._plan, self._device, self._plugins))
            self._history.write(stage.loop.applied if stage is not None else None)
        except OSError as error:
            return self._unwritten(error)
        return None

    def _unwritten(self, error: OSError) -> str:
        path = Path(error.filename or self._run.path)
        kept = "its weights are saved" if self._run.model.exists() else "what is saved is in its checkpoints"
        return f"{said_of_disk(error, path)}\n  {kept}; to write the rest with room for it: {self._run.resume_line}"

    def end_early(self, status: Status, reason: str) -> None:
        """Write down what can be written; a full disk or a broken listener must not hide why the run ended."""
        with suppress(Exception):
            self.end(status, reason)

    def owners(self) -> list[Owner]:
        """The objects that components' builders made for the stage under way, with the components."""
        return list(self._stages.owners()) if self._stages is not None else []

    def rescue(self) -> None:
        """Save the run where it failed between two steps, as when a process that reads data has died."""
        if self._stages is not None:
            self._stages.rescue()

    def drop_stage(self) -> StagePlan | None:
        """Let go of the stage under way and its memory, and return its plan; None before the first."""
        stages, self._stages = self._stages, None
        if stages is None or stages.under_way is None:
            return None
        self._history.applied.append(stages.under_way.loop.applied)
        return stages.under_way.stage

    def _open(self, device: torch.device) -> StageSequence:
        plan, run = self._plan, self._run
        point = self._resumption.point if self._resumption is not None else None
        conditions = self._write_environment(device)
        if point is not None:
            self._history = History.of_facts(run, point.facts, point.applied)
        elif self._resumption is not None:
            run.write_epochs(())
        self._check_data()
        tensors = point.state["network"] if point is not None else None
        network = open_network(plan, self.store, device, tensors, run.checkpoints)
        checkpoints = RunCheckpoints(run, plan.runtime, self._history, conditions, self._changes, self._listener.warned)
        return StageSequence(plan, run, network, device, self.store, checkpoints, self._listener, self.polling, point)

    def _write_environment(self, device: torch.device) -> Mapping[str, Any]:
        """Write environment.json, unless the run is resumed as it was; return what the run's bits depend on."""
        facts = environment(self._plan, device, self._plugins)
        resumed = self._resumption is not None and self._resumption.point is not None
        if not resumed or self._changes:
            changed = {"changes_at_resume": list(self._changes)} if self._changes else {}
            write_json(self._run.environment, {**facts, **changed})
        return identity(self._plan, facts)

    def _check_data(self) -> None:
        plan = self._plan
        facts = self.store.get(plan.data, plan.seed).facts
        if (facts.fingerprint, facts.train) != (plan.facts.fingerprint, plan.facts.train):
            raise RunError("the data is not what it was when the run was planned: plan it again")
