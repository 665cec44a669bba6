"""One execution under way: the stages, one after the other, and what is saved of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Any

import torch

from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, machine, seeder
from dotexp.engine.build.network import Network, build_network, prepare_network
from dotexp.engine.build.weights import require_fit, save_weights
from dotexp.engine.environment import environment, versions
from dotexp.engine.evaluation import Metric, build_metrics, evaluate, named_metrics
from dotexp.engine.events import Listener
from dotexp.engine.identity import fingerprint, identity
from dotexp.engine.state.history import Record
from dotexp.engine.state.resuming import Resumption, Start
from dotexp.engine.state.saving import Saver, said_of_disk
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.engine.training.polling import Watch
from dotexp.engine.training.proof import Proof, fault
from dotexp.experiment.experiment import Device, OnOom, Precision
from dotexp.language.diagnostics import Interrupted, RunError
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.checkpoints import Position
from dotexp.runs.files import finite, write_json
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, RunResult, Status
from dotexp.sdk.callback import Training
from dotexp.sdk.data import Data
from dotexp.sdk.seeds import derive


class Execution:
    """Runs a plan's stages and keeps what is needed to go on after an interruption.

    No generator's state is saved: every step, every validation and everything built seeds the generators by its
    position first.
    """

    def __init__(
        self,
        plan: Plan,
        run: RunFolder,
        listener: Listener,
        plugins: Mapping[str, str],
        store: DataStore,
        resumption: Resumption | None,
    ) -> None:
        self.watch = Watch()
        self.where = "before the first stage"
        self.resume_line = run.resume_line
        self.store = store
        self._plan = plan
        self._run = run
        self._listener = listener
        self._plugins = plugins
        self._start: Start | None = resumption.start if resumption else None
        self._changes = resumption.changes if resumption else ()
        self._resumed = resumption is not None
        self._record = Record(run)
        self._saver = Saver(run.checkpoints, plan.experiment.runtime, listener.warned)
        self._device: torch.device | None = None
        self._identity: dict[str, Any] = {}
        self._network: Network | None = None
        self._loss: torch.nn.Module | None = None
        self._loop: StageLoop | None = None
        self._proof: Proof | None = None
        self._stage = 0
        self._epoch_clock = perf_counter()

    def run_stages(self, device: Device | None) -> None:
        """Do all that the plan says, up to the saved model."""
        plan, run, start = self._plan, self._run, self._start
        self._listener.run_started(plan, run)
        run.write_facts(plan.facts)
        with machine(plan.experiment.runtime, device) as chosen:
            self._device = chosen
            self._write_environment()
            if start is not None:
                self._record = Record.of_facts(run, start.facts, start.used)
            elif self._resumed:
                run.write_epochs(())
            self._check_data()
            seed = seeder(chosen)
            seed(derive(plan.experiment.seed, "build"))
            network = build_network(plan.experiment.model, plan.facts, plan.experiment.seed)
            if start is None:  # what it has learned of the data is in the checkpoint, otherwise
                prepare_network(network, self.store.get(plan.experiment.data, plan.experiment.seed).part("train"))
            network = network.to(chosen)
            metrics = build_metrics(plan.experiment.metrics, plan.facts, chosen)
            if start is not None:
                self._stage = start.position.stage
                tensors = start.state["network"]
                require_fit(tensors, network.state_dict(), run.checkpoints)
                network.load_state_dict(tensors)
            self._network = network
            for index in range(self._stage, len(plan.stages)):
                self._stage = index
                self._run_stage(plan.stages[index], network, metrics, chosen)
            self._write_model(network)

    def end(self, status: Status, reason: str | None = None) -> RunResult:
        """Write down how the run ended and tell the listener."""
        plan, run, record = self._plan, self._run, self._record
        if not run.environment.exists():
            write_json(run.environment, environment(plan, self._device, self._plugins))
        record.write(self._loop.used if self._loop is not None else None)
        result = RunResult(
            experiment=plan.experiment.name,
            status=status,
            stages=record.stages(plan),
            seconds=record.seconds,
            started=record.started,
            device=str(self._device) if self._device is not None else None,
            parameters=plan.parameters,
            reason=reason,
            changes=self._changes,
            versions=versions(self._plugins),
        )
        run.write_result(result)
        self._listener.run_ended(result)
        return result

    def end_early(self, status: Status, reason: str) -> None:
        """Write down what can be written; a full disk or a broken listener must not hide why the run ended."""
        with suppress(Exception):
            self.end(status, reason)

    def rescue(self) -> None:
        """Save the run where it failed between two steps, as when a process that reads data has died."""
        if self._loop is not None and self._loop.between_steps:
            with suppress(Exception):
                self._save(wait=True)
        self._saver.settle()

    def drop_stage(self) -> StagePlan | None:
        """Let go of the stage under way and its memory, and return its plan; None before the first."""
        loop, self._loop, self._network, self._loss, self._proof = self._loop, None, None, None, None
        if loop is not None:
            self._record.used.append(loop.used)
        return loop.stage if loop is not None else None

    def _write_environment(self) -> None:
        facts = environment(self._plan, self._device, self._plugins)
        self._identity = identity(self._plan, facts)
        if self._start is None or self._changes:
            changed = {"changes_at_resume": list(self._changes)} if self._changes else {}
            write_json(self._run.environment, {**facts, **changed})

    def _check_data(self) -> None:
        plan = self._plan
        facts = self.store.get(plan.experiment.data, plan.experiment.seed).facts
        if (facts.fingerprint, facts.train) != (plan.facts.fingerprint, plan.facts.train):
            raise RunError("the data is not what it was when the run was planned: plan it again")

    def _run_stage(
        self, stage: StagePlan, network: Network, metrics: Mapping[str, Metric], device: torch.device
    ) -> None:
        experiment = self._plan.experiment
        self.where = f"at the start of stage `{stage.name}`"
        self._stop_if_asked()
        data = self.store.get(stage.data, experiment.seed)
        machinery = self._machinery(device, stage)
        machinery.seed(derive(experiment.seed, "stage", stage.name))
        loss = self._loss = stage.loss.build(self._plan.facts).to(device)
        callbacks = StageCallbacks(stage.callbacks)
        loop = self._loop = StageLoop(stage, network, loss, data.part("train"), experiment.seed, machinery, callbacks)
        self._proof = Proof(network, stage, (self._start.facts.get("proof") or {}) if self._start is not None else {})
        self._epoch_clock = perf_counter()
        named = named_metrics(experiment.metrics)
        callbacks.stage_started(Training(stage, self._plan.facts, network, loop.optimizer, loop.trained, named))
        self._restore_stage(loop, loss)
        self._listener.stage_started(stage.name, stage.steps)
        for epoch in range(len(self._record.epochs(stage.name)), stage.epochs):
            if self._record.stopped(stage.name):
                break
            self.where = f"in stage `{stage.name}`, epoch {epoch + 1}"
            self.watch.step = self._saver.next_step(loop.step)
            loop.epoch(epoch, self._look, self.watch)
            self._listener.progress(loop.step)
            self._end_epoch(self._validate(epoch, loop, loss, metrics, data, machinery))
        self._record.leave(stage.name, callbacks.stage_ended())
        self._prove(stage, self._proof)
        self._end_stage()

    def _validate(
        self,
        epoch: int,
        loop: StageLoop,
        loss: torch.nn.Module,
        metrics: Mapping[str, Metric],
        data: Data,
        machinery: Machinery,
    ) -> EpochRow:
        stage, callbacks, network = loop.stage, loop.callbacks, self._network
        assert network is not None

        def look() -> None:
            if self.watch.stopping:
                callbacks.after_validation()  # what is saved is what trains
                self._stop_if_asked()

        machinery.seed(derive(self._plan.experiment.seed, "valid", stage.name, epoch))
        callbacks.before_validation()
        numbers = evaluate(
            network, loss, metrics, data.part("valid"), stage.batch_size, machinery.device, machinery.cast,
            machinery.workers, look, data.part("train"),
        )  # fmt: skip
        seconds = perf_counter() - self._epoch_clock
        row = EpochRow(stage.name, epoch + 1, loop.step, loop.train_loss, numbers.loss, numbers.metrics, seconds)
        reason = callbacks.epoch_ended(row)
        callbacks.after_validation()
        return replace(row, stopped=reason if epoch + 1 < stage.epochs else None)

    def _prove(self, stage: StagePlan, proof: Proof) -> None:
        """Write down what held at the stage's end; one that did not do as it says fails, and its weights are kept."""
        found = self._record.proofs[stage.name] = proof.result()
        failed = fault(found, stage)
        if failed is not None:
            self._save(wait=True)
            kept = "" if self._saver.failure else f"\n  its weights are kept, in {self._run.checkpoints}"
            raise RunError(f"{failed}{kept}")

    def _machinery(self, device: torch.device, stage: StagePlan) -> Machinery:
        runtime = self._plan.experiment.runtime

        def told(size: int) -> None:
            self._listener.warned(
                f"a batch of {stage.batch_size} does not fit into memory {self.where}: its gradient is taken in pieces"
                f" of {size}, which is what batch norm sees"
            )

        split = told if runtime.on_oom is OnOom.in_pieces else None
        scaled = runtime.precision is Precision.f16
        return Machinery(device, autocast(device, runtime.precision), seeder(device), runtime.workers, split, scaled)

    def _restore_stage(self, loop: StageLoop, loss: torch.nn.Module) -> None:
        start, self._start = self._start, None
        if start is None or "loop" not in start.state:
            return
        loss.load_state_dict(start.state["loss"])
        loop.restore(start.state["loop"])
        self._epoch_clock -= start.facts["epoch_seconds"]

    def _end_epoch(self, row: EpochRow) -> None:
        self._epoch_clock = perf_counter()
        failed = self._record.add(row)
        if failed is not None:
            size = 200 * len(self._record.rows)
            self._listener.warned(f"{said_of_disk(failed, self._run.metrics, size)}; it is written with the next epoch")
        self._listener.epoch_ended(row)
        loop = self._loop
        if loop is not None and loop.step < loop.stage.steps:
            if self.watch.stopping:
                self._stop_if_asked()
            elif self._saver.worthwhile():
                self._save()

    def _end_stage(self) -> None:
        if self._loop is not None:
            self._record.used.append(self._loop.used)
            self._loop = self._loss = self._proof = None
        self._stage += 1
        self._save()

    def _look(self, step: int) -> None:
        """Look up from the steps: tell how far the run is, save it or stop it."""
        if monotonic() >= self.watch.due:
            self._listener.progress(step)
        self._saver.poll()
        self._stop_if_asked()
        if self._saver.due(step):
            self._save()
        self.watch.step = self._saver.next_step(step)
        self.watch.rest()

    def _stop_if_asked(self) -> None:
        if not self.watch.stopping:
            return
        if self._network is None:
            raise Interrupted(f"interrupted {self.where}\n  to start it again: {self.resume_line}")
        self._save(wait=True)
        self._saver.require()
        at = f", after step {self._loop.step} of {self._loop.stage.steps}" if self._loop is not None else ""
        raise Interrupted(f"interrupted {self.where}{at}, and saved\n  to go on: {self.resume_line}")

    def _save(self, wait: bool = False) -> None:
        loop, record, network = self._loop, self._record, self._network
        if network is None:
            return
        step = loop.step if loop is not None else 0
        state: dict[str, Any] = {"network": network.state_dict(), "used": [used.as_state() for used in record.used]}
        if loop is not None and self._loss is not None:
            loop.settle(max(0, step - 1) // loop.stage.steps_per_epoch)
            state |= {"loss": self._loss.state_dict(), "loop": loop.state()}
        facts: dict[str, Any] = {
            **record.facts(),
            "epoch_seconds": perf_counter() - self._epoch_clock,
            "valid_loss": self._valid_loss(step),
            "identity": self._identity,
            "fingerprint": fingerprint(self._identity),
            "changes": list(self._changes),
            "proof": dict(self._proof.start) if self._proof is not None else None,
        }
        self._saver.save(Position(self._stage, step, len(record.rows)), facts, state, wait)

    def _valid_loss(self, step: int) -> float | None:
        """Validation loss of the weights as they are: the epoch's whose they are, unless steps were taken since."""
        rows, loop = self._record.rows, self._loop
        moved = loop is not None and step != len(self._record.epochs(loop.stage.name)) * loop.stage.steps_per_epoch
        if moved or not rows:
            return None
        loss: float | None = finite(self._record.left(rows[-1].stage).valid_loss)
        return loss

    def _write_model(self, network: Network) -> None:
        self._saver.settle()
        tensors = network.state_dict()
        try:
            save_weights(tensors, self._run.model)
        except OSError as error:
            said = said_of_disk(error, self._run.model, sum(tensor.nbytes for tensor in tensors.values()))
            raise RunError(f"{said}\n  to try again with room for it: {self.resume_line}") from error
