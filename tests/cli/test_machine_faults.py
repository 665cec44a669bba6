"""Faults of the machine: every command names the file and a cure, exits with 1 and leaves nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dotexp import MachineError, UsageError
from dotexp.language.machine_faults import file_fault, machine_fault
from paths import REPOSITORY
from spec_runner import QUICK, Done, runner

pytestmark = [pytest.mark.run, pytest.mark.process]

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
WRITING = [
    ("new", "fresh"), ("fmt", "films.exp"), ("run", "films.exp"), ("resume", "films-2"), ("report", "films-1"),
    ("export", "films-1"),
    ("export", "films-1", "--to", "torch"), ("export", "films-1", "--to", "onnx"),
    ("predict", "films-1", "pairs.csv", "--out", "o.csv"), ("predict", "films-1", "pairs.csv", "--out", "o.jsonl"),
    ("predict", "films-1", "pairs.csv", "--out", "o.parquet"), ("runs", "rm", "films-1", "--yes"),
    ("lr-find", "films.exp", "--steps", "20", "--out", "curve.svg"),
    ("lr-find", "films.exp", "--steps", "20", "--from", "1e-3", "--suggestion", "minimum", "--write"),
]  # fmt: skip
READING = [
    ("check", "films.exp"), ("resolve", "films.exp"), ("fmt", "films.exp"), ("upgrade", "films.exp"),
    ("explain", "films.exp", "loss"), ("diff", "films.exp", "films-1"), ("plan", "films.exp"), ("run", "films.exp"),
    ("lr-find", "films.exp"), ("evaluate", "films-1"), ("predict", "films-1", "1:2"), ("export", "films-1"),
    ("report", "films-1"), ("verify", "films-1"), ("resume", "films-2"), ("runs", "show", "films-1"),
    ("runs", "compare", "films-1", "films-2"), ("runs", "rm", "films-1", "--yes"),
]  # fmt: skip
NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE]


class Disk:
    """Has operations on files in a folder fail, while `fault` is set: a kind, read or write, and the error's number."""

    def __init__(self) -> None:
        self.folder = Path()
        self.fault: tuple[str, int] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.fault is None or event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            return
        path, kind = arguments[0], "write"
        if event == "open":
            kind = "write" if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else "read"
        if kind == self.fault[0] and isinstance(path, str | Path) and Path(path).absolute().is_relative_to(self.folder):
            raise OSError(self.fault[1], os.strerror(self.fault[1]), str(path))


_disk = Disk()  # a hook cannot be taken back


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, pairs, a finished run and one without a result."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "films.exp").write_text(QUICK)
    (folder / "pairs.csv").write_text("1,2\n3,4\n")
    assert runner("run", "films.exp", folder=folder).returncode == 0
    shutil.copytree(folder / "runs/films-1", folder / "runs/films-2")
    (folder / "runs/films-2/result.json").unlink()
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(made, tmp_path / "work")
    _disk.folder = tmp_path / "work"
    yield tmp_path / "work"
    _disk.fault = None


def failing(folder: Path, kind: str, number: int, *arguments: str) -> Done:
    """Call spec-runner while the folder cannot be read, or written."""
    _disk.fault = (kind, number)
    try:
        return runner(*arguments, folder=folder)
    finally:
        _disk.fault = None


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_told(done: Done, number: int) -> None:
    """Expect one fault that names a file, the reason and a cure, and exit code 1."""
    error = done.stderr[done.stderr.rindex("error: ") :].splitlines()
    assert done.returncode == 1, done.stderr
    assert error[0].endswith(f": {os.strerror(number)}") and error[1].startswith(" = "), done.stderr
    assert "--traceback" not in error[1] and "a fault of dotexp" not in done.stderr


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_disk_that_takes_no_writes_is_told_with_the_file_and_a_cure(work: Path, command: tuple[str, ...]) -> None:
    before = listing(work)
    for number in NUMBERS if command[0] != "export" and command[0] != "lr-find" else NUMBERS[:2]:
        assert_told(failing(work, "write", number, *command), number)
        assert listing(work) == before, "nothing half-written is left"
        assert {path.name for path in work.iterdir()} == {"films.exp", "pairs.csv", "runs"}


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE], ids=os.strerror)
def test_a_disk_that_cannot_be_read_is_told_with_the_file_and_a_cure(
    work: Path, command: tuple[str, ...], number: int
) -> None:
    assert_told(failing(work, "read", number, *command), number)


def test_a_run_that_cannot_be_read_does_not_hide_the_others(work: Path) -> None:
    done = failing(work, "read", errno.EIO, "runs", "ls")
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["films-1", "unreadable"],
        ["films-2", "unreadable"],
    ]


