"""Every number of a run says which weights it belongs to: in the terminal, the report, `runs` and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dotexp.reporting import SectionRenderer, write_report
from dotexp.reporting.run_sections import heading
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.headline import headline, setbacks
from dotexp.runs.results import EpochRow, RunResult, StageResult, Status
from spec_runner import QUICK, runner

LOSSES = {"head": (0.6, 0.5), "everything": (0.48, 0.4, 0.7)}


def rows(stage: str) -> list[EpochRow]:
    """A stage's epochs."""
    return [
        EpochRow(stage, i + 1, 10 * (i + 1), 0.3, loss, {"rmse": 2 * loss}, 1.0) for i, loss in enumerate(LOSSES[stage])
    ]


def stage_result(stage: str, best: int | None = None) -> StageResult:
    """A stage's result, with the numbers of its best epoch or its last."""
    row = rows(stage)[(best or len(LOSSES[stage])) - 1]
    steps = 10 * len(LOSSES[stage])
    return StageResult(stage, len(LOSSES[stage]), steps, 0.3, row.valid_loss, row.metrics, 1.0, best_epoch=best)


def a_run(root: Path, status: Status, *stages: StageResult, epochs: list[EpochRow]) -> RunFolder:
    """A run's folder with a result, or without one where it is unfinished."""
    run = create_run("films", root)
    run.write_epochs(epochs)
    run.spec.write_text("")
    if status is not Status.unfinished:
        run.write_result(RunResult("films", status, stages, 5.0))
    return run


@pytest.fixture
def kept(tmp_path: Path) -> RunFolder:
    """A finished run whose last stage went back to its second epoch of three."""
    both = [*rows("head"), *rows("everything")]
    return a_run(tmp_path / "runs", Status.finished, stage_result("head"), stage_result("everything", 2), epochs=both)


def test_the_headline_is_the_kept_models(kept: RunFolder, tmp_path: Path) -> None:
    main = headline(kept)
    assert main is not None and (main.valid_loss, main.metrics, main.saved) == (0.4, {"rmse": 0.8}, True)
    assert main.weights == "stage everything, epoch 2 of 3, its best"
    page = heading(kept, "")
    assert dict(page["facts"])["valid loss"] == "0.4000" and dict(page["facts"])["rmse"] == "0.8000"
    assert page["weights"] == "Numbers of the weights of stage everything, epoch 2 of 3, its best."
    listed = runner("runs", "ls", folder=tmp_path).stdout
    assert "0.400000    rmse 0.800000  stage everything, epoch 2 of 3, its best" in listed
    shown = runner("runs", "show", "films-1", folder=tmp_path).stdout
    assert "valid loss 0.400000, rmse 0.800000, of the weights of stage everything, epoch 2 of 3, its best" in shown
    assert "stage head: ended with the weights of epoch 2 of 2\n" in shown
    assert "stage everything: ended with the weights of epoch 2 of 3, its best\n" in shown
    compared = runner("runs", "compare", "films-1", folder=tmp_path).stdout
    assert [line.split(None, 2)[2] for line in compared.splitlines() if " weights " in line] == [
        "epoch 2 of 2", "epoch 2 of 3, its best",
    ]  # fmt: skip
    for command in (["runs", "ls"], ["runs", "show", "films-1"], ["runs", "compare", "films-1"], ["resume", "films-1"]):
        answer = json.loads(runner(*command, "--json", folder=tmp_path).stdout)
        row = answer["runs"][0] if "runs" in answer else answer
        assert (row["valid_loss"], row["metrics"]) == (0.4, {"rmse": 0.8})
        weights = {"stage": "everything", "epoch": 2, "epochs": 3, "best": True}
        assert row["weights"] == {**weights, "saved": True}
        if "stages" in row:
            assert row["stages"][-1]["weights"] == weights


