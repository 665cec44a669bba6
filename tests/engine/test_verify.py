"""`verify`: a run done again, and what is said where it is not the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from dotexp import UsageError
from dotexp.cli import call
from dotexp.engine.build.weights import load_weights, save_weights
from dotexp.engine.executor import execute
from dotexp.engine.verification import compare, verify_run
from dotexp.runs.folder import RunFolder, create_run
from kills import IMAGES, write_images
from toys import plan, stage


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished toy run."""
    folder = create_run("toy", tmp_path)
    execute(plan(stage(), stage("more")), folder)
    return folder


@pytest.mark.run
def test_a_run_done_again_is_the_same_and_is_left_alone(run: RunFolder) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    found = verify_run(plan(stage(), stage("more")), run, {})
    assert (found.differences, found.changes) == ((), ())
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


@pytest.mark.run
def test_a_run_with_another_seed_is_not(run: RunFolder) -> None:
    found = verify_run(plan(stage(), stage("more"), seed=7), run, {})
    assert any(line.startswith("model.safetensors: `body.0.0.bias` differs by at most") for line in found.differences)
    assert any("metrics.jsonl: stage train, epoch 1: train_loss" in line for line in found.differences)
    assert not any("schedule" in line for line in found.differences)


@pytest.mark.run
def test_versions_that_changed_are_told(run: RunFolder) -> None:
    facts = json.loads(run.environment.read_text())
    facts["versions"]["torch"] = "1.0"
    run.environment.write_text(json.dumps(facts))
    found = verify_run(plan(stage(), stage("more")), run, {})
    assert found.differences == ()
    assert found.changes == (f"version of torch: now {torch.__version__}, was 1.0",)


@pytest.mark.run
def test_every_difference_is_named(run: RunFolder, tmp_path: Path) -> None:
    other = create_run("toy", tmp_path)
    execute(plan(stage(), stage("more")), other)
    assert compare(run, other) == ()
    tensors = load_weights(run.model)
    tensors["head.3.bias"] = tensors["head.3.bias"] + 0.5
    tensors["head.3.weight"] = -tensors.pop("head.3.weight").zero_()
    tensors["body.0.0.bias"] = tensors["body.0.0.bias"].double()
    tensors["extra"] = torch.zeros(1)
    save_weights(tensors, run.model)
    lines = run.metrics.read_text().splitlines()
    run.metrics.write_text("\n".join([lines[0].replace('"valid_loss": ', '"valid_loss": 1'), *lines[1:3]]) + "\n")
    schedule = json.loads(run.schedule.read_text())
    schedule["stages"][1]["momentum"][3] = 0.5
    run.schedule.write_text(json.dumps(schedule))
    found = "\n".join(compare(run, other))
    assert "only one of them has `extra`" in found
    assert "`head.3.bias` differs by at most 0.5" in found
    assert "`body.0.0.bias` is torch.float64 (4,), and again torch.float32" in found
    assert "metrics.jsonl: 3 epochs, and again 4" in found
    assert "stage train, epoch 1: valid_loss 1" in found
    assert "schedule.json: stage more: momentum differs" in found


@pytest.mark.run
def test_a_zero_of_the_other_sign_is_another_bit(run: RunFolder, tmp_path: Path) -> None:
    other = create_run("toy", tmp_path)
    execute(plan(stage(), stage("more")), other)
    tensors = load_weights(run.model) | {"head.3.bias": torch.zeros(3)}
    save_weights(tensors, run.model)
    save_weights(tensors | {"head.3.bias": -torch.zeros(3)}, other.model)
    assert compare(run, other) == ("model.safetensors: `head.3.bias` differs by at most 0",)


def test_only_a_finished_run_can_be_verified(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is unfinished: only a finished run"):
        verify_run(plan(stage()), create_run("toy", tmp_path), {})


@pytest.mark.run
@pytest.mark.process
def test_the_command_says_so_and_data_workers_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made with one data worker, done again with two."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, 1)
    (tmp_path / "killed.exp").write_text(IMAGES.format(folder=tmp_path / "pictures", workers=1))
    assert call(["run", "killed.exp"]) == 0
    run = RunFolder(tmp_path / "runs" / "killed-1")
    run.resolved.write_text(run.resolved.read_text().replace("workers = 1", "workers = 2"))
    assert call(["resume", "killed-1"]) == 0
    assert "is finished: nothing is left to do" in capsys.readouterr().err
    assert call(["verify", "killed-1"]) == 0
    assert "every weight, metric and learning rate is the same, bit for bit" in capsys.readouterr().out
    run.resolved.write_text(run.resolved.read_text().replace("seed 42", "seed 43"))
    assert call(["verify", "killed-1", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["format_version"] == 1
    assert answer["same"] is False
    assert answer["differences"]
