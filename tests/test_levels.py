"""The levels of the tests: what is observed of one, and that a test which does more than its marks say fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dotexp.engine.executor import execute
from dotexp.runs.folder import create_run
from levels import observed
from paths import REPOSITORY
from toys import plan, stage

TESTS = """
import os, subprocess, sys
import pytest

def test_alone(): pass
def test_starts(): subprocess.run([sys.executable, "-c", ""], check=True)
def test_forks(): os.fork() or os._exit(0)
@pytest.fixture(scope="module")
def started(): subprocess.run(["true"], check=True)
def test_by_its_fixture(started): pass
def test_by_the_same_fixture(started): pass
@pytest.mark.process
def test_marked(started): subprocess.run(["true"], check=True)
@pytest.mark.slow
def test_slow(): subprocess.run(["true"], check=True)
@pytest.mark.run
def test_marked_otherwise(): subprocess.run(["true"], check=True)
"""


@pytest.mark.process
def test_a_process_that_a_test_starts_is_observed() -> None:
    with observed() as done:
        assert not done
        subprocess.run([sys.executable, "-c", ""], check=True)
        assert done == {"process"}


@pytest.mark.run
def test_training_is_observed(tmp_path: Path) -> None:
    with observed() as done:
        execute(plan(stage(epochs=1)), create_run("toy", tmp_path))
        assert done == {"run"}


@pytest.mark.process
def test_a_test_that_does_more_than_its_marks_say_fails(tmp_path: Path) -> None:
    (tmp_path / "test_these.py").write_text(TESTS)
    places = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "support"), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-c", str(REPOSITORY / "pyproject.toml"), "-p", "conftest", "-p"]
    done = subprocess.run(
        [*command, "no:cacheprovider", "-rfp", "--rootdir", str(tmp_path), str(tmp_path / "test_these.py")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(places)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    outcomes = {
        line.split("::")[1].split(" ")[0]: line.split(" ")[0] for line in done.stdout.splitlines() if "::" in line
    }
    assert outcomes == {
        "test_alone": "PASSED",
        "test_starts": "FAILED",
        "test_forks": "FAILED",
        "test_by_its_fixture": "FAILED",
        "test_by_the_same_fixture": "FAILED",
        "test_marked": "PASSED",
        "test_slow": "PASSED",
        "test_marked_otherwise": "FAILED",
    }, done.stdout + done.stderr
    assert "the test starts a process: mark it @pytest.mark.process" in done.stdout


def test_a_test_without_marks_is_a_unit_test(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("unit")
