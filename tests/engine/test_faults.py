"""Faults, made for real: what a run says of each, and what is left of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from children import fork, wait
from dotexp import MachineError, RunError, UsageError
from dotexp.components.builders import DataContext
from dotexp.engine.build.weights import save_weights
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.engine.state.resuming import prepare
from dotexp.engine.training.micro_batches import MicroBatches
from dotexp.experiment.experiment import Device, OnOom, Runtime
from dotexp.language.machine_faults import is_out_of_memory
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.runs.lock import holder, run_lock
from dotexp.runs.results import EpochRow, Status
from dotexp.sdk.data import Batch
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime
from kills import IMAGES, write_images
from paths import REPOSITORY
from spec_runner import runner
from toys import CrossEntropy, ImagesParams, build_images, plan, stage

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


class Heard(NullListener):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        """Keep it."""
        self.warnings.append(message)


def spec_runner(*arguments: str | Path | bytes, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Call the command in a process of its own."""
    command = [sys.executable, "-m", "dotexp.cli", *arguments]
    path = os.pathsep.join([str(REPOSITORY / "tests" / "support"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": path}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="surrogateescape", env=environment, timeout=120,
        check=False, **more,
    )  # fmt: skip


# kill -9


@pytest.mark.slow
@pytest.mark.process
def test_runs_killed_at_random_moments_end_alike() -> None:
    """Five kills; `python tests/support/kills.py --kills 100` makes more."""
    command = [sys.executable, str(REPOSITORY / "tests" / "support" / "kills.py"), "--kills", "5", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills" in done.stdout and " 0 of them ended otherwise" in done.stdout


# the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False)
    if done.returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.run
@pytest.mark.process
@ROOT_ONLY
def test_a_disk_that_fills_up_costs_no_checkpoint_and_no_training(small_disk: Path) -> None:
    planned = with_runtime(plan(stage(epochs=4)), EVERY_STEP)
    run = create_run("toy", small_disk)

    class Filler(Heard):
        def epoch_ended(self, row: EpochRow) -> None:
            if row.epoch == 1:
                with suppress(OSError), (small_disk / "full").open("wb", buffering=0) as file:
                    while True:
                        file.write(b"x" * 512)

    heard = Filler()
    with pytest.raises(RunError, match=r"cannot write .*No space left on device \(about .* bytes are needed"):
        execute(planned, run, heard)
    assert sum("No space left" in warning for warning in heard.warnings) >= 1
    assert len(heard.warnings) <= 3, "not one a step"
    # the save after the fourth step may have been under way when the disk became full
    assert positions(run.checkpoints)[0] in (Position(0, 3, 0), Position(0, 4, 0))
    (small_disk / "full").unlink()
    whole = create_run("toy", small_disk.parent)
    execute(planned, whole)
    go_on(planned, run)
    assert bits(run) == bits(whole)


@pytest.mark.run
@pytest.mark.process
@ROOT_ONLY
def test_a_disk_that_fills_as_the_run_ends_leaves_a_result_that_says_so(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last byte, after the model was written: what was kept free holds result.json, and no schedule.json."""
    run = create_run("toy", small_disk)

    def filling(tensors: Any, path: Path) -> None:
        save_weights(tensors, path)
        with suppress(OSError), (small_disk / "full").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)

    steps = ImagesParams(batch_size=1, examples=2000)
    planned = plan(stage(data=steps), data=steps)
    with monkeypatch.context() as patch:
        patch.setattr("dotexp.engine.stage_sequence.save_weights", filling)
        patch.setattr("dotexp.engine.execution._RESERVED", 1 << 13)
        with pytest.raises(RunError, match=r"cannot write .*schedule\.json: No space left on device"):
            execute(planned, run)
    assert not run.schedule.exists() and not list(run.path.glob(".*")), "nothing half-written is left"
    result = run.read_result()
    assert result is not None and result.status is Status.failed
    assert result.reason is not None and "schedule.json" in result.reason and run.resume_line in result.reason
    (small_disk / "full").unlink()
    go_on(planned, run)
    whole = create_run("toy", small_disk.parent)
    execute(planned, whole)
    assert bits(run) == bits(whole)


@pytest.mark.run
@pytest.mark.parametrize("name", ["schedule.json", "result.json", "environment.json", "metrics.jsonl"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_file_that_cannot_be_written_at_the_end_is_named_with_the_way_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    run, true = create_run("toy", tmp_path), os.replace

    def replace(source: Any, target: Any) -> None:
        if Path(target).name == name:
            raise OSError(number, os.strerror(number))
        true(source, target)

    def append(folder: RunFolder, row: EpochRow) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        if name == "metrics.jsonl":
            patch.setattr(RunFolder, "append_epoch", append)
        with pytest.raises(RunError, match=rf"cannot write .*{name}: {os.strerror(number)}") as caught:
            execute(plan(stage()), run)
    assert run.resume_line in str(caught.value)
    if name != "result.json":
        result = run.read_result()
        assert result is not None and result.status is Status.failed and name in (result.reason or "")
    go_on(plan(stage()), run, allow_changes=name == "environment.json")
    assert run.status is Status.finished


@pytest.mark.process
def test_a_quota_on_the_size_of_files_is_told_with_the_bytes(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: no file above 2 kB can be written, which holds every manifest back, and the model."""
    code = """
import resource, sys
from pathlib import Path
from dotexp.engine.build.weights import save_weights
from dotexp.engine.executor import execute
from dotexp.runs.folder import create_run
from toys import plan, stage
run = create_run("toy", Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    execute(plan(stage()), run)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY / "tests" / "support",
        check=True,
    )
    assert done.stdout.startswith("RunError cannot write ")
    assert "model.safetensors: File too large" in done.stdout and "bytes are needed" in done.stdout
    assert not list(tmp_path.glob("toy-1/**/*.tmp"))
    assert len((tmp_path / "toy-1" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.process
@ROOT_ONLY
def test_a_read_only_folder_is_refused_before_training(tmp_path: Path) -> None:
    place = tmp_path / "fixed"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        with pytest.raises(MachineError, match=r"cannot make a run in .*Read-only file system"):
            create_run("toy", place / "runs")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


# checkpoints


@pytest.fixture
def whole(tmp_path: Path) -> RunFolder:
    """A finished toy run that was saved at every step."""
    run = create_run("toy", tmp_path)
    execute(with_runtime(plan(stage()), EVERY_STEP), run)
    return run


@pytest.mark.run
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, whole: RunFolder, damage: str
) -> None:
    planned = with_runtime(plan(stage()), EVERY_STEP)
    run = cut(whole, tmp_path / "cut", Position(0, 6, 1))
    path = run.checkpoints / "1-6-1.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    resumption = prepare(planned, run, {})
    assert resumption.point is not None
    assert resumption.point.position == Position(0, 5, 1)
    assert "1-6-1" in resumption.notes[0] and "the one before it is used" in resumption.notes[0]
    execute(resumption.plan, run, device=resumption.device, resumption=resumption)
    assert bits(run) == bits(whole)


@pytest.mark.run
def test_without_any_sound_checkpoint_nothing_starts_silently(tmp_path: Path, whole: RunFolder) -> None:
    run = cut(whole, tmp_path / "cut", Position(0, 2, 0))
    for path in run.checkpoints.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint of .* can be used") as caught:
        prepare(plan(stage()), run, {})
    assert "1-2-0" in str(caught.value) and "1-1-0" in str(caught.value) and "remove" in str(caught.value)


@pytest.mark.run
def test_a_checkpoint_of_another_plan_is_told_of(tmp_path: Path, whole: RunFolder) -> None:
    """Files copied over from another run."""
    other = with_runtime(plan(stage(), seed=7), EVERY_STEP)
    run = create_run("toy", tmp_path)
    execute(other, run)
    run = cut(run, tmp_path / "cut", Position(0, 2, 0))
    shutil.rmtree(run.checkpoints)
    shutil.copytree(whole.checkpoints, run.checkpoints)
    with pytest.raises(UsageError, match="experiment: was `seed 42`\n  experiment: now `seed 7`"):
        prepare(other, run, {})


# two at once


def test_one_process_works_on_a_run_at_a_time(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    with run_lock(run):
        held = holder(run)
        assert held is not None and held.pid == os.getpid()
        with pytest.raises(RunError, match=f"is being worked on by process {os.getpid()} on "), run_lock(run):
            pass
    assert holder(run) is None
    with run_lock(run):
        pass


@pytest.mark.process
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    reader, writer = os.pipe()

    def hold() -> None:
        with run_lock(run):
            os.write(writer, b"x")
            signal.pause()

    pid = fork(hold)
    os.read(reader, 1)
    with pytest.raises(RunError, match=f"process {pid} on "), run_lock(run):
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert holder(run) is None, "a process that has ended but was not waited for is gone, too"
    with run_lock(run):
        assert holder(run) is not None
    assert wait(pid) == -signal.SIGKILL
    os.close(reader)
    os.close(writer)


def test_a_lock_of_another_host_or_of_a_number_used_again(tmp_path: Path) -> None:
    run = create_run("toy", tmp_path)
    with run_lock(run):
        own = json.loads((run.path / "lock.json").read_text())
    (run.path / "lock.json").write_text(json.dumps({**own, "host": "elsewhere"}))
    with pytest.raises(RunError, match="on elsewhere; if that process is gone, remove"), run_lock(run):
        pass
    (run.path / "lock.json").write_text(json.dumps({**own, "started": "another boot:1"}))
    with run_lock(run):
        pass


@pytest.mark.process
def test_resumes_in_the_same_instant_are_let_through_one_at_a_time(tmp_path: Path) -> None:
    """Eight processes at a stale lock: one gets in, and stays until the others were refused."""
    run = create_run("toy", tmp_path)
    (run.path / "lock.json").write_text(json.dumps({"host": os.uname().nodename, "pid": 2**22 + 1, "started": "x"}))
    told, tell = os.pipe()

    def resume() -> None:
        try:
            with run_lock(run):
                os.open(tmp_path / "inside", os.O_CREAT | os.O_EXCL)
                os.close(tell)
                refused = 0
                while refused < 7 and (answers := os.read(told, 7)):  # nothing: all others have ended
                    refused += len(answers)
        except RunError:
            os.write(tell, b"x")
            os._exit(3)

    children = [fork(resume) for _ in range(8)]
    os.close(tell)
    assert sorted(wait(pid) for pid in children) == [0] + [3] * 7
    os.close(told)


# data


@pytest.mark.run
def test_an_image_that_vanishes_between_two_sittings_is_told(tmp_path: Path) -> None:
    write_images(tmp_path, 0)
    spec = tmp_path / "killed.exp"
    spec.write_text(IMAGES.format(folder=tmp_path / "pictures", workers=0))
    done = runner("run", str(spec), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    run = cut(RunFolder(tmp_path / "runs" / "killed-1"), tmp_path / "runs" / "killed-2", Position(0, 2, 0))
    assert "killed-2 was interrupted, and this is a new run; to go on: spec-runner resume killed-2" in (
        runner("run", str(spec), "--set", "seed=7", folder=tmp_path).stderr
    )
    (tmp_path / "pictures" / "cats" / "3.png").unlink()
    done = runner("resume", "killed-2", folder=tmp_path)
    assert done.returncode == 2 and "data fingerprint: now " in done.stderr and "--allow-changes" in done.stderr
    assert "Traceback" not in done.stderr
    done = runner("resume", "killed-2", "--allow-changes", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    result = run.read_result()
    assert result is not None
    assert [change.split(":")[0] for change in result.changes] == ["data fingerprint"]
    cut(run, tmp_path / "runs" / "killed-9", Position(0, 2, 0))
    shutil.rmtree(tmp_path / "pictures")
    done = runner("resume", "killed-9", folder=tmp_path)
    assert done.returncode == 2 and "error[E401]" in done.stderr and "Traceback" not in done.stderr


def test_a_corrupt_image_is_told_before_training(tmp_path: Path) -> None:
    write_images(tmp_path, 1)
    broken = tmp_path / "pictures" / "dogs" / "4.png"
    broken.write_bytes(broken.read_bytes()[:60])
    done = runner("run", str(tmp_path / "killed.exp"), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "dogs/4.png" in done.stderr and "on_bad = skip" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_malformed_rows_are_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user,item,rating\n" + "1,2,3\n" * 40 + "1,2,many\n")
    (tmp_path / "rows.exp").write_text(
        'experiment rows\ndata ratings("rows.csv", user = 0, item = 1, rating = 2, valid = 10%, batch_size = 4)\n'
        "model embedding_dot_bias(factors = 2)\nloss mse\nstage s { fit one_cycle(epochs = 1, lr = 1e-3) }\n"
    )
    done = runner("run", "rows.exp", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "line 42" in done.stderr and "many" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


class Failing:
    """A part whose data fails after some batches, as when a file vanishes or a process that reads it dies."""

    def __init__(self, part: Any, after: int, error: Exception) -> None:
        self._part, self._after, self._error = part, after, error

    def __len__(self) -> int:
        return len(self._part)

    def batches(self, *arguments: Any) -> Iterator[Batch]:
        """A few batches, and the error."""
        for number, batch in enumerate(self._part.batches(*arguments)):
            if number == self._after:
                raise self._error
            yield batch


@pytest.mark.run
@pytest.mark.parametrize(
    "error", [RunError("the image x.png does not exist"), RuntimeError("DataLoader worker (pid 7) is killed")]
)
def test_data_that_fails_in_mid_run_costs_nothing_that_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: RunFolder, error: Exception
) -> None:
    planned = with_runtime(plan(stage()), Runtime(device=Device.cpu, threads=1))
    run = create_run("toy", tmp_path)

    def failing(params: ImagesParams, context: DataContext) -> Any:
        data: Any = build_images(params, context)
        data._parts["train"] = Failing(data._parts["train"], 3, error)
        return data

    with monkeypatch.context() as patch:
        patch.setattr("toys.build_images", failing)
        with pytest.raises(RunError, match=str(error).split(" (")[0]):
            execute(planned, run)
    assert positions(run.checkpoints)[0] == Position(0, 3, 0), "the steps before it are saved"
    go_on(planned, run)
    assert bits(run) == bits(whole)


KILLED_WORKER = """
import multiprocessing, os, signal, sys
from dotexp.cli import main
from dotexp.sdk import data

started, true = multiprocessing.Value("i", 0), data._heed_as_before

def start(worker):
    true(worker)
    with started.get_lock():
        started.value += 1
        if started.value == 3:  # one an epoch
            os.kill(os.getpid(), signal.SIGKILL)

data._heed_as_before = start
sys.argv[0] = "spec-runner"
main()
"""


@pytest.mark.process
def test_a_worker_process_that_dies_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """SIGKILL to the process that reads a real run's third epoch."""
    write_images(tmp_path, 1)
    spec = tmp_path / "killed.exp"
    spec.write_text(IMAGES.format(folder=tmp_path / "pictures", workers=1).replace("epochs = 1", "epochs = 4"))
    command = [sys.executable, "-c", KILLED_WORKER, "run", str(spec)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "DataLoader worker" in done.stderr and "resume killed-1" in done.stderr and "Traceback" not in done.stderr
    run = RunFolder(tmp_path / "runs" / "killed-1")
    assert run.status is Status.failed
    assert positions(run.checkpoints)[0] == Position(0, 8, 2), "what was done before it is saved"


# numbers


@pytest.mark.run
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_bad_number_at_a_chosen_step_stops_before_it_and_leaves_good_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    class Bad(CrossEntropy):
        passes = 0

        def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            Bad.passes += 1
            return super().forward(input, target) + (value if Bad.passes == 3 else 0.0)

    planned = with_runtime(plan(stage()), EVERY_STEP)
    run, whole = create_run("toy", tmp_path), create_run("toy", tmp_path)
    execute(planned, whole)
    with monkeypatch.context() as patch:
        patch.setattr("toys.build_loss", lambda params, facts: Bad())
        with pytest.raises(RunError, match=rf"step 3 of 8 .*the loss is {value}; the step was not taken"):
            execute(planned, run)
    assert positions(run.checkpoints)[0] == Position(0, 2, 0)
    go_on(planned, run)
    assert bits(run) == bits(whole)


# memory


class Hungry(CrossEntropy):
    """A loss that runs out of memory above a number of examples, after the network's buffers have moved."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy of a few."""
        if len(target) > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return super().forward(input, target)


@pytest.mark.run
def test_memory_that_runs_out_is_told_with_the_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run("toy", tmp_path)
    monkeypatch.setattr("toys.build_loss", lambda params, facts: Hungry(8))
    data = ImagesParams(batch_size=16)
    with pytest.raises(RunError) as caught:
        execute(plan(stage(data=data), data=data), run)
    message = str(caught.value)
    assert "out of memory of the device in stage `train`, epoch 1" in message
    assert "The estimate for the stage was about " in message
    assert "runtime(on_oom = split)" in message


def test_a_split_batch_has_the_gradient_of_the_whole(tmp_path: Path) -> None:
    """8 examples in micro-batches of 3, 3 and 2: the mean over all, as autograd gives it for the whole batch."""
    generator = torch.Generator().manual_seed(1)
    network = torch.nn.Linear(5, 3).double()
    inputs = torch.randn(8, 5, dtype=torch.float64, generator=generator)
    targets = torch.randint(3, (8,), generator=generator)
    expected = torch.nn.functional.cross_entropy(network(inputs), targets)
    gradients = torch.autograd.grad(expected, list(network.parameters()))
    heard: list[int] = []
    splitting = MicroBatches(network, Hungry(3), nullcontext, 8, heard.append)
    loss = splitting.backward([Batch((inputs,), targets)], lambda place: None)
    assert heard == [4, 2]
    splitting = MicroBatches(network, Hungry(3), nullcontext, 3, heard.append)
    network.zero_grad(set_to_none=True)
    loss = splitting.backward([Batch((inputs,), targets)], lambda place: None)
    torch.testing.assert_close(loss, expected.detach())
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.run
def test_a_run_that_splits_is_resumed_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = EVERY_STEP.model_copy(update={"on_oom": OnOom.in_pieces})
    planned = with_runtime(plan(stage()), runtime)
    monkeypatch.setattr("toys.build_loss", lambda params, facts: Hungry(4))
    monkeypatch.setattr("dotexp.engine.stage_run.evaluate", _no_evaluation)
    whole, heard = create_run("toy", tmp_path), Heard()
    execute(planned, whole, heard)
    assert heard.warnings == [
        "a batch of 8 does not fit into memory in stage `train`, epoch 1: its gradient is accumulated over"
        " micro-batches of at most 4 examples, and batch norm sees each by itself"
    ]
    run = cut(whole, tmp_path / "cut", Position(0, 5, 1))
    go_on(planned, run)
    assert bits(run) == bits(whole)


def _no_evaluation(*arguments: Any) -> Any:
    from dotexp.engine.evaluation import Evaluation

    return Evaluation()


@pytest.mark.process
def test_the_systems_own_lack_of_memory_is_known_as_such() -> None:
    """RLIMIT_AS, in a process of its own: what torch raises on a CPU."""
    code = """
import resource
import torch
from dotexp.language.machine_faults import is_out_of_memory
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
try:
    torch.empty(1 << 30)
except Exception as error:
    print(is_out_of_memory(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


# plugins


# clocks and names


@pytest.mark.run
def test_a_clock_that_goes_backwards_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: RunFolder
) -> None:
    now = iter(range(2_000_000_000, 0, -100_000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    run = create_run("toy", tmp_path)
    planned = with_runtime(plan(stage()), EVERY_STEP)
    execute(planned, run)
    for number, path in enumerate(sorted(run.checkpoints.iterdir())):
        os.utime(path, (0, 10**9 - 1000 * number))
    resumed = cut(run, tmp_path / "cut", Position(0, 6, 1))
    resumption = prepare(planned, resumed, {})
    assert resumption.point is not None
    assert resumption.point.position == Position(0, 6, 1)
    go_on(planned, resumed)
    assert bits(resumed) == bits(whole)


@pytest.mark.run
@pytest.mark.process
def test_paths_that_are_not_utf_8(tmp_path: Path) -> None:
    """A folder whose name is not text: the run is made there, interrupted, and gone on with."""
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        place.mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    planned = with_runtime(plan(stage()), EVERY_STEP)
    whole = create_run("toy", place)
    execute(planned, whole)
    run = cut(whole, place / "cut", Position(0, 3, 0))
    go_on(planned, run)
    assert bits(run) == bits(whole)
    listed = spec_runner("runs", "ls", "--runs", place, folder=tmp_path)
    assert listed.returncode == 0, listed.stderr


@pytest.mark.process
def test_two_runs_started_in_the_same_instant_have_folders_of_their_own(tmp_path: Path) -> None:
    planned = plan(stage(epochs=1))
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                execute(planned, create_run("toy", tmp_path))
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0, 0]
    runs = [RunFolder(tmp_path / f"toy-{number}") for number in (1, 2, 3)]
    assert all(bits(run) == bits(runs[0]) for run in runs)
