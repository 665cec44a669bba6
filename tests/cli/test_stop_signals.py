"""SIGTERM and SIGHUP end every command as Ctrl-C does: what is under way is tidied up, and the last line says where."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import fork, wait
from dotexp.stop_signals import stopped_by_any_signal
from spec_runner import QUICK, runner

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    (folder / "films.exp").write_text(QUICK)
    (folder / "pairs.csv").write_text("user,item\n1,2\n3,4\n")
    assert runner("run", "films.exp", "--no-report", folder=folder).returncode == 0
    return folder


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def sends(number: signal.Signals) -> Callable[..., Any]:
    """Make a function that sends this process a signal."""

    def send(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)

    return send


@pytest.mark.run
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_report_is_made_leaves_a_finished_run(
    films: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dotexp.commands.reports._write", sends(number))
    done = runner("run", "films.exp", folder=films)
    name = max(path.name for path in (films / "runs").glob("films-*"))
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == (
        f"interrupted: {name} is finished, its report is not written: spec-runner report {name}"
    )
    assert json.loads((films / "runs" / name / "result.json").read_text())["status"] == "finished"


@pytest.mark.run
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_training_and_in_other_commands(
    films: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    for function, arguments in (
        ("dotexp.commands.training.make_plan", ["run", "films.exp"]),
        ("dotexp.engine.evaluation.restore_network", ["evaluate", "films-1"]),
        ("dotexp.engine.verification.compare", ["verify", "films-1"]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(function, sends(number))
            done = runner(*arguments, folder=films)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "interrupted"), arguments


def test_a_hangup_that_is_ignored_as_under_nohup_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_any_signal():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_handler_of_the_callers_own_is_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with stopped_by_any_signal():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


@pytest.mark.process
def test_a_worker_lets_the_first_signal_pass_and_ends_at_the_second() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    with stopped_by_any_signal():
        once = fork(lambda: os.kill(os.getpid(), signal.SIGTERM))
        again = fork(twice)
        assert (wait(once), wait(again)) == (0, 130)
