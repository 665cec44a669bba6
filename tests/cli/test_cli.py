"""The commands, as a user types them: what they print, where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dotexp.cli import COMMANDS
from paths import REPOSITORY
from spec_runner import QUICK, runner

from specs import IMAGES, RATINGS


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec and a finished run of it."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "films.exp").write_text(QUICK.replace("loss mse", "loss mse\nmetrics rmse"))
    done = runner("run", "films.exp", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("films-1: valid loss ") and "next: spec-runner evaluate films-1" in done.stdout
    assert "epoch" in done.stderr and "rmse" in done.stderr
    return folder


def test_check_prints_diagnostics_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "a.exp").write_text(RATINGS.replace("loss mse", "loss msee"))
    done = runner("check", "a.exp", folder=tmp_path)
    assert done.returncode == 2 and done.stderr == ""
    assert done.stdout == (
        "error[E203]: unknown loss `msee`\n"
        " --> a.exp:5:6\n"
        "  |\n"
        "5 | loss msee\n"
        "  |      ^^^^ did you mean `mse`?\n"
        "  = losses installed: binary_cross_entropy, cross_entropy, mse\n"
        "\n"
        "a.exp: 1 error\n"
    )


def test_check_of_several_files_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "a.exp").write_text(RATINGS)
    (tmp_path / "b.exp").write_text(IMAGES + "\noptimizer adam")
    done = runner("check", "a.exp", "b.exp", "-", folder=tmp_path, text=RATINGS + "\nseed -1")
    assert done.returncode == 2
    assert "a.exp: fine" in done.stdout and "b.exp: 1 error" in done.stdout and "-: 1 error" in done.stdout
    assert "<stdin>:8:6" in done.stdout


def test_check_json(tmp_path: Path) -> None:
    done = runner("check", "--json", "-", folder=tmp_path, text=RATINGS.replace("mse", "msee"))
    answer = json.loads(done.stdout)
    assert done.returncode == 2 and set(answer) == {"format_version", "valid", "diagnostics"}
    assert answer["format_version"] == 1 and answer["valid"] is False
    assert answer["diagnostics"] == [
        {
            "severity": "error", "code": "E203", "message": "unknown loss `msee`", "file": "<stdin>", "line": 5,
            "column": 6, "end_line": 5, "end_column": 10, "suggestion": "mse",
            "help": "losses installed: binary_cross_entropy, cross_entropy, mse",
        }
    ]  # fmt: skip
    fine = json.loads(runner("check", "--json", "-", folder=tmp_path, text=RATINGS).stdout)
    assert fine == {"format_version": 1, "valid": True, "diagnostics": []}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe\x00", b"experiment a\x00b", "experiment а".encode(), b"\r\r\r", b"\xef\xbb\xbf", b"[" * 1000,
        b"data digits(" + b"[" * 1000, RATINGS.replace("\n", "\r").encode() + b"\rloss mse", b"\x80" * 100,
        b"experiment x\n" + b"param p = 1\n" * 10000,
    ],
    ids=range(11),
)  # fmt: skip
def test_bytes_that_are_no_spec_get_a_diagnostic(data: bytes, tmp_path: Path) -> None:
    done = runner("check", "-", folder=tmp_path, text=data)
    assert done.returncode == 2
    assert "error[E" in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_line_ends_of_every_system(tmp_path: Path) -> None:
    for ends in ("\r\n", "\r"):
        done = runner("check", "-", folder=tmp_path, text=("\ufeff" + RATINGS.replace("\n", ends)).encode())
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.run
def test_calls_that_are_wrong(tmp_path: Path, finished: Path) -> None:
    for arguments in (
        ["chekc", "a.exp"], ["check"], ["check", "missing.exp"], ["run", "missing.exp"], ["check", "."], ["plan"],
        ["evaluate", "films-9"], ["evaluate", "films", "--part", "test"], ["predict", "films", "196"],
        ["run", "films.exp", "--device", "cuda"], ["show", "addam"], ["run", "films.exp", "--set", "x=1"],
        ["runs", "rm", "films", "--yes"],
    ):  # fmt: skip
        done = runner(*arguments, folder=finished)
        assert done.returncode == 2, arguments
        assert done.stdout == "" and done.stderr and "Traceback" not in done.stderr, arguments
    assert "Did you mean 'check'?" in runner("chekc", folder=finished).stderr
    assert "did you mean `adam`?" in runner("show", "addam", folder=finished).stderr


@pytest.mark.run
def test_the_run_folder(finished: Path) -> None:
    run = finished / "runs" / "films-1"
    names = {
        "spec.exp", "resolved.exp", "plan.json", "environment.json", "metrics.jsonl", "schedule.json",
        "vocabulary.json", "model.safetensors", "result.json",
    }  # fmt: skip
    assert names <= {path.name for path in run.iterdir()}
    assert (run / "spec.exp").read_text() == (finished / "films.exp").read_text()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["epoch"]) for row in rows] == [("train", 1)]
    assert set(rows[0]) == {"stage", "epoch", "step", "train_loss", "valid_loss", "metrics", "seconds"}
    environment = json.loads((run / "environment.json").read_text())
    assert environment["seed"] == 42


@pytest.mark.run
def test_a_run_uses_the_plans_rates(finished: Path) -> None:
    run = finished / "runs" / "films-1"
    plan = json.loads((run / "plan.json").read_text())
    assert plan == json.loads(runner("plan", "films.exp", "--json", folder=finished).stdout)
    used = json.loads((run / "schedule.json").read_text())["stages"][0]
    schedule = plan["stages"][0]["schedule"]
    assert len(schedule["momentum"]) == plan["stages"][0]["steps"] == len(schedule["lr"][0])
    assert used["momentum"] == schedule["momentum"]
    assert used["lr"] == schedule["lr"]


@pytest.mark.run
def test_the_resolved_spec_alone_reproduces_the_run(finished: Path, tmp_path: Path) -> None:
    run = finished / "runs" / "films-1"
    (tmp_path / "again.exp").write_text((run / "resolved.exp").read_text())
    assert runner("run", "again.exp", folder=tmp_path).returncode == 0
    again = tmp_path / "runs" / "films-1"
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


@pytest.mark.run
def test_evaluate_agrees_with_the_run(finished: Path) -> None:
    run = finished / "runs" / "films-1"
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    answer = json.loads(runner("evaluate", "films-1", "--json", folder=finished).stdout)
    assert (answer["run"], answer["part"]) == ("films-1", "valid")
    assert answer["loss"] == pytest.approx(last["valid_loss"], rel=1e-6)
    assert answer["metrics"]["rmse"] == pytest.approx(answer["loss"] ** 0.5, rel=1e-6)


@pytest.mark.run
def test_predict_pairs(finished: Path) -> None:
    answer = json.loads(runner("predict", "films", "1:2", "nobody:2", "--json", folder=finished).stdout)
    known, unknown = answer["predictions"]
    assert (known["user"], known["item"]) == ("1", "2") and "unknown" not in known
    assert unknown["unknown"] == ["user"] and isinstance(unknown["value"], float)
    shown = runner("predict", "films", "nobody:2", folder=finished).stdout
    assert shown == f"nobody 2: {unknown['value']:.4f} (unknown user: the mean of the known)\n"


@pytest.mark.run
def test_a_moved_run_still_predicts(finished: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(finished / "runs" / "films-1", tmp_path / "elsewhere")
    done = runner("predict", str(tmp_path / "elsewhere"), "1:2", folder=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("1 2: ")


@pytest.mark.run
def test_runs_ls_show_compare_and_rm(finished: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(finished / "runs", tmp_path / "runs")
    assert "films-1  finished" in runner("runs", "ls", folder=tmp_path).stdout
    assert "train" in runner("runs", "show", "films-1", folder=tmp_path).stdout
    assert "valid_loss" in runner("runs", "compare", "films-1", "films-1", folder=tmp_path).stdout
    assert runner("runs", "rm", "films-1", "--yes", folder=tmp_path).returncode == 0
    assert runner("runs", "ls", folder=tmp_path).stdout == "no runs in runs\n"


@pytest.mark.run
def test_seed_and_device_options(finished: Path) -> None:
    one, two = (
        runner("run", "films.exp", "--seed", seed, "--device", "cpu", "--json", folder=finished) for seed in "12"
    )
    runs = [json.loads(done.stdout)["runs"][0] for done in (one, two)]
    losses = {run["stages"][-1]["valid_loss"] for run in runs}
    assert len(losses) == 2
    assert "seed 1\n" in (finished / runs[0]["path"] / "resolved.exp").read_text()


def test_new_writes_specs_that_check(tmp_path: Path) -> None:
    for kind in ("images", "digits", "ratings"):
        assert runner("new", f"my-{kind}", "--kind", kind, folder=tmp_path).returncode == 0
        assert runner("check", f"my-{kind}.exp", folder=tmp_path).returncode == 0
    again = runner("new", "my-digits.exp", folder=tmp_path)
    assert again.returncode == 2 and "there already" in again.stderr
    assert runner("new", "not a name", folder=tmp_path).returncode == 2


def test_show_plugins_schema_and_doctor(tmp_path: Path) -> None:
    shown = runner("show", "adam", folder=tmp_path).stdout
    assert "betas" in shown and "≥ 0" in shown and "dotexp_optimizers" in shown and "weight decay" in shown
    listed = json.loads(runner("plugins", "--json", folder=tmp_path).stdout)["plugins"]
    assert {"dotexp_vision", "dotexp_collab"} <= {plugin["name"] for plugin in listed}
    assert all(plugin["status"] == "ok" and plugin["version"] for plugin in listed)
    schema = json.loads(runner("schema", folder=tmp_path).stdout)["kinds"]
    assert schema["optimizer"]["adam"]["properties"]["wd"]["minimum"] == 0
    checks = json.loads(runner("doctor", "--json", folder=tmp_path).stdout)
    assert checks["ok"] is True


def test_help_lists_every_command_and_each_has_its_own(tmp_path: Path) -> None:
    listed = runner("--help", folder=tmp_path).stdout
    for name, (_, text) in COMMANDS.items():
        assert name in listed and text in listed


@pytest.mark.parametrize("spec", sorted(path.name for path in (REPOSITORY / "specs").glob("*.exp")))
def test_every_bundled_spec_is_fine(spec: str) -> None:
    done = runner("check", f"specs/{spec}", folder=REPOSITORY)
    warned = [line for line in done.stdout.splitlines() if line.startswith("warning")]
    assert done.returncode == 0, done.stdout
    assert [line for line in warned if "W510" not in line] == []  # data and weights that are not shipped


def test_the_gallery_is_not_empty() -> None:
    assert len(list((REPOSITORY / "specs").glob("*.exp"))) >= 4


def test_diagnostics_about_data_point_into_the_spec(tmp_path: Path) -> None:
    cases = {
        'data ratings("missing.csv")': ("E401", "missing.csv"),
        "data latent_ratings(users = 20, items = 20, batch_size = 4096)": ("E403", "batch_size = 4096"),
    }
    for data, (code, _) in cases.items():
        done = runner("plan", "-", folder=tmp_path, text=RATINGS.replace("data latent_ratings", data))
        assert done.returncode == 2 and f"error[{code}]" in done.stderr and "<stdin>:3:" in done.stderr
    narrow = RATINGS.replace("factors = 4", "factors = 4, y_range = 1..2")
    done = runner("plan", "-", folder=tmp_path, text=narrow)
    assert done.returncode == 2 and "error[E404]" in done.stderr and "<stdin>:4:" in done.stderr


@pytest.mark.run
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    text = QUICK.replace("lr = 5e-3", "lr = 1e4").replace("loss mse", "loss mse\noptimizer sgd(wd = 100)")
    (tmp_path / "films.exp").write_text(text)
    done = runner("run", "films.exp", folder=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "stage `train`" in done.stderr and "step" in done.stderr and "learning rate" in done.stderr
    assert json.loads((tmp_path / "runs/films-1/result.json").read_text())["status"] == "failed"


@pytest.mark.process
def test_the_installed_command_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dotexp.cli", "check", "-"]
    done = subprocess.run(command, cwd=tmp_path, input=b"experiment x", capture_output=True, check=False)
    assert done.returncode == 2 and b"error[E201]" in done.stdout and done.stderr == b""
