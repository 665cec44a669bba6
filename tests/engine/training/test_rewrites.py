"""Rewrites change no bit: weights, metrics and schedule with each and without, resumed in the middle, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dotexp.commands.workspace import Workspace
from dotexp.components.builders import DataContext
from dotexp.engine.executor import execute
from dotexp.experiment.experiment import RewriteName
from dotexp.planning.plan import Plan, Rewrite
from dotexp.runs.checkpoints import Position
from dotexp.runs.folder import create_run
from dotexp.sdk.data import TensorPart
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from spec_runner import QUICK
from toys import AdamParams, ImagesParams, build_images, callback, plan, stage, use

from specs import resolved

CPU = torch.device("cpu")
ODD = ImagesParams(batch_size=7, examples=37, valid=11)
"""Batches whose views begin at odd places in memory."""


def toy() -> Plan:
    """Two stages on raw images, the second with two batches to a step, by an optimizer whose kernels are fused."""
    adam = use("optimizer", "build_adam", AdamParams(fused=True))
    two = (callback("accumulate", batches=2),)
    return with_runtime(
        plan(stage("one", data=ODD, optimizer=adam), stage("two", data=ODD, optimizer=adam, callbacks=two), data=ODD),
        EVERY_STEP,
    )


def with_rewrite(planned: Plan, name: RewriteName, applies: bool = True) -> Plan:
    """The plan with this rewrite decided on."""
    rewrites = (Rewrite(name, applies, "a test says so"),)
    return replace(planned, stages=tuple(replace(each, rewrites=rewrites) for each in planned.stages))


@pytest.mark.run
@pytest.mark.parametrize("name", list(RewriteName))
def test_a_run_with_a_rewrite_has_the_bits_of_one_without(tmp_path: Path, name: RewriteName) -> None:
    runs = []
    for applies in (True, False):
        run = create_run("toy", tmp_path)
        execute(with_rewrite(toy(), name, applies), run)
        runs.append(bits(run))
    assert runs[0] == runs[1]


@pytest.mark.run
@pytest.mark.parametrize("name", list(RewriteName))
def test_a_run_goes_on_without_the_rewrite_that_it_began_with(tmp_path: Path, name: RewriteName) -> None:
    """The plan that resumes may decide otherwise, as on another machine: the bits are the same."""
    whole = create_run("toy", tmp_path)
    execute(with_rewrite(toy(), name), whole)
    for position in (Position(0, 3, 0), Position(0, 7, 1), Position(1, 1, 2)):
        run = cut(whole, tmp_path / position.name, position)
        go_on(with_rewrite(toy(), name, applies=False), run)
        assert bits(run) == bits(whole), position


@pytest.mark.run
@pytest.mark.parametrize("batch_size", [32, 50])
def test_a_spec_that_turns_gathering_off_trains_the_same_bits(tmp_path: Path, batch_size: int) -> None:
    text = QUICK.replace("batch_size = 32", f"batch_size = {batch_size}")
    place = Workspace(tmp_path, device="cpu")
    with_it = place.run(resolved(text), report=False)
    without = place.run(resolved(text, "runtime.without=[gather_epoch]"), report=False)
    assert bits(with_it) == bits(without)


@pytest.mark.parametrize("batch_size", [1, 7, 8, 37, 64])
def test_batches_gathered_at_once_are_those_read_one_by_one(batch_size: int) -> None:
    part = build_images(ODD, DataContext(3)).part("train")
    assert isinstance(part, TensorPart)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(1))
    pairs = zip(part.batches(order, batch_size, None, CPU), part.gathered_batches(order, batch_size, CPU), strict=True)
    for one, other in pairs:
        assert torch.equal(one.targets, other.targets)
        for first, second in zip(one.inputs, other.inputs, strict=True):
            assert torch.equal(first, second) and first.stride() == second.stride()
            assert second.data_ptr() % 64 == 0, "as a tensor of its own would begin"


def test_few_operations_gather_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rewrite saves: an index operation a column, not one a column and batch."""
    rows = torch.arange(640)
    part = TensorPart([rows], rows)
    taken: list[int] = []
    index = torch.Tensor.__getitem__

    def counting(tensor: torch.Tensor, place: object) -> torch.Tensor:
        taken.append(1)
        return index(tensor, place)

    monkeypatch.setattr(torch.Tensor, "__getitem__", counting)
    counts = []
    for batches in (part.gathered_batches(rows, 64, CPU), part.batches(rows, 64, None, CPU)):
        taken.clear()
        assert len(list(batches)) == 10
        counts.append(len(taken))
    assert counts[0] <= 4 and counts[1] == 20
