"""`runs`: what it lists, and what it removes and does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.lock import run_lock
from dotexp.runs.results import RunResult, Status
from spec_runner import runner


def finished(folder: Path, name: str = "films", status: Status = Status.finished) -> RunFolder:
    """A run that has ended."""
    run = create_run(name, folder / "runs")
    run.write_result(RunResult(name, status))
    return run


@pytest.fixture
def live(tmp_path: Path) -> Iterator[RunFolder]:
    """A run that another process works on."""
    run = create_run("films", tmp_path / "runs")
    run.spec.write_text("experiment films")
    hold = (
        "import sys; from pathlib import Path; from dotexp.runs.folder import RunFolder;"
        "from dotexp.runs.lock import run_lock; lock = run_lock(RunFolder(Path(sys.argv[1])));"
        "lock.__enter__(); print('held', flush=True); input(); lock.__exit__(None, None, None)"
    )
    command = [sys.executable, "-c", hold, str(run.path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    yield run
    other.communicate("\n")


@pytest.mark.process
def test_a_live_run_is_not_removed_by_name_path_or_among_others(live: RunFolder, tmp_path: Path) -> None:
    other = finished(tmp_path)
    for names in (["films-1"], [str(live.path)], ["films-2", "films-1"], ["films-1", "films-2"]):
        done = runner("runs", "rm", *names, "--yes", folder=tmp_path)
        assert done.returncode == 2 and "films-1 is going on, in process " in done.stderr and done.stdout == ""
        assert "lock.json" in done.stderr
    assert live.spec.exists() and other.result.exists()
    assert runner("runs", "rm", "films-2", "--yes", folder=tmp_path).stdout == "removed runs/films-2\n"
    assert create_run("films", tmp_path / "runs").name == "films-3"


@pytest.mark.process
def test_a_live_runs_name_is_not_reused_where_its_folder_is_gone(live: RunFolder, tmp_path: Path) -> None:
    shutil.rmtree(live.path)
    assert create_run("films", tmp_path / "runs").name == "films-2"


def test_a_run_that_starts_again_while_one_is_asked_about_stays(tmp_path: Path) -> None:
    from dotexp import RunError
    from dotexp.runs.lock import remove_run

    run = finished(tmp_path, status=Status.interrupted)
    with run_lock(run), pytest.raises(RunError, match="is being worked on by process"):
        remove_run(run)
    assert run.result.exists()
    remove_run(run)
    assert not run.path.exists()


@pytest.mark.parametrize("answer", ["n\n", "no\n", "\n", "N\n"])
def test_no_is_an_answer_and_no_interruption(tmp_path: Path, answer: str) -> None:
    run = finished(tmp_path)
    done = runner("runs", "rm", "films-1", folder=tmp_path, text=answer)
    assert (done.returncode, done.stderr) == (1, "") and done.stdout.endswith("nothing is removed\n")
    assert run.result.exists()


def test_where_nobody_can_answer_the_call_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(tmp_path)
    done = runner("runs", "rm", "films-1", folder=tmp_path, text="")
    assert done.returncode == 2 and "--yes" in done.stderr and run.result.exists()

    def stop(prompt: str = "") -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", stop)
    done = runner("runs", "rm", "films-1", folder=tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted\n") and run.result.exists()


def test_yes_removes_and_a_name_given_twice_is_removed_once(tmp_path: Path) -> None:
    one, two = finished(tmp_path), finished(tmp_path)
    done = runner("runs", "rm", "films-1", str(one.path), "films-2", folder=tmp_path, text="y\n")
    assert done.returncode == 0, done.stderr
    assert not one.path.exists() and not two.path.exists()
