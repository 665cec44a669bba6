"""Stopping early, and ending with the best epoch: on scripted numbers, and in runs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import dotexp as api
import pytest
import torch
from dotexp import Component, DataFacts, Params, RunError, Use
from dotexp.cli.display import Display
from dotexp.cli.run import close
from dotexp.engine.build.weights import load_weights
from dotexp.engine.evaluation import evaluate_run
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import RunResult
from dotexp.sdk.callback import Callback, EpochRow, Training
from dotexp_callbacks.best import EarlyStopping, KeepBest
from dotexp_callbacks.params import EarlyStoppingParams, KeepBestParams, Mode, Watched
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from rich.console import Console
from toys import METRICS, ImagesParams, callback, plan, same, stage

from specs import RATINGS, resolved

DATA = ImagesParams(batch_size=8)


def row(epoch: int, valid: float | None, **metrics: Any) -> EpochRow:
    """An epoch's numbers."""
    return EpochRow("train", epoch, epoch, 0.5, valid, metrics, 1.0)


def started(callback: Callback) -> Any:
    """The callback, at the start of a stage of a small network."""
    network = torch.nn.Linear(2, 1)
    parameters = tuple(network.parameters())
    facts = DataFacts("classification", train=8, valid=8)
    optimizer = torch.optim.SGD(parameters)
    callback.stage_started(Training(stage(), facts, network, optimizer, parameters, {"metric": METRICS[0]}))
    return callback


def stops_after(values: list[float | None], **arguments: Any) -> int | None:
    """Epoch after which these validation losses stop a stage."""
    stopping = started(EarlyStopping(EarlyStoppingParams(**arguments)))
    for place, value in enumerate(values):
        if stopping.epoch_ended(row(place + 1, value)) is not None:
            return place + 1
    return None


@pytest.mark.parametrize(
    ("values", "arguments", "epoch"),
    [
        ([3.0, 2.0, 1.0, 0.5], {"patience": 1}, None),
        ([3.0, 2.0, 2.5], {"patience": 1}, 3),
        ([3.0, 2.0, 2.0], {"patience": 1}, 3),  # as good is not better
        ([3.0, 2.0, 2.5, 1.9, 2.0, 2.1], {"patience": 2}, 6),  # counted anew from the best
        ([3.0, 2.0, 2.5, 2.4, 2.3], {"patience": 3}, 5),
        ([3.0, 2.95, 2.92, 2.85], {"patience": 2, "min_delta": 0.1}, 3),
        ([3.0, 2.95, 2.8, 2.75], {"patience": 2, "min_delta": 0.1}, None),  # 2.8 is better than 3.0 by more
        ([3.0, math.nan, None, 1.0], {"patience": 2}, 3),
        ([math.nan, math.inf], {"patience": 2}, 2),
        ([1.0, 2.0, 3.0, 2.5], {"patience": 1, "mode": Mode.high}, 4),
    ],
)
def test_it_stops_after_as_many_epochs_without_a_better_value(
    values: list[float | None], arguments: dict[str, Any], epoch: int | None
) -> None:
    assert stops_after(values, **arguments) == epoch


def test_a_metric_is_read_by_its_name() -> None:
    stopping = started(EarlyStopping(EarlyStoppingParams(monitor=METRICS[0], mode=Mode.high, patience=1)))
    assert stopping.epoch_ended(row(1, 1.0, metric=0.5)) is None
    assert stopping.epoch_ended(row(2, 2.0, metric=0.6)) is None
    assert stopping.epoch_ended(row(3, 0.1, metric=0.55)) == "metric was best in epoch 2, at 0.6; stopped after epoch 3"
    with pytest.raises(TypeError, match="metric is 2 numbers, and one is needed"):
        stopping.epoch_ended(row(4, 0.1, metric=[0.1, 0.2]))
    stopping = started(EarlyStopping(EarlyStoppingParams(monitor=Watched.train_loss, patience=1)))
    assert stopping.epoch_ended(row(1, math.nan)) is None
    assert stopping.epoch_ended(replace(row(2, None), train_loss=0.6)) is not None


