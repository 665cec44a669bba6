"""A run that was interrupted anywhere goes on to the very bits of one that never was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from dotexp import RunError, UsageError
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.state.resuming import prepare
from dotexp.experiment.experiment import Device, FreezeLayers, LayerSpan, Runtime
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import create_run
from dotexp.runs.results import Status
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from toys import AdamParams, ImagesParams, SgdParams, plan, same, stage, use

pytestmark = pytest.mark.run


def test_a_run_resumed_after_any_step_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Two stages with batch norm, dropout, one frozen in part, another optimizer and batch size in the second."""
    body = FreezeLayers(items=(LayerSpan(first="body"),))
    other = ImagesParams(batch_size=10)
    sgd = use("optimizer", "build_sgd", SgdParams(momentum=0.9))
    planned = with_runtime(
        plan(stage("head", freeze=body), stage("all", data=other, optimizer=sgd, momentum="momentum")), EVERY_STEP
    )
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    expected = bits(whole)
    found = positions(whole.checkpoints)
    # after every step, after each epoch's validation, and at each stage's end
    assert sorted(found) == [
        *(Position(0, step, 0) for step in (1, 2, 3, 4)),
        *(Position(0, step, 1) for step in (4, 5, 6, 7, 8)),
        Position(1, 0, 2),
        *(Position(1, step, epochs) for step, epochs in [(1, 2), (2, 2), (3, 2), (3, 3), (4, 3), (5, 3), (6, 3)]),
        Position(2, 0, 4),
    ]
    for position in (None, *found):
        resumed = cut(whole, tmp_path / f"cut-{position.name if position else 'start'}", position)
        go_on(planned, resumed)
        assert bits(resumed) == expected, position
        assert positions(resumed.checkpoints)[0] == Position(2, 0, 4)


@pytest.mark.parametrize("fused", [False, True])
def test_a_run_resumed_after_each_of_its_steps_is_the_same(tmp_path: Path, fused: bool) -> None:
    """Interrupted again and again: what is restored is as good as what was saved."""
    optimizer = use("optimizer", "build_adam", AdamParams(fused=fused))
    planned = with_runtime(plan(stage(optimizer=optimizer)), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    run = cut(whole, tmp_path / "again", positions(whole.checkpoints)[-1])
    for position in reversed(positions(whole.checkpoints)):
        go_on(planned, run)
        expected = bits(run)
        torn = cut(run, tmp_path / f"again-{position.name}", position)
        run = torn
    go_on(planned, run)
    assert bits(run) == bits(whole) == expected


def test_the_loss_of_an_epoch_goes_on_where_it_was(tmp_path: Path) -> None:
    """The moving average over a whole stage, by hand: 0.98 a step, divided by the weights so far."""
    planned = with_runtime(plan(stage()), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    resumed = cut(whole, tmp_path / "cut", Position(0, 6, 1))
    go_on(planned, resumed)
    assert resumed.read_epochs()[0] == whole.read_epochs()[0], "an epoch that was done is not done again"
    assert resumed.read_epochs()[1].train_loss == whole.read_epochs()[1].train_loss


def test_without_a_checkpoint_a_run_starts_again_and_says_so(tmp_path: Path) -> None:
    planned = plan(stage())
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    resumed = cut(whole, tmp_path / "cut", None)
    resumption = prepare(planned, resumed, {})
    assert resumption.point is None
    assert "starts from the beginning" in resumption.notes[0]
    execute(planned, resumed, resumption=resumption)
    assert bits(resumed) == bits(whole)


def test_what_has_changed_is_told_and_needs_leave(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage()), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole, plugins={"acme": "1.0"})
    run = cut(whole, tmp_path / "cut", Position(0, 3, 0))
    facts = json.loads(run.environment.read_text())
    other = with_runtime(plan(stage(optimizer=use("optimizer", "build_adam", AdamParams(wd=0.2)))), EVERY_STEP)
    with pytest.raises(UsageError) as caught:
        prepare(other, run, {"acme": "1.1"})
    message = str(caught.value)
    assert "version of acme: now 1.1, was 1.0" in message
    assert "experiment: was `optimizer adam(wd = 0.1" in message
    assert "experiment: now `optimizer adam(wd = 0.2" in message
    assert "threads" not in message, "the threads are taken over"
    assert "--allow-changes" in message
    result = go_on(other, run, allow_changes=True)
    assert result.status is Status.finished
    assert len(result.changes) == 3
    assert run.read_result() == result
    assert run.read_environment()["changes_at_resume"] == list(result.changes)
    assert facts["threads"] == run.read_environment()["threads"] == 1


def test_the_threads_of_the_run_are_taken_over(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage()), Runtime(device=Device.cpu))
    whole = create_run("toy", tmp_path)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        execute(planned, whole)
        torch.set_num_threads(1)
        resumption = prepare(planned, cut(whole, tmp_path / "cut", positions(whole.checkpoints)[-1]), {})
    finally:
        torch.set_num_threads(before)
    assert resumption.plan.runtime.threads == 2
    assert resumption.changes == ()


def test_a_plan_without_the_checkpoints_place_is_refused(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage("first"), stage("second")), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    run = cut(whole, tmp_path / "cut", Position(1, 2, 2))
    shorter = with_runtime(plan(stage("first")), EVERY_STEP)
    with pytest.raises(UsageError, match=r"now `stage|was `stage"):
        prepare(shorter, run, {})
    with pytest.raises(RunError, match="in a place that the plan no longer has"):
        prepare(shorter, run, {}, allow_changes=True)


def test_workers_and_the_interval_of_checkpoints_may_change(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage()), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    run = cut(whole, tmp_path / "cut", Position(0, 5, 1))
    other = with_runtime(planned, Runtime(device=Device.cpu, threads=1, workers=1, checkpoint_minutes=1.0))
    assert go_on(other, run).changes == ()
    assert bits(run) == bits(whole)


def test_weights_of_a_resumed_run_differ_from_an_untrained_ones(tmp_path: Path) -> None:
    """A guard of these tests: the networks that they compare did learn something after the cut."""
    planned = with_runtime(plan(stage()), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    short = create_run("toy", tmp_path)
    execute(with_runtime(plan(stage(epochs=1)), EVERY_STEP), short)
    one, two = load_weights(whole.model), load_weights(short.model)
    assert "head.3.weight" not in same(one, two)
