"""`explain`: a setting's value, what it means, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dotexp.components.registry import load_registry
from dotexp.experiment.checking import load
from dotexp.experiment.settings import Setting, settings_of
from paths import REPOSITORY
from spec_runner import Done, runner

BASE = """\
experiment a
data digits(classes = 0..4, size = 16)
model { body resnet18(weights = none) head mlp }
loss cross_entropy
optimizer adam(wd = 0.1)
"""

SPEC = """\
extends "base.exp"
param passes = 2
param rates = slice(1e-5, top)
param top = 1e-3
data(batch_size = 16)
metrics accuracy, f1
stage head { freeze body fit one_cycle(passes, lr = rates) }
stage other {
  optimizer(eps = 1e-6)
  fit flat(epochs = 3, lr = 1e-4)
}
stages fine_tune(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.exp").write_text(BASE)
    (tmp_path / "a.exp").write_text(SPEC)
    return tmp_path


def explain(folder: Path, *arguments: str) -> Done:
    return runner("explain", "a.exp", *arguments, folder=folder)


def row(folder: Path, path: str, *arguments: str) -> dict[str, Any]:
    answer = json.loads(explain(folder, path, "--json", *arguments).stdout)
    assert answer["format_version"] == 1 and answer["settings"][0]["path"] == path
    found: dict[str, Any] = answer["settings"][0]
    return found


def test_a_parameter_is_explained(folder: Path) -> None:
    done = explain(folder, "stage.other.fit.epochs")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "stage.other.fit.epochs = 3",
        "  comes from    a.exp:10:21: 3",
        "  what it is    passes over the training set",
        "  takes         a whole number; ≥ 1, ≤ 100000",
        "  default       none: it must be given",
        "  parameter of  policy flat, plugin dotexp_optimizers (dotexp 0.1.0)",
    ]


def test_the_chain_of_params_is_told_with_each_value(folder: Path) -> None:
    said = explain(folder, "stage.head.fit.lr").stdout
    assert "stage.head.fit.lr = slice(first = 1e-05, second = 0.001)" in said
    assert "a.exp:7:53: rates" in said
    assert "param rates = slice(1e-5, top), at a.exp:3:1" in said and "param top = 1e-3, at a.exp:4:1" in said
    assert (
        "--set top=0.01, in place of the param at a.exp:4:1"
        in explain(folder, "stage.head.fit.lr", "--set", "top=0.01").stdout
    )
    assert "used by     rates, stage.head.fit.lr, stage.head.fit.lr.second" in explain(folder, "top").stdout


@pytest.mark.parametrize(
    ("path", "value", "origin"),
    [
        ("seed", 42, ("default", None, None)),
        ("experiment", "a", ("base", "base.exp", 1)),
        ("data", None, ("base", "base.exp", 2)),
        ("data.size", 16, ("base", "base.exp", 2)),
        ("data.batch_size", 16, ("spec", "a.exp", 5)),
        ("data.stratify", False, ("default", None, None)),
        ("model.body.weights", None, ("base", "base.exp", 3)),
        ("optimizer.eps", 1e-5, ("default", None, None)),
        ("metrics", None, ("spec", "a.exp", 6)),
        ("metrics.1", None, ("spec", "a.exp", 6)),
        ("passes", 2, ("spec", "a.exp", 2)),
        ("stage.head.freeze", "freeze body", ("spec", "a.exp", 7)),
        ("stage.other.freeze", "unfreeze", ("default", None, None)),
        ("stage.head.optimizer.wd", 0.1, ("base", "base.exp", 5)),
        ("stage.other.optimizer.wd", 0.1, ("base", "base.exp", 5)),
        ("stage.other.optimizer.eps", 1e-6, ("spec", "a.exp", 9)),
        ("stage.fine_tune_all.fit.epochs", 3, ("stages", "a.exp", 12)),
        ("stage.fine_tune_all.fit.momentum", [0.95, 0.85, 0.95], ("default", None, None)),
        ("stages.epochs", 3, ("spec", "a.exp", 12)),
        ("runtime.threads", None, ("default", None, None)),
    ],
)
def test_where_a_value_comes_from(folder: Path, path: str, value: object, origin: tuple[object, ...]) -> None:
    found = row(folder, path)
    assert (found["origin"]["kind"], found["origin"]["file"], found["origin"]["line"]) == origin
    assert found["value"] == value or isinstance(found["value"], dict | list)


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("seed=3", "seed"), ("passes=4", "passes"), ("data.size=8", "data.size"),
        ("optimizer=adam(wd = 1)", "optimizer"), ("runtime.threads=2", "runtime.threads"), ("metrics=f1", "metrics"),
        ("model.head=linear", "model.head"), ("stage.head.fit.lr=0.1", "stage.head.fit.lr"),
        ("stage.other.freeze=body", "stage.other.freeze"), ("stages.epochs=9", "stages.epochs"),
        ("stage.fine_tune_all.fit.lr=1", "stage.fine_tune_all.fit.lr"),
    ],
)  # fmt: skip
def test_an_override_is_told(folder: Path, override: str, path: str) -> None:
    found = row(folder, path, "--set", override)
    assert (found["origin"]["kind"], found["origin"]["file"]) == ("set", f"--set {path}")
    assert f"--set {override}" in explain(folder, path, "--set", override).stdout


