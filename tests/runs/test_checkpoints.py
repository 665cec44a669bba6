"""Checkpoints: written in one piece, believed only when their checksum is right, and few of them kept."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from children import fork, wait
from dotexp import RunError
from dotexp.engine.executor import execute
from dotexp.engine.state import saving
from dotexp.engine.state.saving import Saver
from dotexp.engine.state.state import from_bytes, pack, restore_optimizer, to_bytes, unpack
from dotexp.experiment.experiment import Runtime
from dotexp.language.atomic import write_atomic
from dotexp.runs.checkpoints import (
    Position,
    positions,
    read_facts,
    read_newest,
    remove_leftovers,
    set_aside,
    write_checkpoint,
)
from dotexp.runs.folder import create_run
from interruptions import EVERY_STEP, with_runtime
from toys import plan, stage

AT = Position(0, 10, 1)


def there(folder: Path, position: Position = AT, data: bytes = b"tensors", **facts: Any) -> Path:
    """Write a checkpoint and return its manifest's path."""
    write_checkpoint(folder, position, facts, data)
    return folder / f"{position.name}.json"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    there(tmp_path, data=b"old", note="one")
    there(tmp_path, Position(1, 2, 3), b"new", note="two", loss=0.1)
    stored, damaged = read_newest(tmp_path)
    assert stored is not None
    assert (stored.position, stored.tensors, damaged) == (Position(1, 2, 3), b"new", ())
    assert (stored.facts["note"], stored.facts["loss"]) == ("two", 0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1-10-1.json", "1-10-1.safetensors", "2-2-3.json", "2-2-3.safetensors",
    ]  # fmt: skip
    assert read_newest(tmp_path / "nowhere") == (None, ())


def test_the_newest_is_the_one_furthest_on_whatever_the_clock_says(tmp_path: Path) -> None:
    for position in (Position(1, 0, 2), Position(0, 9, 0), Position(0, 100, 1), Position(0, 10, 0), Position(0, 10, 1)):
        path = there(tmp_path, position)
        os.utime(path, (0, 2_000_000_000 - 10**8 * position.step))
    assert positions(tmp_path) == (
        Position(1, 0, 2), Position(0, 100, 1), Position(0, 10, 1), Position(0, 10, 0), Position(0, 9, 0),
    )  # fmt: skip


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


DAMAGES = {
    "truncated tensors": lambda path: path.with_suffix(".safetensors").write_bytes(b"tens"),
    "flipped tensors": lambda path: _flip(path.with_suffix(".safetensors"), 3),
    "no tensors": lambda path: path.with_suffix(".safetensors").unlink(),
    "truncated manifest": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "flipped manifest": lambda path: _flip(path, path.read_bytes().index(b"format_version") + 20),
    "empty manifest": lambda path: path.write_bytes(b""),
    "manifest of a list": lambda path: path.write_bytes(b"[1]"),
    "manifest of bytes": lambda path: path.write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path, damage: str) -> None:
    there(tmp_path, data=b"old")
    newest = there(tmp_path, Position(0, 20, 2))
    DAMAGES[damage](newest)
    stored, damaged = read_newest(tmp_path)
    assert stored is not None
    assert (stored.position, stored.tensors) == (AT, b"old")
    assert [each.path for each in damaged] == [newest]
    set_aside(damaged[0])
    assert positions(tmp_path) == (AT,)
    assert (tmp_path / "1-20-2.json.damaged").exists()


def test_every_byte_of_a_checkpoint_is_covered(tmp_path: Path) -> None:
    """No flipped bit goes unnoticed, wherever it is."""
    newest = there(tmp_path, note="x")
    for path in (newest, newest.with_suffix(".safetensors")):
        for at in range(len(path.read_bytes())):
            _flip(path, at)
            stored, _ = read_newest(tmp_path)
            assert stored is None or (stored.facts["note"], stored.tensors) == ("x", b"tensors"), (path.name, at)
            _flip(path, at)
    assert read_newest(tmp_path)[0] is not None


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    there(tmp_path)
    (tmp_path / ".1-11-1.json.00ff.tmp").write_bytes(b"half")
    (tmp_path / "1-11-1.safetensors").write_bytes(b"no manifest")
    (tmp_path / "notes.txt").write_text("a user's own")
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-10-1.json", "1-10-1.safetensors", "notes.txt"]


