"""Data of a run: opened once, shared by the stages that name it alike, and released with the last of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dotexp.components.builders import DataContext
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.runs.checkpoints import Position
from dotexp.runs.folder import create_run
from dotexp.sdk.data import Data
from interruptions import EVERY_STEP, cut, with_runtime
from toys import ImagesParams, build_images, plan, stage

pytestmark = pytest.mark.run

SMALL, LARGE, LAST = ImagesParams(batch_size=4), ImagesParams(batch_size=8), ImagesParams(batch_size=16)


class Opened:
    """Weak references to all data that was opened, by batch size."""

    def __init__(self) -> None:
        self.found: list[tuple[int, weakref.ref[Any]]] = []

    def build(self, params: ImagesParams, context: DataContext) -> Data:
        """Open it, and remember it weakly."""
        data = build_images(params, context)
        self.found.append((params.batch_size, weakref.ref(data)))
        return data

    def alive(self) -> list[int]:
        """Batch sizes of the data that is still there."""
        gc.collect()
        return [size for size, data in self.found if data() is not None]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    found = Opened()
    monkeypatch.setattr("toys.build_images", found.build)
    yield found


class Watching(NullListener):
    """Notes, at each stage's start, which data is alive."""

    def __init__(self, opened: Opened) -> None:
        self.alive: list[list[int]] = []
        self._opened = opened

    def stage_started(self, name: str, steps: int) -> None:
        """Note it."""
        self.alive.append(self._opened.alive())


def test_a_stages_data_is_released_at_its_end(tmp_path: Path, opened: Opened) -> None:
    planned = plan(stage("a", data=SMALL), stage("b", data=LARGE), stage("c", data=LAST), data=SMALL)
    watching, store = Watching(opened), DataStore()
    execute(planned, create_run("toy", tmp_path), watching, store=store)
    assert watching.alive == [[4], [8], [16]]
    assert opened.alive() == [16], "the last stage's, for the report that follows"


def test_data_that_a_later_stage_uses_stays(tmp_path: Path, opened: Opened) -> None:
    """Small, large, small again: it is opened once, and the large one is gone in the third stage."""
    planned = plan(stage("a", data=SMALL), stage("b", data=LARGE), stage("c", data=SMALL), data=SMALL)
    watching, store = Watching(opened), DataStore()
    execute(planned, create_run("toy", tmp_path), watching, store=store)
    assert watching.alive == [[4], [4, 8], [4]]
    assert [size for size, _ in opened.found] == [4, 8]


def test_all_stages_with_the_common_data_open_it_once(tmp_path: Path, opened: Opened) -> None:
    store = DataStore()
    execute(plan(stage("a"), stage("b"), stage("c")), create_run("toy", tmp_path), store=store)
    assert len(opened.found) == len(opened.alive()) == 1


def test_the_experiments_data_goes_where_no_stage_uses_it(tmp_path: Path, opened: Opened) -> None:
    watching = Watching(opened)
    planned = plan(stage("a", data=LARGE), stage("b", data=LARGE), data=SMALL)
    execute(planned, create_run("toy", tmp_path), watching, store=DataStore())
    assert watching.alive == [[4, 8], [8]]


def test_a_run_resumed_in_a_late_stage_opens_what_is_left(tmp_path: Path, opened: Opened) -> None:
    from interruptions import go_on

    planned = with_runtime(plan(stage("a", data=SMALL), stage("b", data=LARGE), data=SMALL), EVERY_STEP)
    whole = create_run("toy", tmp_path)
    execute(planned, whole)
    opened.found.clear()
    go_on(planned, cut(whole, tmp_path / "cut", Position(1, 1, 2)))
    assert [size for size, _ in opened.found] == [4, 8], "the first one's facts are compared with the plan's"