def test_the_best_weights_are_a_copy_and_come_back() -> None:
    keeping = KeepBest(KeepBestParams())
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    facts = DataFacts("classification", train=8, valid=8)
    parameters = tuple(network.parameters())
    keeping.stage_started(Training(stage(), facts, network, torch.optim.SGD(parameters), parameters, {}))
    states = []
    for epoch, loss in enumerate([3.0, 1.0, 2.0], start=1):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.fill_(epoch)
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        assert keeping.epoch_ended(row(epoch, loss)) is None
    assert keeping.stage_ended() == 2
    assert same(network.state_dict(), states[1]) == set(states[1])
    assert all(parameter.requires_grad for parameter in parameters)


def test_without_any_finite_number_nothing_is_the_best() -> None:
    keeping = started(KeepBest(KeepBestParams()))
    keeping.epoch_ended(row(1, math.nan))
    keeping.epoch_ended(row(2, math.inf))
    with pytest.raises(RunError, match="valid_loss was a finite number in no epoch"):
        keeping.stage_ended()


# in runs


class SnapshotParams(Params):
    """Writes down the weights after each epoch."""


class Snapshot(Callback):
    """Writes down what was validated, by epoch."""

    states: dict[int, dict[str, torch.Tensor]]

    def __init__(self, params: SnapshotParams) -> None:
        Snapshot.states = {}

    def stage_started(self, training: Training) -> None:
        """Take the network."""
        self.network = training.network

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Copy its state."""
        self.states[row.epoch] = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return None


SNAPSHOT = Use(
    component=Component("callback", "snapshot", SnapshotParams, f"{__name__}:Snapshot"), params=SnapshotParams()
)


def run(planned: Plan, root: Path) -> tuple[RunFolder, RunResult]:
    """Execute a plan in a new folder."""
    folder = create_run(planned.name, root)
    return folder, execute(planned, folder)


def worsening(*callbacks: Use) -> Plan:
    """A stage whose validation loss is lowest in the middle."""
    return plan(stage(data=DATA, epochs=5, lr=0.3, callbacks=[*callbacks, SNAPSHOT]), data=DATA, seed=2)


@pytest.mark.run
def test_a_stage_ends_with_its_best_epoch_s_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, result = run(worsening(callback("keep_best")), tmp_path)
    losses = [each.valid_loss or math.inf for each in folder.read_epochs()]
    best = losses.index(min(losses)) + 1
    assert 1 < best < 5, losses
    kept = load_weights(folder.model)
    assert same(kept, Snapshot.states[best]) == set(kept)
    assert same(kept, Snapshot.states[5]) == set()
    assert (result.stages[0].best_epoch, result.stages[0].valid_loss) == (best, min(losses))
    assert evaluate_run(worsening().inference, folder, "valid").loss == pytest.approx(min(losses), rel=1e-6)
    assert (result.stages[0].epochs, result.stages[0].stopped) == (5, None)
    close(folder, tmp_path)
    said = f"of the weights of stage {result.stages[0].name}, epoch {best} of 5, its best"
    assert said in capsys.readouterr().out


@pytest.mark.run
@pytest.mark.parametrize("names", [("ema", "keep_best"), ("keep_best", "ema")])
def test_the_best_epoch_s_averages_are_kept_in_either_order(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder, result = run(worsening(*(callback(name) for name in names)), tmp_path)
    best = result.stages[0].best_epoch
    assert best is not None
    kept = load_weights(folder.model)
    assert same(kept, Snapshot.states[best]) == set(kept)
    assert evaluate_run(worsening().inference, folder, "valid").loss == pytest.approx(
        result.stages[0].valid_loss, rel=1e-6
    )


@pytest.mark.run
def test_a_stage_that_stops_early_says_so_and_the_next_one_follows(tmp_path: Path) -> None:
    stopping = callback("early_stopping", min_delta=100.0, patience=2)
    planned = plan(stage("first", epochs=6, data=DATA, callbacks=[stopping]), stage("second", data=DATA), data=DATA)
    folder, result = run(planned, tmp_path)
    first, second = result.stages
    assert planned.stages[0].steps == 24, "the plan is of the whole stage"
    assert (first.epochs, first.steps, second.epochs) == (3, 12, 2)
    assert first.stopped is not None
    assert first.stopped.startswith("early_stopping: valid_loss was best in epoch 1, at ")
    assert first.stopped.endswith("; stopped after epoch 3")
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line.get("stopped") for line in lines] == [None, None, first.stopped, None, None]
    assert folder.read_epochs()[2].stopped == first.stopped
    used = json.loads(folder.schedule.read_text())["stages"][0]["lr"][0]
    assert used == list((planned.stages[0].rates[0] or ())[:12])
    assert folder.read_result() == result


def test_who_watches_sees_why_a_stage_stopped() -> None:
    console = Console(file=StringIO(), width=200)
    Display(console).epoch_ended(replace(row(3, 0.5), stopped="early_stopping: enough"))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines()[1:] == ["  stopped by early_stopping: enough"]


@pytest.mark.run
def test_a_reason_to_stop_after_the_last_epoch_is_none(tmp_path: Path) -> None:
    stopping = callback("early_stopping", min_delta=100.0, patience=2)
    _, result = run(plan(stage(epochs=3, data=DATA, callbacks=[stopping]), data=DATA), tmp_path)
    assert (result.stages[0].epochs, result.stages[0].stopped) == (3, None)


@pytest.mark.run
def test_a_stopped_stage_is_resumed_as_stopped(tmp_path: Path) -> None:
    """Also where the run was cut off between the epoch that stopped it and the stage's end."""
    stopping = callback("early_stopping", min_delta=100.0, patience=1)
    planned = with_runtime(
        plan(
            stage("first", epochs=5, data=DATA, callbacks=[stopping, callback("keep_best")]),
            stage("second", data=DATA, epochs=1),
            data=DATA,
        ),
        EVERY_STEP,
    )
    whole, _ = run(planned, tmp_path)
    stopped = Position(0, 8, 2)
    assert stopped in positions(whole.checkpoints)
    for position in (stopped, Position(0, 8, 1), Position(1, 0, 2)):
        resumed = cut(whole, tmp_path / position.name, position)
        go_on(planned, resumed)
        assert bits(resumed) == bits(whole)


