"""Numbers that callbacks log: in an epoch's row, wherever rows are shown, and the same through interruptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dotexp import Component, Params, RunError, Use
from dotexp.cli.display import Display
from dotexp.engine.build.network import build_network
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.engine.training.callbacks import StageCallbacks
from dotexp.engine.training.groups import parameter_groups
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import EpochRow
from dotexp.sdk.callback import Callback, Training
from interruptions import EVERY_STEP, cut, go_on, with_runtime
from pydantic import Field
from rich.console import Console
from toys import ImagesParams, plan, stage


class ToyParams(Params):
    """A callback of these tests."""

    case: str = ""
    number: float = Field(0.0, ge=0, le=1)


class Counting(Callback):
    """Logs in every hook that may log, some names in some epochs only."""

    def __init__(self, params: ToyParams) -> None:
        self.total = torch.zeros((), dtype=torch.float64)

    def stage_started(self, training: Training) -> None:
        """Log the stage's steps: it is in the first epoch's row."""
        self.log = training.log
        self.log("steps", training.stage.steps)

    def before_step(self, step: int) -> None:
        """Log a tensor that goes on changing, and is not what is logged."""
        self.total += step + 0.1
        self.log("sum/steps", self.total)

    def after_step(self, step: int) -> None:
        """Log, in the first step of each epoch, which is lost if a checkpoint does not hold it."""
        if step % 2 == 0:
            self.log("first-step", step)
            self.log("twice", -1)
        self.log("twice", np.float32(step))

    def before_validation(self) -> None:
        """Log a boundary."""
        self.log("validating", 1)

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Log what the row already has."""
        self.log("seen", len(row.logged))
        return None

    def after_validation(self) -> None:
        """Log the last."""
        self.log("nan" if self.total > 3 else "inf", math.nan if self.total > 3 else math.inf)

    def state_dict(self) -> dict[str, Any]:
        """The sum."""
        return {"total": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sum up."""
        self.total = state["total"]


def toy(build: type[Callback], name: str = "", **arguments: Any) -> Use:
    """One of these callbacks in use."""
    component = Component("callback", name or build.__name__.lower(), ToyParams, f"{__name__}:{build.__name__}")
    return Use(component=component, params=ToyParams(**arguments))


class Watching(NullListener):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.rows: list[EpochRow] = []
        self.warnings: list[str] = []

    def epoch_ended(self, row: EpochRow) -> None:
        """Keep the row."""
        self.rows.append(row)

    def warned(self, message: str) -> None:
        """Keep the warning."""
        self.warnings.append(message)


def logging_plan() -> Plan:
    """Two epochs of two steps, saved after each."""
    data = ImagesParams(batch_size=16)
    return with_runtime(plan(stage(callbacks=[toy(Counting)], data=data), data=data), EVERY_STEP)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Watching]:
    """Execute the plan."""
    folder, watching = create_run("toy", tmp_path_factory.mktemp("logged")), Watching()
    execute(logging_plan(), folder, watching)
    return folder, watching


def written(run: RunFolder) -> list[EpochRow]:
    """A run's epochs without their times."""
    return [replace(row, seconds=0.0) for row in run.read_epochs()]


@pytest.mark.run
def test_the_last_value_of_a_name_is_in_the_epochs_row_for_files_and_listeners(
    finished: tuple[RunFolder, Watching],
) -> None:
    run, watching = finished
    first, second = (dict(row.logged) for row in run.read_epochs())
    assert first == {
        "steps": 4, "sum/steps": pytest.approx(1.2), "first-step": 0, "twice": 1, "validating": 1, "seen": 5,
        "inf": None,
    }  # fmt: skip
    assert second == {
        "sum/steps": pytest.approx(6.4), "first-step": 2, "twice": 3, "validating": 1, "seen": 4, "nan": None
    }  # fmt: skip
    assert [set(row.logged) for row in watching.rows] == [set(first), set(second)]
    assert '"inf": null' in run.metrics.read_text()
    assert watching.warnings == ["stage `train`, epoch 1: callback `counting` logs `inf` = inf"]


@pytest.mark.run
def test_a_run_killed_after_any_step_has_the_same_rows(finished: tuple[RunFolder, Watching], tmp_path: Path) -> None:
    run, _ = finished
    places = [None, *positions(run.checkpoints)[1:]]
    assert len(places) >= 5, "in the middle of each epoch, and at its end"
    for place in places:
        copy = cut(run, tmp_path / (place.name if place else "start"), place)
        go_on(logging_plan(), copy)
        assert written(copy) == written(run), place


def test_the_table_has_a_column_for_each_and_a_new_header_where_they_change() -> None:
    console = Console(file=StringIO(), width=300)
    display = Display(console)
    display.run_started(logging_plan(), RunFolder(Path("toy-1")))
    display.stage_started("train", 4)
    row = EpochRow("train", 1, 2, 0.5, 0.25, {"metric": 0.125}, 9.0)
    for logged in ({}, {"norm": 3.5, "none": math.nan}, {"norm": 2.5, "none": 7.0}, {}):
        display.epoch_ended(replace(row, logged=logged))
    assert isinstance(console.file, StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()[2:]]
    plain, more = ["epoch", "train_loss", "valid_loss", "metric"], ["norm", "none"]
    assert [line for line in lines if line[0] == "epoch"] == [
        [*plain, "seconds"], [*plain, *more, "seconds"], [*plain, "seconds"]
    ]  # fmt: skip
    assert [line[4:-1] for line in lines if line[0] == "1"] == [[], ["3.500000", "nan"], ["2.500000", "7.000000"], []]


def failing(training: Training, case: str) -> None:
    """Log what may not be logged."""
    bad: dict[str, Callable[[], None]] = {
        "metric": lambda: training.log("metric", 1),
        "field": lambda: training.log("valid_loss", 1),
        "space": lambda: training.log("a b", 1),
        "digit": lambda: training.log("5th", 1),
        "empty": lambda: training.log("", 1),
        "long": lambda: training.log("n" * 65, 1),
        "line": lambda: training.log("a\n", 1),
        "no text": lambda: training.log(3, 1),  # type: ignore[arg-type]
        "text": lambda: training.log("x", "0.5"),  # type: ignore[arg-type]
        "none": lambda: training.log("x", None),  # type: ignore[arg-type]
        "bool": lambda: training.log("x", True),
        "vector": lambda: training.log("x", torch.ones(2)),
        "empty tensor": lambda: training.log("x", torch.ones(0)),
        "bool tensor": lambda: training.log("x", torch.tensor(True)),
        "complex tensor": lambda: training.log("x", torch.tensor(1j)),
        "complex": lambda: training.log("x", 1j),  # type: ignore[arg-type]
        "array": lambda: training.log("x", np.ones(1)),  # type: ignore[arg-type]
        "array of text": lambda: training.log("x", np.array("a")),  # type: ignore[arg-type]
        "huge": lambda: training.log("x", 10**400),
    }
    bad[case]()


class Wrong(Callback):
    """Logs what may not be logged."""

    def __init__(self, params: ToyParams) -> None:
        self.case = params.case

    def stage_started(self, training: Training) -> None:
        """Log it."""
        failing(training, self.case)


class Twice(Callback):
    """Logs `norm`, in the end if it is said."""

    def __init__(self, params: ToyParams) -> None:
        self.late = params.case == "late"

    def stage_started(self, training: Training) -> None:
        """Log it."""
        self.training = training
        training.log("norm", 1.0)

    def stage_ended(self) -> int | None:
        """Log it too late."""
        if self.late:
            self.training.log("norm", 2.0)
        return None


SAID = {
    "metric": "cannot log `metric`, which is one of the metrics: choose another name",
    "field": "cannot log `valid_loss`, which is a field of every epoch: choose another name",
    "space": "cannot log under the name 'a b': a name is a letter or _, then letters, digits",
    "digit": "under the name '5th'",
    "empty": "under the name ''",
    "long": "at most 64 characters",
    "line": r"under the name 'a\n'",
    "no text": "under the name 3",
    "text": "cannot log `x`: '0.5' of type str is not a number",
    "none": "cannot log `x`: None of type NoneType is not a number",
    "bool": "True of type bool is not a number",
    "vector": "a tensor of shape (2,) and torch.float32 is not a number",
    "empty tensor": "a tensor of shape (0,)",
    "bool tensor": "a tensor of shape () and torch.bool",
    "complex tensor": "a tensor of shape () and torch.complex64",
    "complex": "1j of type complex",
    "array": "of type ndarray is not a number",
    "array of text": "of type ndarray is not a number",
    "huge": "of type int is not a number",
}


def started(*uses: Use) -> StageCallbacks:
    """Start callbacks without a run."""
    callbacks = StageCallbacks(uses)
    shown: Any = None
    callbacks.stage_started(Training(shown, shown, shown, shown, (), {"metric": shown}))
    return callbacks


@pytest.mark.parametrize("case", SAID)
def test_what_may_not_be_logged_is_told_with_the_callback(case: str) -> None:
    with pytest.raises(RunError) as raised:
        started(toy(Wrong, case=case))
    assert str(raised.value).startswith("callback `wrong`: cannot log")
    assert SAID[case] in str(raised.value)


def test_a_name_is_one_callbacks() -> None:
    with pytest.raises(RunError, match=r"^callback `other`: cannot log `norm`, which another callback of the stage"):
        started(toy(Twice), toy(Twice, "other"))


def test_a_number_behind_the_last_epoch_is_refused_and_not_lost_in_silence() -> None:
    started(toy(Twice)).stage_ended()
    with pytest.raises(RunError, match=r"cannot log `norm` after the stage's last epoch: log it in epoch_ended"):
        started(toy(Twice, case="late")).stage_ended()


def test_two_groups_of_an_optimizer_never_have_one_name() -> None:
    planned = plan(stage())
    network = build_network(planned.model, planned.facts, 1)
    names = [group.name for group in parameter_groups(network, planned.stages[0])]
    assert len(names) == len(set(names)) and "head" in names and "head.undecayed" in names
