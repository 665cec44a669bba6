"""What a command prints is not its work: no stream ends a command, whatever it takes or is made of."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from dotexp import UsageError
from dotexp.cli import call
from dotexp.cli.streams import SUBSTITUTES, standard_streams, substituted
from paths import REPOSITORY
from spec_runner import QUICK

pytestmark = [pytest.mark.run, pytest.mark.process]


class Full(io.StringIO):
    """A stream in memory that takes some characters and then fails."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room, self.error = room, error

    def write(self, text: str) -> int:
        """Fail once there is no room."""
        self.room -= len(text)
        if self.room < 0:
            raise self.error
        return super().write(text)


FAULTS = [
    OSError(28, "No space left on device"), OSError(5, "Input/output error"), BrokenPipeError(32, "Broken pipe"),
    ValueError("I/O operation on closed file"),
]  # fmt: skip


def spec_runner(
    folder: Path, *arguments: str, out: Any = None, err: Any = None, patch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Call spec-runner in this process with streams of its own; its code and what they took."""
    out, err = out or io.StringIO(), err or io.StringIO()
    patch.chdir(folder)
    patch.setenv("NO_COLOR", "1")
    with redirect_stdout(out), redirect_stderr(err):
        code = call(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    (tmp_path / "films.exp").write_text(QUICK)
    return tmp_path


@pytest.mark.parametrize("error", FAULTS, ids=str)
@pytest.mark.parametrize("room", [0, 150])
def test_a_standard_error_that_fails_ends_no_run(
    films: Path, error: Exception, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = spec_runner(films, "run", "films.exp", err=Full(room, error), patch=monkeypatch)
    assert code == 0 and out.startswith("films-1: valid loss ")
    assert json.loads((films / "runs/films-1/result.json").read_text())["status"] == "finished"
    assert (films / "runs/films-1/report.html").exists()


@pytest.mark.parametrize("error", FAULTS, ids=str)
def test_a_standard_output_that_fails_changes_no_runs_exit_code(
    films: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["run", "films.exp"], ["run", "films.exp", "--json"], ["resume", "films-1"]):
        code, _, err = spec_runner(films, *arguments, out=Full(20, error), patch=monkeypatch)
        assert code == 0, err
        assert ("warning: standard output: " in err) == (not isinstance(error, BrokenPipeError))
    assert sorted(path.name for path in (films / "runs").glob("films-*")) == ["films-1", "films-2"]


def test_an_answer_that_could_not_be_printed_is_a_failure_and_a_pipe_that_was_closed_is_none(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["check", "films.exp"], ["plan", "films.exp", "--json"], ["show"], ["runs", "ls"], ["--help"]):
        full = Full(5, OSError(28, "No space left on device"))
        code, _, err = spec_runner(films, *arguments, out=full, patch=monkeypatch)
        assert (code, err.splitlines()[-1]) == (1, "error: standard output: No space left on device"), arguments
        code, _, err = spec_runner(films, *arguments, out=Full(5, BrokenPipeError(32, "")), patch=monkeypatch)
        assert (code, "standard output" in err) == (0, False), arguments
    (films / "bad.exp").write_text("experiment bad")
    for error in FAULTS:
        assert spec_runner(films, "check", "bad.exp", out=Full(5, error), patch=monkeypatch)[0] == 2


def test_work_that_is_on_disk_is_done_whatever_standard_output_takes(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def code(*arguments: str) -> int:
        full = Full(0, OSError(28, "No space left on device"))
        return spec_runner(films, *arguments, out=full, patch=monkeypatch)[0]

    assert code("run", "films.exp") == 0
    (films / "pairs.csv").write_text("1,2\n3,4\n")
    assert code("predict", "films", "pairs.csv", "--out", "answers.jsonl") == 0
    assert len((films / "answers.jsonl").read_text().splitlines()) == 2
    assert code("predict", "films", "pairs.csv") == 1
    assert code("report", "films") == 0 and code("verify", "films") == 0
    assert code("new", "more") == 0 and (films / "more.exp").exists()
    assert code("lr-find", "films.exp", "--steps", "10", "--out", "curve.svg") == 0 and (films / "curve.svg").exists()
    assert code("lr-find", "films.exp", "--steps", "10") == 1
    assert code("runs", "ls") == 1
    assert code("runs", "rm", "films-1", "--yes") == 0 and not (films / "runs/films-1").exists()


def test_a_prediction_that_nobody_reads_stops(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dotexp.commands.workspace import Workspace

    assert spec_runner(films, "run", "films.exp", "--no-report", patch=monkeypatch)[0] == 0
    taken = []
    whole = Workspace.iter_predictions

    def counted(self: Workspace, *arguments: Any, **more: Any) -> Any:
        for each in whole(self, *arguments, **more):
            taken.append(each)
            yield each

    monkeypatch.setattr(Workspace, "iter_predictions", counted)
    (films / "pairs.csv").write_text("".join(f"{i % 60},{i % 40}\n" for i in range(500)))
    full = Full(100, BrokenPipeError(32, "Broken pipe"))
    assert spec_runner(films, "predict", "films", "pairs.csv", out=full, patch=monkeypatch)[0] == 0
    assert 0 < len(taken) < 20


# In processes of their own


def process(folder: Path, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start spec-runner."""
    return subprocess.Popen([sys.executable, "-m", "dotexp.cli", *arguments], cwd=folder, **more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_and_closed_descriptors(films: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = process(films, "run", "films.exp", stdout=full, stderr=full)
        assert done.wait() == 0
        assert process(films, "check", "films.exp", stdout=full, stderr=full).wait() == 1
    for command, code in (("run films.exp", 0), ("check films.exp", 0), ("check nothing.exp", 2)):
        closed = f"exec {sys.executable} -m dotexp.cli {command} >&- 2>&-"
        assert subprocess.run(["sh", "-c", closed], cwd=films, check=False).returncode == code
    for name in ("films-1", "films-2"):
        assert json.loads((films / f"runs/{name}/result.json").read_text())["status"] == "finished"


def test_ctrl_c_after_the_reader_of_both_streams_has_gone_is_an_interruption(tmp_path: Path) -> None:
    long = QUICK.replace("epochs = 1", "epochs = 100000")
    (tmp_path / "films.exp").write_text(long)
    run = process(tmp_path, "run", "films.exp", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.stdout is not None
    for line in run.stdout:
        if line.lstrip().startswith(b"1 "):  # the first epoch's row
            break
    run.stdout.close()  # tee is ended by the same Ctrl-C
    run.send_signal(signal.SIGINT)
    assert run.wait() == 130
    assert json.loads((tmp_path / "runs/films-1/result.json").read_text())["status"] == "interrupted"


# Encodings

PLAN = ["plan", "films.exp"]
LISTINGS = [["show"], ["show", "resnet18"], ["show", "crop"], ["plugins"], ["doctor"], ["--help"], ["run", "--help"]]


def raw(folder: Path, encoding: str, *arguments: str, patch: pytest.MonkeyPatch) -> tuple[int, bytes, bytes]:
    """Call spec-runner with streams of an encoding, strict on output, as a process has them."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(each, encoding, write_through=True) for each in (out, err)]
    patch.chdir(folder)
    patch.setenv("NO_COLOR", "1")
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        code = call(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "shift_jis"])
def test_every_command_prints_in_every_encoding(films: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (PLAN, *LISTINGS):
        code, out, err = raw(films, encoding, *arguments, patch=monkeypatch)
        assert code == 0, (arguments, err)
        assert b"\\u" not in out + err and b"?" not in out.replace(b"?)", b""), (arguments, out)
        out.decode(encoding)
    code, out, err = raw(films, encoding, "run", "films.exp", patch=monkeypatch)
    assert code == 0 and b"predict films-1 INPUT" in out and b"epoch" in err


def test_curves_are_drawn_in_ascii(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = raw(films, "ascii", *PLAN, patch=monkeypatch)
    line = next(line for line in out.decode().splitlines() if line.strip().startswith("momentum"))
    assert "0.95 -> 0.85" in line and "#" in line and "_" in line


def test_words_of_the_user_are_kept_readable_and_json_stays_json(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = QUICK.replace("experiment films", 'experiment films "Жanr, caf\u00e9 ≥ \U0001f600"')
    (films / "films.exp").write_text(text)
    code, out, _ = raw(films, "ascii", *PLAN, patch=monkeypatch)
    assert code == 0 and out.startswith(rb"films: \u0416anr, caf\xe9 >= \U0001f600")
    code, out, _ = raw(films, "latin-1", *PLAN, patch=monkeypatch)
    assert out.startswith("films: \\u0416anr, caf\u00e9 >= ".encode("latin-1"))
    for encoding in ("ascii", "latin-1", "utf-8"):
        code, out, _ = raw(films, encoding, "resolve", "films.exp", "--json", patch=monkeypatch)
        assert json.loads(out)["description"] == "Жanr, caf\u00e9 ≥ \U0001f600"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_resolved_spec_reads_back_whatever_the_streams_encoding(
    films: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (films / "films.exp").write_text(QUICK.replace("experiment films", 'experiment films "Жanr, caf\u00e9"'))
    code, out, _ = raw(films, encoding, "resolve", "films.exp", patch=monkeypatch)
    assert code == 0
    (films / "again.exp").write_bytes(out)
    code, again, _ = raw(films, "utf-8", "resolve", "again.exp", "--json", patch=monkeypatch)
    assert json.loads(again)["description"] == "Жanr, caf\u00e9"


def test_a_name_with_bytes_that_are_no_text_is_shown(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"caf\xe9.exp")
    code, out, err = raw(films, "utf-8", "check", name, patch=monkeypatch)
    assert code == 2 and rb"caf\udce9.exp" in out + err


def test_every_character_that_dotexp_prints_has_a_substitute() -> None:
    sources = [*(REPOSITORY / "dsl" / "dotexp").rglob("*.py"), *(REPOSITORY / "plugins").rglob("*.py")]
    letters = {"characters.py", "figures.py", "page.py", "pictures.py"}  # look-alikes of letters; the report's page
    for path in sources:
        if path.name not in letters:
            for character in set(path.read_text()):
                shown = substituted(character, "ascii")
                assert character.isascii() or "\\" not in shown, (path, character)
    assert all(text.isascii() for text in SUBSTITUTES.values())


def test_the_streams_are_put_back_as_they_were() -> None:
    before = (sys.stdout, sys.stderr)
    with pytest.raises(RuntimeError), standard_streams():
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == before


# --traceback


def test_traceback_is_an_option_of_every_command_and_a_value_where_one_is_due(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = (["--traceback", "plan", "no.exp"], ["plan", "no.exp", "--traceback"], ["runs", "show", "--traceback", "x"])
    for arguments in calls:
        with pytest.raises(UsageError, match=r"cannot read no\.exp|there is no run `x`"):
            spec_runner(films, *arguments, patch=monkeypatch)
    for arguments, said in (
        (["check", "films.exp", "--set", "--traceback"], "an override is written path=value"),
        (["check", "--", "--traceback"], "cannot read --traceback"),
        (["plan", "films.exp", "--runs", "--traceback", "--set", "seed=-1"], "seed"),
        (["predict", "--", "--traceback", "1:2"], "there is no run `--traceback`"),
    ):
        code, out, err = spec_runner(films, *arguments, patch=monkeypatch)
        assert code == 2 and said in out + err, (arguments, out, err)


def test_a_fault_of_the_machine_is_told_as_such(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "runs/films-1/plan.json")

    monkeypatch.setattr("dotexp.commands.training.write_json", full)
    code, _, err = spec_runner(films, "run", "films.exp", patch=monkeypatch)
    assert code == 1 and "error: cannot write runs/films-1/plan.json: No space left on device" in err
    assert "a fault of dotexp" not in err
