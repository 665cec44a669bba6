"""A run that started from another run's weights has all its own: only to do it again needs the other."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import dotexp
import pytest
from dotexp import SpecError, Workspace
from dotexp.engine.events import NullListener
from dotexp.language.diagnostics import DotexpError, Interrupted
from dotexp.runs.bundle_files import is_bundle
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import EpochRow, Status
from exported import DIGITS, train_digits

pytestmark = pytest.mark.run

SECOND = (
    DIGITS.replace("experiment digits", "experiment second")
    .replace("weights = none", 'weights = run("digits")')
    .replace("epochs = 1", "epochs = 2")
)


class Stopping(NullListener):
    """Asks the run to stop after its first epoch."""

    def epoch_ended(self, row: EpochRow) -> None:
        if row.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def orphans(tmp_path: Path) -> tuple[RunFolder, RunFolder]:
    """A finished and an interrupted run whose source is gone."""
    source = train_digits(tmp_path)
    spec, runs = tmp_path / "second.exp", tmp_path / "runs"
    spec.write_text(SECOND)
    finished = dotexp.run(spec, runs=runs, report=False)
    with pytest.raises(Interrupted):
        dotexp.run(spec, runs=runs, report=False, listener=Stopping())
    shutil.rmtree(source.path)
    return finished, RunFolder(runs / "second-2")


def test_without_its_source_a_run_is_evaluated_used_and_gone_on_with(
    orphans: tuple[RunFolder, RunFolder], tmp_path: Path
) -> None:
    finished, interrupted = orphans
    last = finished.read_epochs()[-1]
    assert dotexp.evaluate(finished).loss == pytest.approx(last.valid_loss, rel=1e-5)
    assert len(dotexp.predict(finished, ["digits:1", "digits:2"])) == 2
    assert not dotexp.report(finished).problems
    Workspace(tmp_path / "runs").export(finished, out=tmp_path / "bundle")
    assert is_bundle(tmp_path / "bundle")
    assert interrupted.status is Status.interrupted
    dotexp.resume(interrupted, report=False)
    assert interrupted.status is Status.finished
    assert interrupted.model.read_bytes() == finished.model.read_bytes()


def test_a_run_and_its_repetition_need_the_source(orphans: tuple[RunFolder, RunFolder], tmp_path: Path) -> None:
    finished, _ = orphans
    with pytest.raises(SpecError, match=r"E405.*no run `digits`"):
        dotexp.run(tmp_path / "second.exp", runs=tmp_path / "runs", report=False)
    with pytest.raises(DotexpError, match="digits-1"):
        dotexp.verify(finished)
