"""The run directory: made once, written atomically, found again."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from dotexp import DataFacts, UsageError
from dotexp.language.atomic import write_atomic
from dotexp.runs.files import finite, write_json
from dotexp.runs.folder import RunFolder, create_run, list_runs, newest_finished, open_run
from dotexp.runs.results import EpochRow, RunResult, StageResult, Status

ROW = EpochRow("train", 1, 10, 0.5, 0.6, {"rmse": 0.9}, 1.5)


def finish(run: RunFolder, status: Status = Status.finished, experiment: str = "pets") -> RunFolder:
    """Give a run a result."""
    run.write_result(RunResult(experiment, status))
    return run


def test_runs_are_numbered_and_never_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "runs"
    assert [create_run("pets", root).name for _ in range(3)] == ["pets-1", "pets-2", "pets-3"]
    assert create_run("pets-2", root).name == "pets-2-1"
    shutil.rmtree(root / "pets-1")
    assert create_run("pets", root).name == "pets-4"
    shutil.rmtree(root / "pets-4")
    shutil.rmtree(root / "pets-3")
    assert create_run("pets", root).name == "pets-5", "a removed run's name stays its own"
    assert [run.name for run in list_runs(root)] == ["pets-2", "pets-5", "pets-2-1"]


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 9):
        (tmp_path / f"pets-{number}").mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["pets-2", "pets-9", "pets-10"]
    assert create_run("pets", tmp_path).name == "pets-11"


def test_a_note_of_numbers_that_cannot_be_read_is_written_anew(tmp_path: Path) -> None:
    for text in ("", "[]", '{"pets": "many"}', "\x00"):
        (tmp_path / ".numbers.json").write_text(text)
        create_run("pets", tmp_path)
    assert [run.name for run in list_runs(tmp_path)] == ["pets-1", "pets-2", "pets-3", "pets-4"]
    (tmp_path / "pets-9").mkdir()  # moved here from elsewhere
    assert create_run("pets", tmp_path).name == "pets-10"


def test_runs_started_in_the_same_instant_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda _: create_run("pets", tmp_path), range(64)))
    assert {run.name for run in runs} == {f"pets-{n}" for n in range(1, 65)}


@pytest.mark.parametrize("name", ["../up", "a/b", "", "1st", "-x", "ä", "x" * 65, "a\n"])
def test_only_an_experiments_name_names_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of an experiment"):
        create_run(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_made_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make a run in"):
        create_run("pets", tmp_path / "file")


def test_epochs_are_appended_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    run = create_run("pets", tmp_path)
    assert run.read_epochs() == ()
    run.append_epoch(ROW)
    run.append_epoch(EpochRow("train", 2, 20, math.nan, None, {"rmse": math.inf, "each": [1.0, math.nan]}, 1.0))
    lines = run.metrics.read_text().splitlines()
    assert json.loads(lines[0]) == {
        "stage": "train", "epoch": 1, "step": 10, "train_loss": 0.5, "valid_loss": 0.6, "metrics": {"rmse": 0.9},
        "seconds": 1.5,
    }  # fmt: skip
    assert "NaN" not in lines[1]
    assert "Infinity" not in lines[1]
    with run.metrics.open("a") as file:
        file.write('{"stage": "tr')
    second = EpochRow("train", 2, 20, None, None, {"rmse": None, "each": [1.0, None]}, 1.0)
    assert run.read_epochs() == (ROW, second)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    run = create_run("pets", tmp_path)
    assert (run.read_result(), run.status) == (None, Status.unfinished)
    stage = StageResult("head", 2, 20, 0.5, 0.6, {"accuracy": 0.9}, 3.0)
    result = RunResult(
        "pets", Status.failed, (stage,), 3.5, "2030-01-01T00:00:00+00:00", "cpu", 7, "why", {"torch": "2"}
    )
    run.write_result(result)
    assert run.read_result() == result
    assert run.status is Status.failed
    assert json.loads(run.result.read_text())["format_version"] == 1
    for text, fault in (
        ("{}", "experiment: Field required"), ('{"experiment": "a", "status": "done"}', "status: Input should be"),
        ('{"experiment": "a", "status": "finished", "stages": [{"name": 3}]}', "stages.0.name: Input should be"),
        ("[]", "Input should be an object"),
    ):  # fmt: skip
        run.result.write_text(text)
        with pytest.raises(UsageError, match=rf"result\.json is not a run's result: {fault}"):
            run.read_result()
    run.result.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        run.read_result()


def test_a_file_of_a_later_version_with_more_in_it_is_read(tmp_path: Path) -> None:
    run = create_run("pets", tmp_path)
    run.result.write_text('{"format_version": 1, "experiment": "a", "status": "finished", "colour": "red"}')
    assert run.read_result() == RunResult("a", Status.finished)
    run.metrics.write_text(json.dumps({**asdict(ROW), "stopped": "early_stopping", "mood": 3}) + "\n")
    assert run.read_epochs() == (replace(ROW, stopped="early_stopping"),)


def test_an_epoch_that_is_not_one_is_told_with_its_file(tmp_path: Path) -> None:
    run = create_run("pets", tmp_path)
    for line, fault in (("{", "cannot be read"), ('{"stage": 1}', "is not a run's epochs: stage"), ("7", "is not")):
        run.metrics.write_text(line + "\n")
        with pytest.raises(UsageError, match=rf"metrics\.jsonl {fault}"):
            run.read_epochs()


def test_facts_come_back_as_they_were(tmp_path: Path) -> None:
    run = create_run("pets", tmp_path)
    with pytest.raises(UsageError, match="is missing"):
        run.read_facts()
    for facts in (
        DataFacts("classification", 8, 2, classes=("a", "b"), outputs=2, vocabulary={"labels": ["a", "b"]}),
        DataFacts("ratings", 8, 2, entities={"users": 3, "items": 4}, range=(1.0, 5.0), fingerprint="f", notes=("n",)),
        DataFacts("ratings", 8, 2, summary={"rows": 9}, guesses={"user": '"userID" (column 1)'}),
    ):
        run.write_facts(facts)
        assert run.read_facts() == facts


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"n": 1})
    for fault in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
            patch.setattr(os, fault, _no_space)
            write_atomic(path, b"half")
        assert json.loads(path.read_text()) == {"n": 1}
        assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def _no_space(*arguments: object) -> None:
    raise OSError(28, "no space left on device")


def test_json_has_no_numbers_that_are_not_finite() -> None:
    assert finite({"a": [math.nan, 1.0, (math.inf, "x")], "b": -math.inf, "c": 3}) == {
        "a": [None, 1.0, [None, "x"]], "b": None, "c": 3,
    }  # fmt: skip


def test_the_newest_finished_run_is_the_one_with_the_highest_number(tmp_path: Path) -> None:
    assert newest_finished("pets", tmp_path / "none") is None
    runs = [create_run("pets", tmp_path) for _ in range(3)]
    assert newest_finished("pets", tmp_path) is None
    finish(runs[0])
    finish(runs[1])
    finish(runs[2], Status.failed)
    assert newest_finished("pets", tmp_path) == runs[1]
    assert newest_finished("pet", tmp_path) is None


def test_a_run_opens_by_name_by_path_and_by_experiment(tmp_path: Path) -> None:
    first, second = (finish(create_run("pets", tmp_path)) for _ in range(2))
    assert open_run("pets-1", tmp_path) == first
    assert open_run("pets", tmp_path) == second
    assert open_run(str(first.path), tmp_path / "elsewhere").path == first.path
    with pytest.raises(UsageError, match=r"there is no run `pest`: did you mean .*`pets`"):
        open_run("pest", tmp_path)
    with pytest.raises(UsageError, match="holds 0 runs"):
        open_run("x" * 300, tmp_path / "none")
    create_run("cats", tmp_path)
    with pytest.raises(UsageError, match="`cats` has no finished run"):
        open_run("cats", tmp_path)


def test_a_moved_run_still_opens(tmp_path: Path) -> None:
    run = finish(create_run("pets", tmp_path / "runs"))
    run.append_epoch(ROW)
    moved = tmp_path / "archive" / "the good one"
    moved.parent.mkdir()
    shutil.move(run.path, moved)
    again = open_run(str(moved), tmp_path / "runs")
    assert (again.experiment, again.status, again.read_epochs()) == ("pets", Status.finished, (ROW,))


@pytest.mark.process
def test_runs_and_listeners_need_no_torch() -> None:
    script = "import sys, dotexp.runs.folder, dotexp.engine.events; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