def test_what_a_stage_takes_from_outside_says_so(folder: Path) -> None:
    assert row(folder, "stage.head.optimizer.wd")["origin"]["outside"] == "optimizer.wd"
    assert "in force in this stage as outside it: optimizer.wd" in explain(folder, "stage.head.optimizer.wd").stdout
    assert row(folder, "stage.other.optimizer.wd")["origin"]["outside"] is None


def test_a_place_of_several_settings_lists_them(folder: Path) -> None:
    said = explain(folder, "stage.other.optimizer").stdout
    assert said.startswith("stage.other.optimizer = adam(wd = 0.1, eps = 1e-06)\n")
    assert "stage.other.optimizer.decay" in said and "default" in said
    said = explain(folder, "runtime").stdout
    assert said.startswith("path") and "runtime.workers" in said and "data" not in said.split()


def test_all_settings_leave_out_what_stages_take_from_outside(folder: Path) -> None:
    lines = explain(folder).stdout.splitlines()
    paths = [line.split()[0] for line in lines[1:]]
    assert "optimizer.wd" in paths and "stage.other.optimizer.eps" in paths
    assert not any(path.startswith("stage.head.optimizer") for path in paths)
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("stage.head.fit.epoch", "stage.head.fit.epochs"),
        ("optimiser.wd", "optimizer.wd"),
        ("fit.pct_start", "stage.head.fit.pct_start"),
        ("data.batchsize", "data.batch_size"),
        ("stage.hed.freeze", "stage.head.freeze"),
        ("metrics.2", "metrics.1"),
    ],
)
def test_a_path_that_does_not_exist_is_a_fault_with_what_was_meant(folder: Path, path: str, meant: str) -> None:
    done = explain(folder, path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"there is nothing at `{path}`" in done.stderr and f"`{meant}`" in done.stderr


def test_a_parameter_s_former_name_leads_to_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "dotexp.cli.explain.former_names", lambda field: ("old",) if field.description == "weight decay" else ()
    )
    for path in ("optimizer.wd", "stage.other.optimizer.wd"):
        assert explain(folder, path.replace("wd", "old")).stdout == explain(folder, path).stdout


def test_a_spec_with_faults_is_diagnosed(folder: Path) -> None:
    (folder / "a.exp").write_text(SPEC.replace("flat(", "flatt("))
    done = explain(folder, "seed")
    assert done.returncode == 2 and done.stdout == "" and "error[E203]" in done.stderr


def every(spec: Path) -> tuple[Setting, ...]:
    registry = load_registry()
    return settings_of(load(spec, registry=registry, weights=False), registry)


@pytest.mark.parametrize("spec", sorted((REPOSITORY / "specs").glob("*.exp")), ids=lambda path: path.stem)
def test_every_setting_has_a_text_and_says_what_it_is(spec: Path) -> None:
    settings = every(spec)
    assert len({setting.path for setting in settings}) == len(settings)
    for setting in settings:
        assert setting.help and setting.text, setting.path


def test_every_path_but_those_of_items_takes_an_override(folder: Path) -> None:
    """Whatever `explain` lists, `--set` takes with the value that it shows."""
    names = ("experiment", "model.groups", "stages")
    for setting in every(folder / "a.exp"):
        parts = setting.path.split(".")
        if parts[0] in names[:1] or setting.path in names or any(part.isdigit() for part in parts):
            continue
        text = setting.text.removeprefix("freeze ")
        done = runner("check", "a.exp", "--set", f"{setting.path}={text}", folder=folder)
        assert done.returncode == 0, (setting.path, done.stdout)
