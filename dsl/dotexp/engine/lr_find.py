"""A learning-rate sweep over a stage, from the weights that the stage starts with; no file of a run changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from dotexp.components.calls import PluginError
from dotexp.engine.blame import blaming
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import machine
from dotexp.engine.build.weights import load_weights
from dotexp.engine.events import Listener
from dotexp.engine.executor import execute
from dotexp.engine.identity import differences
from dotexp.engine.lr_suggestions import EXPLODED, Sweep, exploded
from dotexp.engine.stage_run import StageRun, open_network, open_stage
from dotexp.engine.state.state import from_bytes, unpack
from dotexp.engine.training.guard import NotFiniteError
from dotexp.engine.training.loop import StageLoop
from dotexp.engine.training.polling import Polling, stopped_by_signals
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import DotexpError, Interrupted, RunError, UsageError
from dotexp.language.machine_faults import is_out_of_memory, without_folder
from dotexp.language.wording import counted
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.checkpoints import read_start
from dotexp.runs.folder import RunFolder

_NOTHING_CHANGED = "interrupted: no learning rate was found, and no file has changed"


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a stage starts with (None: as the model is built), and in words where they come from."""

    tensors: Mapping[str, Tensor] | None
    origin: str


def initial_weights() -> InitialWeights:
    """Weights at the start of the first stage."""
    return InitialWeights(None, "the model's initial ones, this being the first stage")


def weights_from_run(plan: Plan, index: int, run: RunFolder, before: str) -> InitialWeights | None:
    """Weights with which a run began a stage; None where it has no such checkpoint.

    `before` is the run's `start_text` of the stage. Raises UsageError, with the differences, where the stages before
    it, the data or the model are not the plan's.
    """
    stage = plan.stages[index]
    found = differences({"experiment": before}, {"experiment": stage.start_text})
    if found:
        listed = "\n".join(f"  {line}" for line in found)
        raise UsageError(f"{run.path} did not come to the stage `{stage.name}` as this spec would:\n{listed}")
    stored = read_start(run.checkpoints, index)
    if stored is None:
        return None
    network = unpack(stored.facts["state"], from_bytes(stored.tensors))["network"]
    origin = f"those with which {run.name} began the stage, from its checkpoint {stored.position.name}"
    return InitialWeights(network, origin)


def weights_by_training(
    plan: Plan,
    index: int,
    device: Device | None,
    plugins: Mapping[str, str],
    store: DataStore,
    listener: Listener | None,
) -> InitialWeights:
    """Train the stages before one, in a temporary folder. Raises RunError where that fails."""
    names = ", ".join(f"`{stage.name}`" for stage in plan.stages[:index])
    with TemporaryDirectory(prefix="dotexp-lr-find-") as folder:
        run = RunFolder(Path(folder) / f"{plan.name}-before-{plan.stages[index].name}")
        run.path.mkdir()
        try:
            execute(replace(plan, stages=plan.stages[:index]), run, listener, device, plugins, store)
        except Interrupted as stop:
            raise Interrupted(_NOTHING_CHANGED) from stop
        except RunError as error:
            raise without_folder(error, folder, f"before stage `{plan.stages[index].name}`: ") from error
        return InitialWeights(
            load_weights(run.model), f"those that the stages before it end with, trained for this: {names}"
        )


def sweep_stage(
    plan: Plan,
    index: int,
    group: int,
    peaks: tuple[float | None, ...],
    rates: tuple[float, ...],
    start: InitialWeights,
    store: DataStore,
    device: Device | None = None,
    progress: Callable[[int], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Sweep:
    """Train a stage with `rates` for `group` in place of its schedule, the other groups in the ratio of their peaks.

    All else is the stage's: what is frozen, optimizer (with its own momentum), loss, callbacks, batches in the run's
    order, round the epochs where one is too short. The sweep ends early once the loss is no number, or more than four
    times its lowest. Raises Interrupted where the user stopped it, RunError where training fails otherwise.
    """
    stage = _swept(plan.stages[index], group, peaks, rates)
    polling = Polling()
    with stopped_by_signals(polling), machine(plan.runtime, device) as chosen:
        try:
            opened = _open(plan, stage, start, store, chosen, warn or (lambda message: None))
            with blaming(list(opened.owners())):
                return _sweep(opened.loop, rates, polling, progress or (lambda step: None))
        except PluginError as error:
            raise RunError(str(error)) from error
        except DotexpError:
            raise
        except Exception as error:
            raise _failure(error, stage) from error


def _swept(stage: StagePlan, group: int, peaks: tuple[float | None, ...], rates: tuple[float, ...]) -> StagePlan:
    reference = peaks[group]
    assert reference is not None  # the group trains
    epochs = ceil(len(rates) / stage.steps_per_epoch)
    every = (*rates, *(rates[-1] for _ in range(epochs * stage.steps_per_epoch - len(rates))))
    scaled = tuple(
        None if planned is None or peak is None else tuple(rate * (peak / reference) for rate in every)
        for planned, peak in zip(stage.rates, peaks, strict=True)
    )
    return replace(stage, epochs=epochs, rates=scaled, momentum=None, momentum_key=None)


def _open(
    plan: Plan,
    stage: StagePlan,
    start: InitialWeights,
    store: DataStore,
    device: torch.device,
    warn: Callable[[str], None],
) -> StageRun:
    """Open the stage as the run would have it at its start, with the seeds that the run would have."""

    def split(size: int) -> None:
        warn(
            f"a batch of {stage.batch_size} does not fit into memory: its gradient is accumulated over micro-batches of"
            f" at most {counted(size, 'example')}"
        )

    network = open_network(plan, store, device, start.tensors, Path("the stage's start"))
    opened = open_stage(plan, stage, network, store, device, split)
    opened.start()
    return opened


class _Over(Exception):
    """The sweep is over; carries why it ended early, or nothing."""


def _sweep(loop: StageLoop, rates: tuple[float, ...], polling: Polling, progress: Callable[[int], None]) -> Sweep:
    losses: list[float] = []
    per_epoch = loop.stage.steps_per_epoch

    def look(step: int) -> None:
        loop.settle((step - 1) // per_epoch)
        assert loop.train_loss is not None  # a step was taken
        losses.append(loop.train_loss)
        progress(step)
        if polling.stopping:
            raise Interrupted(_NOTHING_CHANGED)
        if exploded(losses):
            raise _Over(f"the loss was more than {EXPLODED:g} times its lowest")
        if step == len(rates):
            raise _Over
        polling.step = step + 1
        polling.rest()

    stopped = ""
    polling.step = 1
    try:
        for epoch in range(loop.stage.epochs):
            loop.epoch(epoch, look, polling)
    except _Over as over:
        stopped = str(over)
    except NotFiniteError:
        if not losses:
            raise RunError(
                f"the first loss of stage `{loop.stage.name}` is not a finite number, so no learning rate can be found:"
                " look at the targets, and at the loss and the y_range, which should fit them"
            ) from None
        stopped = "the loss was no longer a number"
    return Sweep(rates[: len(losses)], tuple(losses), len(rates), stopped)


def _failure(error: Exception, stage: StagePlan) -> RunError:
    if is_out_of_memory(error):
        advice = "Try a smaller batch_size, a smaller size of the images, or runtime(on_oom = split)"
        return RunError(f"out of memory in the sweep over stage `{stage.name}`. {advice}")
    return RunError(f"{type(error).__name__} in the sweep over stage `{stage.name}`: {error}")
