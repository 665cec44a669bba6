"""A learning-rate sweep over a stage, from the weights that the stage starts with; no file of a run changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import autocast, machine, seeder
from dotexp.engine.build.network import build_network, prepare_network
from dotexp.engine.build.weights import load_weights, require_fit
from dotexp.engine.evaluation import named_metrics
from dotexp.engine.events import Listener
from dotexp.engine.executor import execute
from dotexp.engine.identity import differences
from dotexp.engine.lr_suggestions import EXPLODED, Sweep, exploded
from dotexp.engine.state.state import from_bytes, unpack
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.engine.training.guard import NotFiniteError
from dotexp.engine.training.loop import Machinery, StageLoop
from dotexp.engine.training.micro_batches import is_out_of_memory
from dotexp.engine.training.polling import Watch, stopped_by_signals
from dotexp.experiment.experiment import Device, Experiment, OnOom, Precision, Runtime
from dotexp.experiment.text import as_text
from dotexp.language.diagnostics import DotexpError, Interrupted, RunError, UsageError
from dotexp.planning.plan import Plan, StagePlan
from dotexp.runs.checkpoints import read_start
from dotexp.runs.folder import RunFolder
from dotexp.sdk.callback import Training
from dotexp.sdk.seeds import derive

_NOTHING_CHANGED = "interrupted: no learning rate was found, and no file has changed"


@dataclass(frozen=True)
class Start:
    """The weights that a stage starts with, and in words where they come from; None: as the model is built."""

    tensors: Mapping[str, Tensor] | None
    said: str


def first_start() -> Start:
    """Start of the first stage."""
    return Start(None, "the model's initial ones, this being the first stage")


def start_from_run(plan: Plan, index: int, run: RunFolder, before: Experiment) -> Start | None:
    """Weights with which a run, whose experiment is `before`, began a stage; None where it has no such checkpoint.

    Raises UsageError, with the differences, where the stages before it, the data or the model are not the plan's.
    """
    texts = [_until(experiment, index) for experiment in (before, plan.experiment)]
    found = differences(*({"experiment": text} for text in texts))
    if found:
        listed = "\n".join(f"  {line}" for line in found)
        stage = plan.stages[index].name
        raise UsageError(f"{run.path} did not come to the stage `{stage}` as this spec would:\n{listed}")
    stored = read_start(run.checkpoints, index)
    if stored is None:
        return None
    network = unpack(stored.facts["state"], from_bytes(stored.tensors))["network"]
    return Start(network, f"those with which {run.name} began the stage, from its checkpoint {stored.position.name}")


def start_by_training(
    plan: Plan,
    index: int,
    device: Device | None,
    plugins: Mapping[str, str],
    store: DataStore,
    listener: Listener | None,
) -> Start:
    """Train the stages before one, in a temporary folder. Raises RunError where that fails."""
    names = ", ".join(f"`{stage.name}`" for stage in plan.stages[:index])
    with TemporaryDirectory(prefix="dotexp-lr-find-") as folder:
        run = RunFolder(Path(folder) / f"{plan.experiment.name}-before-{plan.stages[index].name}")
        run.path.mkdir()
        try:
            execute(replace(plan, stages=plan.stages[:index]), run, listener, device, plugins, store)
        except Interrupted as stop:
            raise Interrupted(_NOTHING_CHANGED) from stop
        except RunError as error:  # its further lines tell how to go on with a run that is gone
            raise RunError(f"before stage `{plan.stages[index].name}`: {str(error).partition(chr(10))[0]}") from error
        return Start(load_weights(run.model), f"those that the stages before it end with, trained for this: {names}")


def sweep_stage(
    plan: Plan,
    index: int,
    group: int,
    peaks: tuple[float | None, ...],
    rates: tuple[float, ...],
    start: Start,
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
    watch = Watch()
    with stopped_by_signals(watch), machine(plan.experiment.runtime, device) as chosen:
        try:
            loop = _loop(plan, stage, start, store, chosen, warn or (lambda message: None))
            return _sweep(loop, rates, watch, progress or (lambda step: None))
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


def _loop(
    plan: Plan, stage: StagePlan, start: Start, store: DataStore, device: torch.device, warn: Callable[[str], None]
) -> StageLoop:
    """Build what the run would have at the stage's start, with the seeds that the run would have."""
    experiment, runtime = plan.experiment, plan.experiment.runtime
    seed = seeder(device)
    seed(derive(experiment.seed, "build"))
    network = build_network(experiment.model, plan.facts, experiment.seed)
    if start.tensors is None:
        prepare_network(network, store.get(experiment.data, experiment.seed).part("train"))
    network = network.to(device)
    if start.tensors is not None:
        require_fit(start.tensors, network.state_dict(), Path("the stage's start"))
        network.load_state_dict(start.tensors)

    def told(size: int) -> None:
        warn(f"a batch of {stage.batch_size} does not fit into memory: its gradient is taken in pieces of {size}")

    split = told if runtime.on_oom is OnOom.in_pieces else None
    scaled = runtime.precision is Precision.f16
    machinery = Machinery(device, autocast(device, runtime.precision), seed, runtime.workers, split, scaled)
    seed(derive(experiment.seed, "stage", stage.name))
    loss = stage.loss.build(plan.facts).to(device)
    callbacks = StageCallbacks(stage.callbacks)
    part = store.get(stage.data, experiment.seed).part("train")
    loop = StageLoop(stage, network, loss, part, experiment.seed, machinery, callbacks)
    named = named_metrics(experiment.metrics)
    callbacks.stage_started(Training(stage, plan.facts, network, loop.optimizer, loop.trained, named))
    return loop


class _Over(Exception):
    """The sweep is over; carries why it ended early, or nothing."""


def _sweep(loop: StageLoop, rates: tuple[float, ...], watch: Watch, progress: Callable[[int], None]) -> Sweep:
    losses: list[float] = []
    per_epoch = loop.stage.steps_per_epoch

    def look(step: int) -> None:
        loop.settle((step - 1) // per_epoch)
        assert loop.train_loss is not None  # a step was taken
        losses.append(loop.train_loss)
        progress(step)
        if watch.stopping:
            raise Interrupted(_NOTHING_CHANGED)
        if exploded(losses):
            raise _Over(f"the loss was more than {EXPLODED:g} times its lowest")
        if step == len(rates):
            raise _Over
        watch.step = step + 1
        watch.rest()

    stopped = ""
    watch.step = 1
    try:
        for epoch in range(loop.stage.epochs):
            loop.epoch(epoch, look, watch)
    except _Over as over:
        stopped = str(over)
    except NotFiniteError:
        stopped = "the loss was no longer a number"
    return Sweep(rates[: len(losses)], tuple(losses), len(rates), stopped)


def _until(experiment: Experiment, index: int) -> str:
    """What the weights at a stage's start depend on."""
    runtime = Runtime(precision=experiment.runtime.precision, on_oom=experiment.runtime.on_oom)
    plain = {"name": "any", "description": "", "metrics": (), "reports": (), "runtime": runtime}
    return as_text(experiment.model_copy(update={**plain, "stages": experiment.stages[:index]}))


def _failure(error: Exception, stage: StagePlan) -> RunError:
    if is_out_of_memory(error):
        advice = "Try a smaller batch_size, a smaller size of the images, or runtime(on_oom = split)"
        return RunError(f"out of memory in the sweep over stage `{stage.name}`. {advice}")
    return RunError(f"{type(error).__name__} in the sweep over stage `{stage.name}`: {error}")