@pytest.mark.process
@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_kill_at_any_moment_of_a_save_leaves_a_sound_checkpoint(tmp_path: Path, function: str, call: int) -> None:
    """SIGKILL in the save itself: at its k-th fsync or rename, before or after the call is made."""
    there(tmp_path, data=b"old")

    def save() -> None:
        true, calls = getattr(os, function), 0

        def dying(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if 2 * calls == call + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            done = true(*arguments, **more)
            if 2 * calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(os, function, dying)
        there(tmp_path, Position(0, 20, 2), b"new")

    assert wait(fork(save)) in (-signal.SIGKILL, 0)
    stored, damaged = read_newest(tmp_path)
    assert stored is not None
    assert stored.tensors in (b"old", b"new")
    assert damaged == ()
    remove_leftovers(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_an_io_error_anywhere_in_a_save_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, call: int
) -> None:
    there(tmp_path, data=b"old")
    true, calls = getattr(os, function), 0

    def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return true(*arguments, **more)

    monkeypatch.setattr(os, function, failing)
    try:
        there(tmp_path, Position(0, 20, 2), b"new")
        failed = False
    except OSError:
        failed = True
    assert failed is (calls == call)
    stored, damaged = read_newest(tmp_path)
    assert stored is not None
    assert damaged == ()
    assert stored.tensors in ((b"old", b"new") if failed else (b"new",))


def test_state_comes_back_exactly() -> None:
    value = OrderedDict(
        {
            "a": torch.tensor([0.1, -0.0], dtype=torch.float64),
            "deep": {3: (1, 2.5, None, True, "x"), "list": [torch.tensor(7), float("nan"), float("-inf")]},
            "half": torch.ones(2, 3, dtype=torch.bfloat16).T,
            "none": torch.empty(0, 4),
        }
    )
    tensors: dict[str, torch.Tensor] = {}
    tree = json.loads(json.dumps(pack(value, tensors, "state"), allow_nan=False))
    back = unpack(tree, from_bytes(to_bytes(tensors)))
    for name in ("a", "half", "none"):
        assert back[name].dtype == value[name].dtype
        assert torch.equal(back[name], value[name])
    assert torch.signbit(back["a"][1])
    assert back["deep"][3] == (1, 2.5, None, True, "x")
    assert back["deep"]["list"][0].item() == 7
    assert str(back["deep"]["list"][1:]) == "[nan, -inf]"


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {(1, 2): 3}, {True: 1}])
def test_what_a_checkpoint_cannot_keep_is_refused(value: object) -> None:
    with pytest.raises(RunError, match=r"state(/x)? (holds|has)"):
        pack({"x": value}, {}, "state")


