"""Fixtures that many tests share, and the mark of tests that have none."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from levels import LEVELS, observed
from paths import REPOSITORY

_SAID = {"run": "trains", "process": "starts a process"}
_FIXTURES: dict[tuple[str, str], set[str]] = {}
"""What the fixtures have done, by where they are and by name."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `unit` the tests that have no other level."""
    for item in items:
        if not _marks(item):
            item.add_marker(pytest.mark.unit)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes that are no text by their number: archives hold times, and xdist wants the same names everywhere."""
    return (
        f"{len(val)} bytes" if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None
    )


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave output as wide as it is, whatever the terminal: a test of a width sets its own."""
    monkeypatch.delenv("COLUMNS", raising=False)
    os.unsetenv("COLUMNS")  # readline, which pytest imports, sets it for child processes without telling os.environ


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, object, object]:
    """Observe a fixture: every test that uses it needs its marks."""
    with observed() as done:
        result = yield
    _FIXTURES[fixturedef.baseid, fixturedef.argname] = done
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None]:
    """Observe a test, and fail one that does more than its marks say, so that `-m unit` stays fast."""
    with observed() as done:
        yield
    for (place, name), more in _FIXTURES.items():
        if name in item.fixturenames and item.nodeid.startswith(place):
            done |= more
    marks = _marks(item)
    missing = sorted(done - marks)
    if missing and "slow" not in marks:
        said = " and ".join(_SAID[level] for level in missing)
        wanted = ", ".join(f"@pytest.mark.{level}" for level in missing)
        pytest.fail(f"the test {said}: mark it {wanted}", pytrace=False)


def _marks(item: pytest.Item) -> set[str]:
    return {level for level in LEVELS if item.get_closest_marker(level)}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets: DOTEXP_TEST_DATA, else ../shared/data beside the repository."""
    named = os.environ.get("DOTEXP_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data: set DOTEXP_TEST_DATA to the folder that holds ml-100k, hymenoptera, …")
    return folder
