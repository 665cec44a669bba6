"""`fmt`: files in place, standard input through, and nothing touched that is not to be formatted."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from paths import REPOSITORY
from spec_runner import runner

LOOSE = "seed   1 # why\nloss mse"
NEAT = "seed 1  # why\nloss mse\n"
FAULTY = "seed   1\noptimizer adam(wd = 0.1\n"


def spec(folder: Path, content: str | bytes = LOOSE, name: str = "a.exp") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_files_are_formatted_in_place(tmp_path: Path) -> None:
    loose, neat = spec(tmp_path), spec(tmp_path, NEAT, "b.exp")
    before = neat.stat()
    done = runner("fmt", "a.exp", "b.exp", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.exp: formatted\nb.exp: unchanged\n", "")
    assert loose.read_text() == NEAT
    assert (neat.stat().st_mtime_ns, neat.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.exp", "b.exp"]


def test_check_writes_nothing(tmp_path: Path) -> None:
    loose = spec(tmp_path)
    spec(tmp_path, NEAT, "b.exp")
    done = runner("fmt", "--check", "a.exp", "b.exp", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "a.exp: not formatted\nb.exp: formatted\n")
    assert loose.read_text() == LOOSE
    assert runner("fmt", "--check", "b.exp", folder=tmp_path).returncode == 0


def test_diff_is_a_patch(tmp_path: Path) -> None:
    loose = spec(tmp_path)
    done = runner("fmt", "--diff", "a.exp", folder=tmp_path)
    assert done.returncode == 1 and loose.read_text() == LOOSE
    assert done.stdout == (
        "--- a.exp\n+++ a.exp\n@@ -1,2 +1,2 @@\n-seed   1 # why\n-loss mse\n\\ No newline at end of file\n"
        "+seed 1  # why\n+loss mse\n"
    )
    spec(tmp_path, NEAT)
    done = runner("fmt", "--diff", "a.exp", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.process
@pytest.mark.parametrize("text", [LOOSE, "\n\n# é\r\nseed  1\r\n", "stage a { unfreeze fit flat }", "seed 1\n\n\n"])
def test_a_diff_applied_is_the_formatted_file(tmp_path: Path, text: str) -> None:
    path = spec(tmp_path, text)
    patch = runner("fmt", "--diff", "a.exp", folder=tmp_path).stdout
    expected = runner("fmt", "-", folder=tmp_path, text=text).stdout
    (tmp_path / "p").write_bytes(patch.encode())
    done = subprocess.run(["git", "apply", "-p0", "p"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert path.read_bytes() == expected.encode()


def test_standard_input_goes_through(tmp_path: Path) -> None:
    done = runner("fmt", "-", folder=tmp_path, text=LOOSE)
    assert (done.returncode, done.stdout, done.stderr) == (0, NEAT, "")
    assert runner("fmt", "--check", "-", folder=tmp_path, text=LOOSE).returncode == 1
    assert runner("fmt", "--check", "-", folder=tmp_path, text=NEAT).returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_standard_output_has_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    command = ["python", "-m", "dotexp.cli", "fmt", "-"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    text = 'experiment a "é 猫 \U0001f600" # ü'.encode()
    done = subprocess.run(command, input=text, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, text.replace(b" #", b"  #") + b"\n", b"")


def test_a_file_with_faults_is_left_and_diagnosed(tmp_path: Path) -> None:
    faulty, loose = spec(tmp_path, FAULTY), spec(tmp_path, LOOSE, "b.exp")
    done = runner("fmt", "a.exp", "b.exp", folder=tmp_path)
    assert done.returncode == 2
    assert all(said in done.stderr for said in ("error[E104]", "a.exp:2:15", "a.exp: 1 error, left as it is"))
    assert faulty.read_text() == FAULTY and loose.read_text() == NEAT
    for option in ("--check", "--diff"):
        done = runner("fmt", option, "a.exp", folder=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
    done = runner("fmt", "-", folder=tmp_path, text=FAULTY)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("data", [b"seed\x00 1", b"\xff\xfes\x00", b"seed 1 # \xe9", b"a" * 2_000_000, b"loss f(\x1b)"])
def test_bytes_that_are_no_spec_are_left(tmp_path: Path, data: bytes) -> None:
    path = spec(tmp_path, data)
    done = runner("fmt", "a.exp", folder=tmp_path)
    assert done.returncode == 2 and "error[E1" in done.stderr
    assert path.read_bytes() == data


def test_names_need_not_be_known(tmp_path: Path) -> None:
    """A base file is no whole experiment, and a plugin may not be installed here."""
    path = spec(tmp_path, "optimizer  nowhere.lion( beta=1 )\n")
    assert runner("fmt", "a.exp", folder=tmp_path).returncode == 0
    assert path.read_text() == "optimizer nowhere.lion(beta = 1)\n"


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b"seed  1\r\nloss mse\r\n", b"seed 1\r\nloss mse\r\n"),
        (b"seed  1\rloss mse", b"seed 1\rloss mse\r"),
        (b"seed 1\r\nloss mse\n", b"seed 1\r\nloss mse\r\n"),
        (b"seed 1\nloss mse\r\n", b"seed 1\nloss mse\n"),
        (b"\xef\xbb\xbfseed  1", b"\xef\xbb\xbfseed 1\n"),
        (b"\xef\xbb\xbf\r\n\r\nseed 1 # x \r\n", b"\xef\xbb\xbfseed 1  # x\r\n"),
        (b"seed 1", b"seed 1\n"),
        (b"\n\n", b""),
    ],
)
def test_line_ends_and_the_byte_order_mark_stay(tmp_path: Path, raw: bytes, written: bytes) -> None:
    path = spec(tmp_path, raw)
    assert runner("fmt", "--check", "a.exp", folder=tmp_path).returncode == 1
    assert runner("fmt", "a.exp", folder=tmp_path).returncode == 0
    assert path.read_bytes() == written
    assert runner("fmt", "--check", "a.exp", folder=tmp_path).returncode == 0


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path = spec(tmp_path)
    path.chmod(0o640)
    link = tmp_path / "link.exp"
    link.symlink_to("a.exp")
    assert runner("fmt", "link.exp", folder=tmp_path).returncode == 0
    assert link.is_symlink() and path.read_text() == NEAT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = spec(tmp_path)
    os.chown(path, 1234, 2345)
    assert runner("fmt", "a.exp", folder=tmp_path).returncode == 0
    assert (path.stat().st_uid, path.stat().st_gid, path.read_text()) == (1234, 2345, NEAT)


def test_a_read_only_file_is_left(tmp_path: Path) -> None:
    path = spec(tmp_path)
    path.chmod(0o444)
    done = runner("fmt", "a.exp", folder=tmp_path)
    assert done.returncode == 2 and "read-only" in done.stderr
    assert path.read_text() == LOOSE


def test_a_file_that_is_missing_or_a_folder_is_told_and_the_others_are_formatted(tmp_path: Path) -> None:
    path = spec(tmp_path)
    done = runner("fmt", "nowhere.exp", ".", "a.exp", folder=tmp_path)
    assert done.returncode == 2
    assert "cannot read nowhere.exp" in done.stderr and "cannot read ." in done.stderr
    assert path.read_text() == NEAT
    assert runner("fmt", "-", "a.exp", folder=tmp_path).returncode == 2
    assert runner("fmt", folder=tmp_path).returncode == 2


PAGES = [REPOSITORY / "README.md", *(REPOSITORY / name / "README.md" for name in ("dsl", "plugins", "specs", "tests"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_specs_on_the_pages_are_formatted(page: Path, tmp_path: Path) -> None:
    for text in re.findall(r"```exp(?:-fragment)?\n(.*?)```", page.read_text(), re.DOTALL):
        assert runner("fmt", "-", folder=tmp_path, text=text).stdout == text
