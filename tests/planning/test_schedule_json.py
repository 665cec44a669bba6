"""Schedules in a run's files: all of a short stage, samples and a digest of a long one; plan --json has every step."""

from __future__ import annotations

import json
import random
from array import array
from itertools import pairwise
from pathlib import Path

import pytest
from dotexp.commands.workspace import Workspace
from dotexp.planning.plan import Plan
from dotexp.planning.schedule_json import ALL, schedule_json
from dotexp.runs.files import write_json
from spec_runner import QUICK, runner

from specs import IMAGES, resolved

LONG = IMAGES.replace(
    "stage everything {\n  fit one_cycle(epochs = 2", "stage everything {\n  fit one_cycle(epochs = 10000"
)


@pytest.fixture(scope="module")
def long() -> Plan:
    """More than 100,000 steps, three groups."""
    made = Workspace(device="cpu").plan(resolved(LONG))
    assert made.stages[1].steps > 100_000
    return made


def test_the_plan_of_a_long_run_is_a_small_file(long: Plan, tmp_path: Path) -> None:
    write_json(tmp_path / "plan.json", long.as_json(every_step=False))
    assert (tmp_path / "plan.json").stat().st_size <= 200_000


def test_plan_json_has_an_entry_for_every_step(long: Plan) -> None:
    schedule = long.as_json()["stages"][1]["schedule"]
    assert set(schedule) == {"lr", "momentum"}
    assert [len(rates) for rates in schedule["lr"]] == [long.stages[1].steps] * 3
    assert len(schedule["momentum"]) == long.stages[1].steps


def test_samples_are_the_plans_own_numbers_with_both_ends_and_the_extremes(long: Plan) -> None:
    stage, found = long.stages[1], long.as_json(every_step=False)["stages"][1]["schedule"]
    at = found["at"]
    assert at == sorted(set(at)) and at[0] == 0 and at[-1] == stage.steps - 1 == found["steps"] - 1
    for rates, sampled in zip(stage.rates, found["lr"], strict=True):
        assert rates is not None and sampled == [rates[place] for place in at]
        assert (max(sampled), min(sampled)) == (max(rates), min(rates))
    assert stage.momentum is not None and min(found["momentum"]) == min(stage.momentum)
    assert max(b - a for a, b in pairwise(at)) <= stage.steps / 200, "no hole in the curve"


@pytest.mark.parametrize("steps", [0, 1, 2, ALL])
def test_a_short_schedule_is_written_whole(steps: int) -> None:
    values = array("d", [0.1] * steps)
    assert schedule_json((values, None), None) == {"lr": [list(values), None], "momentum": None}


@pytest.mark.parametrize("steps", [ALL + 1, 1013, 40_000])
def test_every_number_counts_in_the_digest(steps: int) -> None:
    random.seed(steps)
    values = array("d", (random.random() for _ in range(steps)))
    first = schedule_json((values, None), values)
    assert schedule_json((tuple(values), None), tuple(values)) == first, "tuples and arrays alike"
    place = next(place for place in range(1, steps) if place not in first["at"])
    values[place] *= 1 + 1e-15
    changed = schedule_json((values, None), values)
    assert changed["sha256"] != first["sha256"] and changed["at"] == first["at"]
    assert schedule_json((None, values), values)["sha256"] != changed["sha256"]


@pytest.mark.run
def test_a_long_run_is_reported_and_verified(tmp_path: Path) -> None:
    (tmp_path / "films.exp").write_text(
        QUICK.replace("epochs = 1", "epochs = 150").replace("batch_size = 32", "batch_size = 16")
    )
    assert runner("run", "films.exp", "--device", "cpu", folder=tmp_path).returncode == 0
    run = tmp_path / "runs" / "films-1"
    plan, used = (json.loads((run / name).read_text()) for name in ("plan.json", "schedule.json"))
    (stage,), (planned,) = used["stages"], plan["stages"]
    assert stage["steps"] > ALL and stage["sha256"] == planned["schedule"]["sha256"]
    shown = runner("report", "films-1", "--json", folder=tmp_path)
    assert json.loads(shown.stdout)["problems"] == []
    assert runner("verify", "films-1", folder=tmp_path).returncode == 0
    stage["sha256"] = "0" * 64
    (run / "schedule.json").write_text(json.dumps(used))
    told = runner("verify", "films-1", folder=tmp_path)
    assert told.returncode == 1 and "schedule.json: stage train: a learning rate or momentum" in told.stdout
