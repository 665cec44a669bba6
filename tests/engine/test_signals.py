"""Ctrl-C and SIGTERM: the first finishes the step, saves and exits with 130; the second stops at once."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
from children import fork, wait
from dotexp import RunError
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.engine.training.polling import Polling, stopped_by_signals
from dotexp.experiment.experiment import Device, Runtime
from dotexp.language.diagnostics import Interrupted
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.results import EpochRow, Status
from dotexp.sdk.data import read_in_workers
from interruptions import bits, go_on, with_runtime
from kills import IMAGES, write_images
from toys import plan, stage

QUIET = Runtime(device=Device.cpu, threads=1)


class Sender(NullListener):
    """Sends this process a signal at the end of an epoch, as often as told."""

    def __init__(self, number: int, times: int = 1) -> None:
        self._number, self._times = number, times

    def epoch_ended(self, row: EpochRow) -> None:
        """Send it after the first epoch."""
        if row.epoch == 1:
            for _ in range(self._times):
                os.kill(os.getpid(), self._number)


@pytest.mark.run
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_saves_and_the_run_can_go_on(tmp_path: Path, number: signal.Signals) -> None:
    planned = with_runtime(plan(stage(), stage("again")), QUIET)
    whole, run = create_run("toy", tmp_path), create_run("toy", tmp_path)
    execute(planned, whole)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        execute(planned, run, Sender(number))
    assert signal.getsignal(number) is before
    message = str(caught.value)
    assert "in stage `train`, epoch 1, after step 4 of 8, and saved" in message
    assert f"spec-runner resume {run.path}" in message
    assert run.status is Status.interrupted
    assert positions(run.checkpoints)[0] == Position(0, 4, 1)
    go_on(planned, run)
    assert bits(run) == bits(whole)


@pytest.mark.run
def test_a_hangup_that_is_ignored_as_under_nohup_ends_nothing(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage()), QUIET)
    run = create_run("toy", tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        execute(planned, run, Sender(signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.status is Status.finished


@pytest.mark.run
def test_the_second_signal_stops_at_once(tmp_path: Path) -> None:
    planned = with_runtime(plan(stage()), QUIET)
    run = create_run("toy", tmp_path)
    with pytest.raises(Interrupted, match="interrupted at once"):
        execute(planned, run, Sender(signal.SIGTERM, times=2))
    assert run.status is Status.interrupted
    assert positions(run.checkpoints) == (), "nothing is saved any more"


class Signalling(torch.nn.Module):
    """Sends a signal in the middle of a forward pass: `at` counts the passes."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at, self._passes = at, 0
        self._loss = torch.nn.CrossEntropyLoss()

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy."""
        self._passes += 1
        if self._passes == self._at:
            os.kill(os.getpid(), signal.SIGTERM)
        loss: torch.Tensor = self._loss(output, target)
        return loss

    def activate(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities."""
        return output.softmax(1)


@pytest.mark.run
@pytest.mark.parametrize(
    ("at", "position"),
    [(1, Position(0, 1, 0)), (3, Position(0, 3, 0)), (4, Position(0, 4, 0)), (5, Position(0, 4, 0)),
     (6, Position(0, 5, 1)), (10, Position(0, 8, 1))],
)  # fmt: skip
def test_the_step_under_way_is_finished_and_a_validation_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, position: Position
) -> None:
    """Four steps and one validation batch an epoch: the signal comes in the loss's pass number `at`."""
    planned = with_runtime(plan(stage()), QUIET)
    whole, run = create_run("toy", tmp_path), create_run("toy", tmp_path)
    execute(planned, whole)
    with monkeypatch.context() as patch:
        patch.setattr("toys.build_loss", lambda params, facts: Signalling(at))
        with pytest.raises(Interrupted):
            execute(planned, run)
    assert positions(run.checkpoints)[0] == position
    go_on(planned, run)
    assert bits(run) == bits(whole)


@pytest.mark.run
def test_a_run_that_cannot_be_saved_when_it_is_stopped_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, run = with_runtime(plan(stage()), QUIET), create_run("toy", tmp_path)

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("dotexp.engine.state.saving.write_checkpoint", full)
        with pytest.raises(RunError, match=r"cannot write .*: No space left on device \(about"):
            execute(planned, run, Sender(signal.SIGTERM))
    assert run.status is Status.failed


@pytest.mark.run
def test_a_signal_before_the_first_step_is_heeded(tmp_path: Path) -> None:
    class Early(NullListener):
        def run_started(self, plan: Any, run: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    planned, run = with_runtime(plan(stage()), QUIET), create_run("toy", tmp_path)
    whole = create_run("toy", tmp_path)
    with pytest.raises(Interrupted, match="at the start of stage `train`"):
        execute(planned, run, Early())
    assert positions(run.checkpoints) == (Position(0, 0, 0),)
    execute(planned, whole)
    go_on(planned, run)
    assert bits(run) == bits(whole)


@pytest.mark.run
def test_in_another_thread_signals_are_left_alone(tmp_path: Path) -> None:
    planned, run = with_runtime(plan(stage(epochs=1)), QUIET), create_run("toy", tmp_path)
    thread = threading.Thread(target=lambda: execute(planned, run))
    thread.start()
    thread.join()
    assert run.status is Status.finished


@pytest.mark.process
def test_a_worker_lets_the_first_signal_pass_and_ends_at_the_second() -> None:
    """The worker answers over a pipe; a signal that was sent before the question is handled before the answer."""
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    with stopped_by_signals(watch := Polling()):

        def serve() -> None:
            while os.read(asked, 1):
                os.write(answer, b"!")

        pid = fork(serve)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.write(ask, b"?")
            assert os.read(answered, 1) == b"!", "it lives, and the first signal has passed"
            os.kill(pid, number)
        assert wait(pid) == 130
        assert not watch.stopping
    for end in (asked, ask, answered, answer):
        os.close(end)


class Signalled(torch.utils.data.Dataset[int]):
    """Its worker gets a SIGTERM from somebody while it reads."""

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGTERM) if index == 1 else None
        return index


@pytest.mark.process
def test_a_worker_that_is_told_to_stop_reads_on() -> None:
    with stopped_by_signals(Polling()):
        assert list(read_in_workers(Signalled(), range(4), 1)) == [0, 1, 2, 3]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.process
def test_a_signal_to_the_whole_group_of_a_run_with_workers(tmp_path: Path) -> None:
    """As a terminal or a scheduler sends it: the workers get it too, and the run is saved all the same."""
    write_images(tmp_path, 2)
    spec = tmp_path / "killed.exp"
    spec.write_text(IMAGES.format(folder=tmp_path / "pictures", workers=2).replace("epochs = 1", "epochs = 400"))
    command = [sys.executable, "-m", "dotexp.cli", "run", str(spec), "--runs", str(tmp_path / "runs")]
    run = RunFolder(tmp_path / "runs" / "killed-1")
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        second_epoch = re.compile(r"\s*2\s")
        before = "".join(takewhile(lambda line: not second_epoch.match(line), process.stderr))
        os.killpg(process.pid, signal.SIGTERM)
        errors = process.stderr.read()
    assert process.returncode == 130, before + errors
    assert "and saved" in errors and f"to go on: spec-runner resume {run.path}" in errors
    assert "Traceback" not in errors
    assert run.status is Status.interrupted
    assert not (run.path / "lock.json").exists()
    step = positions(run.checkpoints)[0].step
    assert f"after step {step} of" in errors
