"""Rewrites: every rule's decision and reason, in the plan and its JSON; one can be turned off; none needs torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from dotexp.commands import workspace as api
from dotexp.experiment.experiment import Device, Precision, RewriteName
from dotexp.planning.plan import StagePlan
from dotexp.planning.rewrites import RULES, decide
from dotexp.planning.rewrites.facts import StageFacts

from specs import RATINGS, faults, only, resolved

CUDA = StageFacts(Device.cuda, Precision.f32, in_memory=True, optimizer_skips=True)


@pytest.fixture(scope="module")
def stage() -> StagePlan:
    return api.Workspace().plan(resolved(RATINGS)).stages[0]


def test_every_name_has_one_rule(stage: StagePlan) -> None:
    assert [rewrite.name for rewrite in decide(stage, CUDA, ())] == list(RewriteName)
    assert len(RULES) == len(RewriteName)


@pytest.mark.parametrize(
    ("changed", "refused", "reason"),
    [
        ({}, None, ""),
        ({"in_memory": False}, RewriteName.gather_epoch, "read from files"),
        ({"device": Device.cpu}, RewriteName.async_loss_check, "only on cuda: on cpu every loss is read"),
        ({"device": Device.mps}, RewriteName.async_loss_check, "only on cuda: on mps every loss is read"),
        ({"precision": Precision.f16}, RewriteName.async_loss_check, "loss scaler"),
        ({"optimizer_skips": False}, RewriteName.async_loss_check, "`adam` has no kernel"),
    ],
)
def test_a_decision_and_its_reason(
    stage: StagePlan, changed: dict[str, object], refused: RewriteName | None, reason: str
) -> None:
    made = decide(stage, replace(CUDA, **changed), ())  # type: ignore[arg-type]
    assert [rewrite.name for rewrite in made if not rewrite.applies] == ([] if refused is None else [refused])
    assert all(rewrite.reason for rewrite in made)
    assert all(reason in rewrite.reason for rewrite in made if not rewrite.applies)


@pytest.mark.parametrize("name", list(RewriteName))
def test_each_can_be_turned_off(stage: StagePlan, name: RewriteName) -> None:
    made = decide(stage, CUDA, (name,))
    assert [rewrite.name for rewrite in made if not rewrite.applies] == [name]
    assert f"turned off by runtime(without = [{name}])" in [rewrite.reason for rewrite in made]


def test_the_plan_shows_each_with_its_reason() -> None:
    plan = api.Workspace(device="cpu").plan(resolved(RATINGS))
    rewrites = plan.as_json()["stages"][0]["rewrites"]
    assert [(each["name"], each["applies"]) for each in rewrites] == [
        ("gather_epoch", True),
        ("async_loss_check", False),
    ]
    off = api.Workspace(device="cpu").plan(resolved(RATINGS, "runtime.without=[gather_epoch]"))
    assert not any(each["applies"] for each in off.as_json()["stages"][0]["rewrites"])


def test_the_device_that_the_run_is_asked_for_decides() -> None:
    """`--device` stands before the spec's, and a plan for a device that is not here is made all the same."""
    spec = resolved(RATINGS, "runtime.device=mps")
    assert "on mps" in api.Workspace().plan(spec).stages[0].rewrites[1].reason
    assert "on cpu" in api.Workspace(device="cpu").plan(spec).stages[0].rewrites[1].reason


@pytest.mark.parametrize("written", ["gather_epoc", "gather-epoch", "Gather_Epoch", "async_loss_chek"])
def test_a_misspelt_name_is_told_with_the_right_one(written: str) -> None:
    fault = only(f"{RATINGS}\nruntime(without = [{written}])")
    assert fault.code == "E208" and fault.suggestion in list(RewriteName)


def test_another_name_is_told_with_those_that_there_are() -> None:
    text = f"{RATINGS}\nruntime(without = [speed, gather_epoch])"
    assert faults(text) == [("E208", "speed")]
    assert "gather_epoch, async_loss_check" in only(text).help


@pytest.mark.process
def test_deciding_needs_no_torch() -> None:
    code = (
        "import sys; import dotexp.planning.rewrites, dotexp.planning.planner;"
        "sys.exit('torch' in sys.modules or 'polars' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