def test_a_base_file_and_data_that_cannot_be_read_are_the_machines_fault(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = QUICK.replace("latent_ratings(users = 60, items = 40, ", 'ratings("pairs.csv", ')
    (work / "data.exp").write_text(data)
    (work / "more.exp").write_text('extends "films.exp"\nexperiment more')
    true = Path.open

    def refuse(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name in ("pairs.csv", "films.exp"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return true(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    for command in (("plan", "data.exp"), ("check", "more.exp")):
        done = runner(*command, folder=work)
        assert done.returncode == 1 and "Input/output error" in done.stderr and "\n = the disk" in done.stderr


@ROOT_ONLY
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_true_disks_are_told_alike(made: Path, tmp_path: Path, kind: str) -> None:
    place, number = tmp_path / "disk", errno.ENOSPC if kind == "full" else errno.EROFS
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        shutil.copytree(made, place / "work")
        work = place / "work"
        before = listing(work)
        if kind == "full":
            with pytest.raises(OSError), (place / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 512)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        for command in WRITING:
            if (kind, command[0]) != ("full", "runs"):  # removing needs the lock's bytes alone
                assert_told(runner(*command, folder=work), number)
                assert listing(work) == before, command
        for command in (("check", "films.exp"), ("evaluate", "films-1"), ("predict", "films-1", "1:2"), ("runs", "ls")):
            assert runner(*command, folder=work).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@ROOT_ONLY
def test_a_full_folder_of_temporary_files_is_named_with_tmpdir(made: Path, tmp_path: Path) -> None:
    import tempfile

    place = tmp_path / "temporary"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(place))
        done = runner("verify", "films-1", folder=made)
    subprocess.run(["umount", "-l", str(place)], check=True)
    assert done.returncode == 1 and f"cannot write {place}" in done.stderr and "set TMPDIR" in done.stderr
    assert "resume" not in done.stderr, "the temporary run is gone"


def test_what_the_user_wrote_wrongly_stays_the_users(work: Path) -> None:
    (work / "loop.exp").symlink_to("loop.exp")
    (work / "file").write_text("x")
    (work / "runs/films-1/report.html").unlink()
    (work / "runs/films-1/report.html").mkdir()
    cases = {
        ("check", "nothing.exp"): "is missing",
        ("check", "loop.exp"): "circle",
        ("check", "films.exp/x.exp"): "a file stands where a folder should",
        ("check", "x" * 300): "shorter name",
        ("new", "nowhere/x"): "is missing",
        ("run", "films.exp", "--runs", "file/runs"): "--runs names it",
        ("report", "films-1"): "a folder stands where a file should",
        ("export", "films-1", "--out", "file/x"): "a file stands where a folder should",
        ("predict", "films-1", "pairs.csv", "--out", "file/o.csv"): "a file stands where a folder should",
    }
    for command, cure in cases.items():
        done = runner(*command, folder=work)
        assert done.returncode == 2 and cure in done.stderr, (command, done.stderr)


def test_a_current_folder_that_was_removed_is_told_before_anything_is_imported(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from dotexp.cli import main; main()"

    def call(*arguments: str) -> tuple[int, str]:
        gone.mkdir(exist_ok=True)
        python = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(python, cwd=gone, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    for command in (("run", "films.exp"), ("plan", str(REPOSITORY / "specs/digits.exp")), ("runs", "ls"), ("new", "x")):
        returned, told = call(*command)
        assert returned == 1 and "the current folder was removed" in told and "Traceback" not in told, (command, told)
    assert call("run", "--help")[0] == call("--version")[0] == 0


# Too little memory, threads, shared memory


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (RuntimeError("std::bad_alloc"), "out of memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "out of memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "out of memory"),
        (RuntimeError("can't start new thread"), "no more threads"),
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "Resource temporarily unavailable"),
        (RuntimeError("unable to open shared memory object </torch_1> in read-write mode"), "/dev/shm"),
        (RuntimeError("parquet: underlying IO error: No space left on device (os error 28)"), "free some space"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("command", [("check", "films.exp"), ("runs", "ls"), ("plan", "films.exp")], ids=" ".join)
def test_what_the_machine_lacks_is_no_fault_of_dotexp(
    work: Path, error: Exception, said: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr("dotexp.cli.check.check", fail)
    monkeypatch.setattr("dotexp.cli.runs.list_runs", fail)
    monkeypatch.setattr("dotexp.commands.workspace.make_plan", fail)
    done = runner(*command, folder=work)
    assert done.returncode == 1 and said in done.stderr and "\n = " in done.stderr
    assert "a fault of dotexp" not in done.stderr


def test_other_errors_stay_faults_of_dotexp(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **more: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr("dotexp.cli.check.check", fail)
    done = runner("check", "films.exp", folder=work)
    assert done.returncode == 1 and "a fault of dotexp or a plugin" in done.stderr
    for error in (RuntimeError("shapes do not match"), ImportError("no name", name="dotexp.nothing"), ValueError("x")):
        assert machine_fault(error) is None


# Broken installations

BOTH = "torch {} and torchvision {}"


@pytest.mark.parametrize(
    ("package", "source", "said"),
    [
        ("torchvision", "raise RuntimeError('operator torchvision::nms does not exist')", BOTH),
        ("torchvision", "raise ImportError('_C.so: undefined symbol: _ZN3c10')", BOTH),
        ("torchvision", "import torch\ntorch.library.register_nothing", BOTH),
        ("polars", "raise ImportError('polars.abi3.so: cannot open shared object file')", "the package polars"),
        ("polars", "raise OSError(5, 'Input/output error')", "the package polars"),
    ],
)
def test_a_broken_package_is_named_with_its_version_and_how_to_install_it(
    tmp_path: Path, package: str, source: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import version

    site = tmp_path / "site-packages"
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text(source)
    others: dict[str, ModuleType] = {n: m for n, m in sys.modules.items() if n.partition(".")[0] != package}
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    with monkeypatch.context() as patch:
        for name in sys.modules.keys() - others.keys():
            patch.delitem(sys.modules, name)
        with pytest.raises(BaseException) as caught:
            __import__(package)
    told = machine_fault(caught.value)
    first = {"torchvision": "torch"}.get(package, package)
    assert isinstance(told, MachineError) and f"pip install --force-reinstall {first}" in told.help
    assert said.format(version("torch"), version("torchvision")) in str(told)


# The functions alone


def test_mistakes_and_the_machines_faults_are_told_apart() -> None:
    for number in NUMBERS:
        assert isinstance(file_fault("write", "x", OSError(number, os.strerror(number))), MachineError)
    for number in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
        told = file_fault("read", "x", OSError(number, os.strerror(number)), "more advice")
        assert isinstance(told, UsageError) and told.help.endswith("; more advice")
        assert told.__notes__ == [told.help], "Python's traceback shows it, too"
