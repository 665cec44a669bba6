"""A plan's stages, trained one after the other and saved as they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import torch

from dotexp.engine.blame import Owner, network_owners
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.network import Network
from dotexp.engine.build.weights import save_weights
from dotexp.engine.evaluation import build_metrics
from dotexp.engine.events import Listener
from dotexp.engine.stage_run import StageRun, ValidationStopped, open_stage
from dotexp.engine.state.resuming import ResumePoint
from dotexp.engine.state.run_checkpoints import RunCheckpoints
from dotexp.engine.state.saving import said_of_disk
from dotexp.engine.training.polling import Polling
from dotexp.engine.training.proof import fault
from dotexp.language.diagnostics import Interrupted, RunError
from dotexp.language.wording import counted
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, skipped_text


class StageSequence:
    """Trains a network through the stages of a plan, from `point` if it is given.

    `where` says in words how far it is, `under_way` is the stage being trained. No generator's state is saved: every
    step, every validation and everything built seeds the generators by its position first.
    """

    def __init__(
        self,
        plan: Plan,
        run: RunFolder,
        network: Network,
        device: torch.device,
        store: DataStore,
        checkpoints: RunCheckpoints,
        listener: Listener,
        polling: Polling,
        point: ResumePoint | None,
    ) -> None:
        self.where = "before the first stage"
        self.under_way: StageRun | None = None
        self._plan = plan
        self._run = run
        self._network = network
        self._device = device
        self._store = store
        self._checkpoints = checkpoints
        self._history = checkpoints.history
        self._listener = listener
        self._polling = polling
        self._point = point
        self._done = point.position.stage if point else 0
        self._metrics = build_metrics(plan.metrics, plan.facts, device)

    def train(self) -> None:
        """Train every stage that is left, and write the model."""
        for index in range(self._done, len(self._plan.stages)):
            self._done = index
            self._train_stage(self._plan.stages[index])
            left = self._plan.stages[self._done :] or self._plan.stages[-1:]  # a report looks at the last stage's
            self._store.keep_only([stage.data for stage in left], self._plan.seed)
        self._write_model()

    def owners(self) -> Iterator[Owner]:
        """Yield the objects that components' builders made for the stage under way, with the components."""
        yield from network_owners(self._network, self._plan.model)
        yield from zip(self._metrics.values(), self._plan.metrics, strict=True)
        if self.under_way is not None:
            yield from self.under_way.owners()

    def rescue(self) -> None:
        """Save the run where it failed between two steps, as when a process that reads data has died."""
        if self.under_way is not None and self.under_way.loop.between_steps:
            with suppress(Exception):
                self._save(wait=True)
        self._checkpoints.settle()

    def _train_stage(self, stage: StagePlan) -> None:
        self.where = f"at the start of stage `{stage.name}`"
        self._stop_if_asked()
        training = self.under_way = open_stage(
            self._plan, stage, self._network, self._store, self._device, self._warn_of_split
        )
        self._start(training)
        self._listener.stage_started(stage.name, stage.steps)
        for epoch in range(len(self._history.epochs(stage.name)), stage.epochs):
            if self._history.stopped(stage.name):
                break
            self.where = f"in stage `{stage.name}`, epoch {epoch + 1}"
            self._polling.step = self._checkpoints.next_step(training.loop.step)
            training.loop.epoch(epoch, self._look, self._polling)
            self._listener.progress(training.loop.step)
            self._end_epoch(training, self._validate(training, epoch))
        self._history.leave(stage.name, self._end_callbacks(training))
        self._note_skipped(training)
        self._prove(training)
        self._history.applied.append(training.loop.applied)
        self.under_way = None
        self._done += 1
        self._save()

    def _start(self, training: StageRun) -> None:
        point, self._point = self._point, None
        if point is None or "loop" not in point.state:
            training.start()
            return
        training.start(point.facts.get("proof"))
        training.restore(point.state, point.facts["epoch_seconds"])

    def _validate(self, training: StageRun, epoch: int) -> EpochRow:
        try:
            return training.validate(epoch, self._metrics, lambda: self._polling.stopping, self._listener.warned)
        except ValidationStopped:
            self._stop_if_asked()
            raise

    def _end_epoch(self, training: StageRun, row: EpochRow) -> None:
        failed = self._history.add(row)
        if failed is not None:
            size = 200 * len(self._history.rows)
            self._listener.warned(f"{said_of_disk(failed, self._run.metrics, size)}; it is written with the next epoch")
        self._listener.epoch_ended(row)
        if training.loop.step < training.stage.steps:
            self._stop_if_asked()
            if self._checkpoints.worthwhile():
                self._save()

    def _prove(self, training: StageRun) -> None:
        """Note what held of the freezing; a stage that did not do as it says fails, and its weights are kept."""
        found = self._history.proofs[training.stage.name] = training.proof.result()
        failed = fault(found, training.stage, training.loop.step, training.loop.skipped_steps)
        if failed is not None:
            self._save(wait=True)
            raise RunError(f"{failed}{self._kept()}")

    def _kept(self) -> str:
        return "" if self._checkpoints.failure else f"\n  its weights are kept, in {self._run.checkpoints}"

    def _end_callbacks(self, training: StageRun) -> int | None:
        try:
            return training.callbacks.stage_ended()
        except RunError as error:
            self._save(wait=True)
            raise RunError(f"{error}{self._kept()}") from error

    def _note_skipped(self, training: StageRun) -> None:
        skipped, steps = training.loop.skipped_steps, training.loop.step
        if skipped:
            self._history.skipped[training.stage.name] = skipped
            self._listener.warned(f"stage `{training.stage.name}`: {skipped_text(skipped, steps)}")

    def _warn_of_split(self, size: int) -> None:
        batch = self.under_way.stage.batch_size if self.under_way is not None else 0
        self._listener.warned(
            f"a batch of {batch} does not fit into memory {self.where}: its gradient is accumulated over micro-batches"
            f" of at most {counted(size, 'example')}, and batch norm sees each by itself"
        )

    def _look(self, step: int) -> None:
        """Between two steps: report progress, save or stop the run."""
        if monotonic() >= self._polling.due:
            self._listener.progress(step)
        self._checkpoints.poll()
        self._stop_if_asked()
        if self._checkpoints.due(step):
            self._save()
        self._polling.step = self._checkpoints.next_step(step)
        self._polling.rest()

    def _stop_if_asked(self) -> None:
        if not self._polling.stopping:
            return
        self._save(wait=True)
        self._checkpoints.require()
        loop = self.under_way.loop if self.under_way is not None else None
        at = f", after step {loop.step} of {loop.stage.steps}" if loop is not None else ""
        raise Interrupted(f"interrupted {self.where}{at}, and saved\n  to go on: {self._run.resume_line}")

    def _save(self, wait: bool = False) -> None:
        self._checkpoints.save_run(self._done, self._network, self.under_way, wait)

    def _write_model(self) -> None:
        self._checkpoints.settle()
        tensors = self._network.state_dict()
        try:
            save_weights(tensors, self._run.model)
        except OSError as error:
            said = said_of_disk(error, self._run.model, sum(tensor.nbytes for tensor in tensors.values()))
            raise RunError(f"{said}\n  to try again with room for it: {self._run.resume_line}") from error