@pytest.mark.run
def test_from_a_spec_to_a_result(tmp_path: Path) -> None:
    small = "latent_ratings(users = 40, items = 30, density = 50%, batch_size = 32)"
    text = RATINGS.replace("latent_ratings", small).replace("epochs = 1", "epochs = 9")
    text += "\nmetrics rmse\ncallbacks early_stopping(rmse, patience = 2, min_delta = 1000), keep_best(rmse)\n"
    folder = api.run(resolved(text), runs=tmp_path)
    result = folder.read_result()
    assert result is not None
    (train,) = result.stages
    assert (train.epochs, train.steps) == (3, 3 * (api.plan(resolved(text)).stages[0].steps // 9))
    assert (train.stopped or "").startswith("early_stopping: rmse was best in epoch 1, at ")
    values = [each.metrics["rmse"] for each in folder.read_epochs()]
    assert train.metrics["rmse"] == min(values)
    assert api.verify(folder).differences == ()


@pytest.mark.run
def test_the_best_weights_are_kept_through_an_interruption(tmp_path: Path) -> None:
    """Cut off after each step behind the best epoch: its weights are in the checkpoint, and come back."""
    planned = with_runtime(worsening(callback("keep_best")), EVERY_STEP)
    whole, result = run(planned, tmp_path)
    best = result.stages[0].best_epoch
    assert best is not None and best < 5
    later = [position for position in positions(whole.checkpoints) if position.epochs >= best and position.stage == 0]
    assert len(later) > 4
    for position in later:
        resumed = cut(whole, tmp_path / position.name, position)
        go_on(planned, resumed)
        assert bits(resumed) == bits(whole), position


class Warnings(NullListener):
    """Collects what it is warned of."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def warned(self, message: str) -> None:
        """Collect a warning."""
        self.heard.append(message)


@pytest.mark.run
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_not_finite_is_told_once_a_stage_and_never_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr("toys.Wrong.compute", lambda self: torch.tensor(value))
    keeping = callback("keep_best", monitor=METRICS[0], mode=Mode.high)
    planned = plan(stage("first", data=DATA), stage("second", data=DATA, callbacks=[keeping]), data=DATA)
    folder, listener = create_run(planned.name, tmp_path), Warnings()
    with pytest.raises(RunError, match=r"`keep_best`.*: metric was a finite number in no epoch[^\n]*\n  its weights"):
        execute(planned, folder, listener)
    heard = [line for line in listener.heard if "the metric" in line]
    assert [line.split(": the model")[0] for line in heard] == [
        f"stage `first`, epoch 1: the metric `metric` is {value}",
        f"stage `second`, epoch 1: the metric `metric` is {value}",
    ]
    assert positions(folder.checkpoints)