def test_skipped_steps_are_named_wherever_a_run_is_shown(tmp_path: Path) -> None:
    every = replace(stage_result("head"), skipped_steps=20)
    some = replace(stage_result("everything", 2), skipped_steps=1)
    both = [*rows("head"), *rows("everything")]
    run = a_run(tmp_path / "runs", Status.finished, every, some, epochs=both)
    told = {"head": "all 20 steps were skipped", "everything": "1 of 30 steps was skipped"}
    ended = runner("resume", "films-1", folder=tmp_path).stdout
    shown = runner("runs", "show", "films-1", folder=tmp_path).stdout
    page = write_report(run, SectionRenderer(), "").path.read_text()
    answer = json.loads(runner("runs", "show", "films-1", "--json", folder=tmp_path).stdout)
    assert [stage["skipped_steps"] for stage in answer["stages"]] == [20, 1]
    for stage, text in told.items():
        assert f"  stage {stage}: {text}, since gradients overflowed in f16\n" in ended
        (line,) = [line for line in shown.splitlines() if line.startswith(f"stage {stage}: ")]
        assert line.endswith(f"; {text}, since gradients overflowed in f16")
        assert f"Stage {stage}: {text}, since gradients overflowed in f16." in page


def test_an_unfinished_runs_numbers_are_its_newest_epochs_and_say_so(tmp_path: Path) -> None:
    for status in (Status.interrupted, Status.failed, Status.unfinished):
        run = a_run(tmp_path, status, stage_result("head"), epochs=[*rows("head"), rows("everything")[0]])
        main = headline(run)
        assert main is not None and (main.valid_loss, main.saved) == (0.48, False)
        assert main.weights == "stage everything, epoch 1, the newest; the run is not finished"
    empty = a_run(tmp_path, Status.failed, epochs=[])
    assert headline(empty) is None and heading(empty, "")["weights"] is None


def test_a_run_that_cannot_be_read_is_listed_beside_the_others(kept: RunFolder, tmp_path: Path) -> None:
    broken = create_run("films", tmp_path / "runs")
    broken.result.write_text("{")
    listed = runner("runs", "ls", folder=tmp_path)
    assert listed.returncode == 0 and "films-1  finished" in listed.stdout and "films-2  unreadable" in listed.stdout


def test_a_later_stage_that_ended_worse_is_told_where_losses_can_be_compared() -> None:
    head, everything, best = stage_result("head"), stage_result("everything"), stage_result("everything", 2)
    same = {"head": "mse", "everything": "mse"}
    told = "stage `everything` ended with a validation loss of 0.700000, worse than stage `head` before it, which ended"
    result = RunResult("films", Status.finished, (head, everything))
    assert [each.startswith(told) for each in setbacks(result, same)] == [True]
    assert list(setbacks(RunResult("films", Status.finished, (head, best)), same)) == []
    assert list(setbacks(result, {"head": "mse", "everything": "mae"})) == []
    assert list(setbacks(RunResult("films", Status.finished, (everything,)), same)) == []


@pytest.mark.run
def test_a_run_tells_of_its_weights_and_of_a_worse_stage(tmp_path: Path) -> None:
    stages = """
      stage good { fit flat(epochs = 4, lr = 5e-3) }
      stage bad { callbacks keep_best  fit flat(epochs = 3, lr = 3) }
    """
    head, _, tail = QUICK.partition("stage train")
    text = head + stages + "\n" + tail.partition("}")[2].partition("}")[2]
    (tmp_path / "films.exp").write_text(text)
    done = runner("run", "films.exp", "--no-report", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "runs/films-1/result.json").read_text())
    best = result["stages"][1]["best_epoch"]
    assert f"  of the weights of stage bad, epoch {best} of 3, its best\n" in done.stdout
    loss = result["stages"][1]["valid_loss"]
    assert done.stdout.startswith(f"films-1: valid loss {loss:.6f}")
    assert "warning: stage `bad` ended with a validation loss of" in done.stderr
    evaluated = runner("evaluate", "films-1", folder=tmp_path).stdout
    assert evaluated.startswith(f"films-1, valid, weights of stage bad, epoch {best} of 3, its best\nloss ")
