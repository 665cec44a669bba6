"""Callbacks: called where they ask to be and nowhere else, named where they fail, kept through interruptions."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from dotexp import Component, DataFacts, Params, RunError, Use
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.experiment.experiment import Device, FreezeLayers, LayerSpan, OnOom, Precision, Runtime
from dotexp.language.diagnostics import Interrupted
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult, Status
from dotexp.sdk.callback import Callback, EpochRow, Training
from dotexp.sdk.data import Batch
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from pydantic import Field
from toys import ImagesParams, MetricParams, Wrong, callback, plan, same, stage


class ToyParams(Params):
    """A callback of these tests."""

    text: str = ""
    number: float = Field(0.0, ge=0, le=1)


class Log(Callback):
    """Writes down every call; whoever makes one starts a new list."""

    heard: list[str]

    def __init__(self, params: ToyParams) -> None:
        Log.heard = []

    def stage_started(self, training: Training) -> None:
        """Write it down, with what it was shown."""
        assert {id(p) for p in training.parameters} == {id(p) for p in training.network.parameters() if p.requires_grad}
        assert {id(p) for g in training.optimizer.param_groups for p in g["params"]} == {
            id(p) for p in training.parameters
        }
        self.heard.append(f"start {training.stage.name} {len(training.parameters)} {[*training.metrics]}")

    def change_batch(self, batch: Batch) -> Batch:
        """Write it down."""
        self.heard.append(f"batch {len(batch.targets)}")
        return batch

    def before_step(self, step: int) -> None:
        """Write it down."""
        self.heard.append(f"before {step}")

    def after_step(self, step: int) -> None:
        """Write it down."""
        self.heard.append(f"after {step}")

    def before_validation(self) -> None:
        """Write it down."""
        self.heard.append("validate")

    def after_validation(self) -> None:
        """Write it down."""
        self.heard.append("validated")

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Write it down."""
        self.heard.append(f"epoch {row.epoch} {row.step} {row.valid_loss is not None}")
        return None

    def stage_ended(self) -> int | None:
        """Write it down."""
        self.heard.append("end")
        return None


class Failing(Callback):
    """Fails where its parameter says."""

    def __init__(self, params: ToyParams) -> None:
        self.place = params.text
        self.fail("its builder")

    def fail(self, place: str) -> None:
        """Fail, if this is the place."""
        if self.place == place:
            raise KeyError("oh")

    def stage_started(self, training: Training) -> None:
        """Perhaps fail."""
        self.fail("stage_started")

    def before_step(self, step: int) -> None:
        """Perhaps fail, in the second step."""
        self.fail("before_step" if step == 1 else "")

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Perhaps fail."""
        self.fail("epoch_ended")
        return None

    def state_dict(self) -> dict[str, Any]:
        """Perhaps what no checkpoint can keep."""
        return {"thing": object()} if self.place == "thing" else {}


class Hungry(Callback):
    """Runs out of memory."""

    def __init__(self, params: ToyParams) -> None: ...

    def after_step(self, step: int) -> None:
        """Run out of it."""
        raise torch.OutOfMemoryError("CUDA out of memory")


class Noise(Callback):
    """Adds random numbers to the gradients, and sums them up in its state."""

    def __init__(self, params: ToyParams) -> None:
        self.total = torch.zeros(())

    def stage_started(self, training: Training) -> None:
        """Take the parameters."""
        self.parameters = training.parameters

    def before_step(self, step: int) -> None:
        """Add noise in proportion to what was added before."""
        for parameter in self.parameters:
            assert parameter.grad is not None
            noise = torch.randn_like(parameter.grad) * (0.01 + 0.01 * self.total)
            parameter.grad += noise
            self.total += noise.abs().mean()

    def state_dict(self) -> dict[str, Any]:
        """The sum."""
        return {"total": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sum up."""
        self.total = state["total"]


def nothing(params: ToyParams) -> object:
    """A builder of something else."""
    return 3


