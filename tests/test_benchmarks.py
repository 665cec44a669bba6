"""Every benchmark can be started: its module imports outside pytest, too, and says what arguments it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from paths import REPOSITORY

MODULES = {path.stem for path in (REPOSITORY / "tests" / "benchmarks").glob("*.py")} - {"__init__", "__main__"}


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_the_help_lists_every_measurement() -> None:
    done = call("-m", "tests.benchmarks", "--help")
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ") and line.split()}
    assert done.returncode == 0, done.stderr
    assert listed & MODULES == MODULES


@pytest.mark.process
def test_every_measurement_imports_and_lists_its_arguments() -> None:
    """In one process, since importing torch takes longest."""
    code = """
import sys
from tests.benchmarks.__main__ import MEASUREMENTS, main
for name in MEASUREMENTS:
    try:
        main([name, "--help"])
    except SystemExit as end:
        print(name, end.code)
"""
    done = call("-c", code)
    assert done.returncode == 0, done.stderr
    for name in MODULES:
        assert f"usage: python -m tests.benchmarks {name} [-h]" in done.stdout
        assert f"{name} 0" in done.stdout.splitlines()


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["sartup"], ["--rounds"], ["startup", "--rounds"], ["loop", "images"]])
def test_a_wrong_name_or_argument_measures_nothing(arguments: list[str]) -> None:
    done = call("-m", "tests.benchmarks", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[-1] in done.stderr