class Casting(torch.optim.SGD):
    """An optimizer whose state is of another type than its parameters: torch casts it when it is loaded."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        super().__init__(parameters, lr=0.1)
        for parameter in parameters:
            self.state[parameter]["exact"] = torch.full_like(parameter, 1 / 3, dtype=torch.float64)


def test_an_optimizer_that_does_not_come_back_exactly_is_refused() -> None:
    with pytest.raises(RunError, match="a Casting cannot be given back"):
        restore_optimizer(Casting([torch.zeros(2)]), Casting([torch.zeros(2)]).state_dict())


def test_state_is_laid_out_as_the_parameters_are() -> None:
    """A channels-last weight has channels-last averages, whether they were made or loaded."""

    def made() -> torch.optim.Adam:
        weight = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
        weight.grad = torch.ones_like(weight)
        optimizer = torch.optim.Adam([weight])
        optimizer.step()
        return optimizer

    first, second = made(), made()
    tensors: dict[str, torch.Tensor] = {}
    tree = pack(first.state_dict(), tensors, "state")
    restore_optimizer(second, unpack(tree, from_bytes(to_bytes(tensors))))
    for one, other in zip(first.state.values(), second.state.values(), strict=True):
        assert one["exp_avg"].stride() == other["exp_avg"].stride() == (48, 1, 12, 3)


def _saver(folder: Path, warn: Any = None, **runtime: Any) -> Saver:
    return Saver(folder / "checkpoints", Runtime(**runtime), warn or (lambda message: None))


def test_the_newest_are_kept_and_the_best(tmp_path: Path) -> None:
    saver = _saver(tmp_path, keep_checkpoints=2)
    for epoch, loss in enumerate([0.9, 0.4, 0.6, 0.5, None, 0.7], start=1):
        saver.save(Position(0, 10 * epoch, epoch), {"valid_loss": loss}, {"x": torch.tensor(epoch)}, wait=True)
    folder = tmp_path / "checkpoints"
    assert [position.epochs for position in positions(folder)] == [6, 5, 2]
    again = _saver(tmp_path, keep_checkpoints=1, keep_best=True)
    again.save(Position(0, 70, 7), {"valid_loss": 0.5}, {}, wait=True)
    assert [position.epochs for position in positions(folder)] == [7, 2], "a resumed run knows the best so far"
    _saver(tmp_path, keep_checkpoints=1, keep_best=False).save(Position(0, 80, 8), {}, {}, wait=True)
    assert [position.epochs for position in positions(folder)] == [8]


class CutShortError(Exception):
    """What a signal's handler raises, wherever the training thread is: a worker's death, a second Ctrl-C."""


def cut_short(call: Callable[[], object], line: int) -> bool:
    """Call, and raise CutShortError at the `line`-th line that this thread executes; whether it came to that."""
    left = line

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if event == "line" and left == 0:
            raise CutShortError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except CutShortError:
        return True
    finally:
        sys.settrace(before)
    return False


def test_saves_that_signals_cut_short_leave_the_next_ones_sound(tmp_path: Path) -> None:
    """At every line of a save, whichever of dotexp, torch and the standard library it is in."""
    saver, line = _saver(tmp_path), 1
    tensors = {"x": torch.tensor([1, 2])}
    while cut_short(lambda: saver.save(Position(0, line, 0), {"line": line}, tensors), line):  # noqa: B023
        line += 1
        saver.settle()
    assert line > 20, "a save has so many lines at least"
    saver.save(Position(0, line + 1, 0), {}, tensors, wait=True)
    stored, damaged = read_newest(tmp_path / "checkpoints")
    assert stored is not None and stored.position == Position(0, line + 1, 0) and not damaged
    (tensor,) = from_bytes(stored.tensors).values()
    assert torch.equal(tensor, tensors["x"])
    assert saver.failure is None


def test_a_copy_is_saved_and_not_what_training_makes_of_it(tmp_path: Path) -> None:
    weights = torch.zeros(1_000_000)
    saver = _saver(tmp_path)
    saver.save(AT, {}, {"weights": weights})
    weights.fill_(1.0)
    saver.settle()
    stored, _ = read_newest(tmp_path / "checkpoints")
    assert stored is not None
    (tensor,) = from_bytes(stored.tensors).values()
    assert torch.equal(tensor, torch.zeros(1_000_000))


class Clock:
    """The clock of a saver: every look at it takes a second, so that a save takes some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for name in ("monotonic", "perf_counter"):
            monkeypatch.setattr(saving, name, self)

    def __call__(self) -> float:
        """Tell the time."""
        self.now += 1
        return self.now


def test_when_a_run_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    saver = _saver(tmp_path, checkpoint_steps=10, checkpoint_minutes=2)
    assert [saver.next_step(step) for step in (0, 9, 10, 11)] == [10, 10, 20, 20]
    assert saver.due(10) and not saver.due(11)
    clock.now += 120
    assert saver.due(11), "the minutes are over"