def toy(build: type[Callback] | Any, **arguments: Any) -> Use:
    """One of these callbacks in use."""
    name = build.__name__.lower()
    component = Component("callback", name, ToyParams, f"{__name__}:{build.__name__}")
    return Use(component=component, params=ToyParams(**arguments))


def run(planned: Plan, root: Path, **more: Any) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder, **more)


@pytest.mark.run
def test_every_hook_comes_in_its_place(tmp_path: Path) -> None:
    data = ImagesParams(batch_size=16)
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    run(plan(stage(callbacks=[toy(Log)], data=data, freeze=body), data=data), tmp_path)
    step = "batch 16", "before {0}", "after {0}"
    epochs = [
        [
            *(call.format(s) for s in (2 * e, 2 * e + 1) for call in step),
            "validate",
            f"epoch {e + 1} {2 * e + 2} True",
            "validated",
        ]
        for e in range(2)
    ]
    assert Log.heard == ["start train 2 ['metric']", *epochs[0], *epochs[1], "validate", "end"]


@pytest.mark.run
def test_each_stage_has_its_own(tmp_path: Path) -> None:
    run(plan(stage("one", callbacks=[toy(Log)]), stage("two", callbacks=[toy(Log)], epochs=1)), tmp_path)
    assert Log.heard[0] == "start two 14 ['metric']"
    assert Log.heard.count("end") == 1
    run(plan(stage("one", callbacks=[toy(Log)]), stage("two")), tmp_path)
    assert Log.heard[0].startswith("start one"), "a stage without callbacks builds none"


def test_only_what_is_defined_is_called_at_a_step() -> None:
    quiet = StageCallbacks([callback("early_stopping"), callback("keep_best"), callback("accumulate", batches=2)])
    assert (quiet.before_step, quiet.after_step, quiet.change_batch) == ((), (), None)
    busy = StageCallbacks([callback("clip"), callback("ema"), callback("mixup")])
    assert [len(busy.before_step), len(busy.after_step)] == [1, 1]
    assert busy.change_batch is not None


@pytest.mark.run
def test_a_callback_that_only_looks_changes_nothing(tmp_path: Path) -> None:
    plain, watched = (load_weights(run(plan(stage(callbacks=c)), tmp_path)[0].model) for c in ((), [toy(Log)]))
    assert same(plain, watched) == set(plain)


@pytest.mark.run
@pytest.mark.parametrize("place", ["its builder", "stage_started", "before_step", "epoch_ended"])
def test_one_that_raises_is_named(tmp_path: Path, place: str) -> None:
    failing = toy(Failing, text=place)
    folder = create_run("toy", tmp_path)
    with pytest.raises(RunError, match=f"callback `failing` fails in {place}: KeyError: 'oh'"):
        execute(plan(stage(callbacks=[callback("clip"), failing])), folder)
    assert folder.status is Status.failed


@pytest.mark.run
def test_what_no_checkpoint_can_keep_is_told_by_its_name(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage(callbacks=[toy(Failing, text="thing")])), EVERY_STEP)
    with pytest.raises(RunError, match=r"callbacks/0 failing/thing holds a object, which a checkpoint cannot keep"):
        run(planned, tmp_path)


def test_a_builder_must_build_a_callback(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"callback `nothing` built a int, not a dotexp\.sdk\.callback\.Callback"):
        run(plan(stage(callbacks=[toy(nothing)])), tmp_path)


@pytest.mark.run
def test_memory_that_runs_out_in_one_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"out of memory .*The estimate for the stage"):
        run(plan(stage(callbacks=[toy(Hungry)])), tmp_path)


# interruptions

EVERYTHING = [
    callback("mixup", p=0.5),
    callback("cutmix", p=0.5),
    callback("accumulate", batches=2),
    callback("clip", norm=0.5),
    callback("ema", decay=0.9),
    callback("keep_best"),
    callback("early_stopping", min_delta=100.0, patience=2),
    toy(Noise),
]


def everything(runtime: Runtime = EVERY_STEP) -> Plan:
    """Two stages with every callback: the first stops after three of its four epochs."""
    data = ImagesParams(batch_size=8)
    local = FreezeLayers(items=(LayerSpan(first="stem"),))
    second = stage("second", data=data, epochs=1, freeze=local, callbacks=[callback("ema"), callback("keep_best")])
    return with_runtime(plan(stage("first", data=data, epochs=4, callbacks=EVERYTHING), second, data=data), runtime)


@pytest.mark.run
def test_a_run_with_every_callback_goes_on_anywhere_to_the_same_bits(tmp_path: Path) -> None:
    planned = everything()
    whole = create_run("toy", tmp_path)
    result = execute(planned, whole)
    assert [(s.epochs, s.steps) for s in result.stages] == [(3, 6), (1, 4)]
    assert result.stages[0].stopped is not None
    expected = bits(whole)
    found = positions(whole.checkpoints)
    assert len(found) == 15
    for position in (None, *found):
        resumed = cut(whole, tmp_path / f"cut-{position.name if position else 'start'}", position)
        go_on(planned, resumed)
        assert bits(resumed) == expected, position


class Stopper(Wrong):
    """A metric during whose first batch someone stops the run, once."""

    stopped = False

    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Count a batch; be interrupted."""
        super().update(outputs, targets)
        if not Stopper.stopped:
            Stopper.stopped = True
            signal.raise_signal(signal.SIGINT)


def build_stopper(params: MetricParams, facts: DataFacts) -> Wrong:
    """Builder of the metric."""
    return Stopper()


@pytest.mark.run
def test_a_run_stopped_while_averages_are_validated_saves_what_is_trained(tmp_path: Path) -> None:
    stopper = Component("metric", "metric", MetricParams, f"{__name__}:build_stopper")
    callbacks = [callback("ema", decay=0.9), callback("keep_best")]
    data = ImagesParams(batch_size=4)
    planned = with_runtime(
        plan(stage(callbacks=callbacks, data=data), data=data, metrics=[Use(component=stopper, params=MetricParams())]),
        Runtime(device=Device.cpu, threads=1),
    )
    Stopper.stopped = True
    whole, _ = run(planned, tmp_path)
    Stopper.stopped = False
    stopped = create_run("toy", tmp_path)
    with pytest.raises(Interrupted, match=r"epoch 1, after step 8 of 16, and saved"):
        execute(planned, stopped)
    go_on(planned, stopped)
    assert bits(stopped) == bits(whole)


# together with the rest of the engine


@pytest.mark.run
def test_they_work_in_bf16_and_with_split_batches(tmp_path: Path) -> None:
    for runtime in (
        Runtime(device=Device.cpu, threads=1, precision=Precision.bf16),
        Runtime(device=Device.cpu, threads=1, on_oom=OnOom.in_pieces),
    ):
        folder, result = run(everything(runtime), tmp_path)
        assert result.status is Status.finished
        weights = load_weights(folder.model)
        assert all(torch.isfinite(tensor).all() for tensor in weights.values())
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32, torch.int64}


@pytest.mark.run
def test_splitting_where_all_fits_changes_nothing_but_rounding(tmp_path: Path) -> None:
    plain = Runtime(device=Device.cpu, threads=1)
    runs = [run(everything(each), tmp_path)[0] for each in (plain, splitting(plain))]
    first, second = (load_weights(folder.model) for folder in runs)
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=1e-6)


def splitting(runtime: Runtime) -> Runtime:
    """The same, splitting what does not fit."""
    return runtime.model_copy(update={"on_oom": OnOom.in_pieces})


@pytest.mark.run
def test_frozen_layers_stay_as_they_are_with_all_of_them(tmp_path: Path) -> None:
    data = ImagesParams(batch_size=8)
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    first = stage("first", data=data, epochs=1)
    second = stage("second", data=data, epochs=4, freeze=body, callbacks=EVERYTHING)
    before = load_weights(run(plan(first, data=data), tmp_path)[0].model)
    after = load_weights(run(plan(first, second, data=data), tmp_path)[0].model)
    assert set(before) - same(before, after) == {"head.3.weight", "head.3.bias"}