def test_an_epochs_end_is_saved_where_that_slows_the_run_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    saver = _saver(tmp_path, checkpoint_minutes=1000)
    assert not saver.due(10)
    assert saver.worthwhile(), "the first epoch's end"
    saver.save(AT, {}, {"x": torch.zeros(10)}, wait=True)
    assert not saver.worthwhile(), "an epoch that ends at once"
    clock.now += 50 * 1.5
    assert not saver.worthwhile(), "a save has cost two seconds: one for the copy, one for the file"
    clock.now += 50
    assert saver.worthwhile()
    assert read_facts(tmp_path / "checkpoints", AT) is not None


def test_a_state_that_is_saved_already_is_not_saved_again(tmp_path: Path) -> None:
    saver = _saver(tmp_path)
    saver.save(AT, {"n": 1}, {}, wait=True)
    saver.save(AT, {"n": 2}, {}, wait=True)
    facts = read_facts(tmp_path / "checkpoints", AT)
    assert facts is not None
    assert facts["n"] == 1


def test_a_save_that_fails_is_told_once_and_the_next_one_tried(tmp_path: Path) -> None:
    heard: list[str] = []
    saver = _saver(tmp_path, heard.append)
    (tmp_path / "checkpoints").write_text("in the way")
    for step in (1, 2):
        saver.save(Position(0, step, 0), {}, {"x": torch.zeros(10)}, wait=True)
    assert len(heard) == 1
    assert "cannot write" in heard[0] and "40 bytes are needed" in heard[0] and "are free" in heard[0]
    with pytest.raises(RunError, match="cannot write"):
        saver.require()
    (tmp_path / "checkpoints").unlink()
    saver.save(Position(0, 3, 0), {}, {"x": torch.zeros(10)}, wait=True)
    saver.require()
    assert positions(tmp_path / "checkpoints") == (Position(0, 3, 0),)


@pytest.mark.run
def test_the_best_is_the_epochs_end_and_no_step_after_it(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    runtime = EVERY_STEP.model_copy(update={"keep_checkpoints": 1})
    execute(with_runtime(plan(stage(epochs=3)), runtime), run)
    losses = [row.valid_loss for row in run.read_epochs()]
    best = losses.index(min(loss for loss in losses if loss is not None)) + 1
    kept = {position.epochs: position for position in positions(run.checkpoints)}
    assert set(kept) == {best, 3}
    facts = read_facts(run.checkpoints, kept[best])
    assert facts is not None
    assert facts["valid_loss"] == losses[best - 1]
    assert kept[best].step in (0, 4 * best)


COLLISIONS: list[Any] = [
    {"a/b": 1, "a": {"b": 2}},
    {"a": {"b": 1}, "a/b": 2},
    {1: 1, "1": 2},
    {"x": [1, 2], "x/0": 3, "x/1": 4},
    {"a": 1, "a~2": 2, "a/": {"": 3}, "a//": 4},
    {"p": {"q/r": 1}, "p/q": {"r": 2}, "p/q/r": 3},
]


def _as_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_tensors(item) for key, item in value.items()}
    return [_as_tensors(item) for item in value] if isinstance(value, list) else torch.tensor(value)


def _as_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_numbers(item) for key, item in value.items()}
    return [_as_numbers(item) for item in value] if isinstance(value, list) else int(value)


@pytest.mark.parametrize("value", COLLISIONS, ids=str)
def test_keys_that_make_the_same_path_keep_their_own_tensors(value: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    tree = json.loads(json.dumps(pack(_as_tensors(value), tensors, "state")))
    assert _as_numbers(unpack(tree, from_bytes(to_bytes(tensors)))) == value


def test_a_file_that_cannot_be_written_is_named_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the temporary one, and not none at all, as where the disk is full."""
    monkeypatch.setattr(os, "fsync", _raise(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.json'") as caught:
        write_atomic(tmp_path / "a.json", b"content")
    assert caught.value.filename == str(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def _raise(error: Exception) -> Any:
    def raising(*arguments: object) -> None:
        raise error

    return raising
