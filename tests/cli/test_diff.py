"""`diff`: what differs between two specs or runs, what it does, and where they diverge."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dotexp.components.params import effect_of
from dotexp.components.registry import load_registry
from dotexp.experiment.differences import Comparison, compare
from dotexp.experiment.experiment import Experiment, Runtime
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.settings import Setting, settings_of
from dotexp.experiment.text import as_text
from dotexp.language.effects import Effect
from fuzz_inputs import experiment
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import REPOSITORY
from spec_runner import QUICK, Done, runner

from specs import checked, resolved

SPEC = """\
experiment a "first"
seed 7
param rate = 3e-3
data digits(classes = 0..4, size = 16)
model {
  body resnet18(weights = none)
  head mlp
}
loss cross_entropy
optimizer adam(wd = 0.01)
metrics accuracy, f1
callbacks clip(1.0)
stage head {
  freeze body
  fit one_cycle(epochs = 1, lr = rate)
}
stage everything {
  optimizer sgd
  fit one_cycle(epochs = 2, lr = slice(1e-5, 1e-3))
}
"""


def diff(folder: Path, changed: str, *options: str, spec: str = SPEC) -> Done:
    (folder / "a.exp").write_text(spec)
    (folder / "b.exp").write_text(changed)
    return runner("diff", *options, "a.exp", "b.exp", folder=folder)


def answer(folder: Path, changed: str, spec: str = SPEC) -> dict[str, Any]:
    done = diff(folder, changed, "--json", spec=spec)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["format_version"] == 1 and done.returncode == (0 if found["same"] else 1)
    assert found["same"] is not bool(found["differences"])
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed 7\n", "# why\nseed   7 # and why\n"),
        ("param rate = 3e-3\n", "param other = 0.003\n"),
        ("adam(wd = 0.01)", "adam(eps = 1e-5, wd = 0.0100)"),
        ("resnet18(weights = none)", "vision.resnet18(weights = none)"),
        ("metrics accuracy, f1", "metrics f1, accuracy"),
        ("freeze body", "freeze stem..layer4"),
        ("freeze body", "freeze layer4, stem..layer3"),
        ("sgd\n", "sgd(wd = 0.01)\n"),
        ("loss cross_entropy\n", ""),
        ("  head mlp\n", "  head mlp\n  groups early [stem..layer2], late [layer3, layer4], head [head]\n"),
        ("fit one_cycle(epochs = 1, lr = rate)", "data(size = 16)\n  fit one_cycle(1, rate)"),
    ],
)
def test_what_means_the_same_is_no_difference(tmp_path: Path, old: str, new: str) -> None:
    changed = SPEC.replace(old, new).replace("lr = rate", "lr = other" if "other" in new else "lr = rate")
    changed += "loss cross_entropy\n" if not new else ""
    done = diff(tmp_path, changed)
    assert (done.returncode, done.stdout) == (0, "a.exp and b.exp: no difference\n")


@pytest.mark.parametrize(
    ("old", "new", "path", "before", "after", "effect", "diverges"),
    [
        ("seed 7", "seed 8", "seed", "7", "8", "weights", "head"),
        ("wd = 0.01", "wd = 0.1", "optimizer.wd", "0.01", "0.1", "weights", "head"),
        ("1e-3)", "1e-2)", "stage.everything.fit.lr.second", "0.001", "0.01", "weights", "everything"),
        ("rate = 3e-3", "rate = 1", "stage.head.fit.lr", "0.003", "1.0", "weights", "head"),
        (
            "optimizer sgd", "optimizer adam(wd = 1)", "stage.everything.optimizer", "sgd", "adam(wd = 1.0)", "weights",
            "everything",
        ),
        ("head mlp", "head linear", "model.head", "mlp", "linear", "weights", "head"),
        ("size = 16", "size = 32", "data.size", "16", "32", "weights", "head"),
        ("freeze body", "freeze stem", "stage.head.freeze", "freeze body", "freeze stem", "weights", "head"),
        (
            "freeze body", "freeze body except norm", "stage.head.freeze", "freeze body", "freeze body except norm",
            "weights", "head",
        ),
        ("clip(1.0)", "clip(1.0), ema", "callbacks", "clip", "clip, ema", "weights", "head"),
        (
            "optimizer sgd", "optimizer sgd callbacks none", "stage.everything.callbacks", "clip", "none", "weights",
            "everything",
        ),
        ("metrics accuracy, f1", "metrics accuracy", "metrics", "accuracy, f1", "accuracy", "reporting", None),
        ("metrics", "report confusion_matrix metrics", "report", "none", "confusion_matrix", "reporting", None),
        ('"first"', '"second"', "experiment.description", '"first"', '"second"', "reporting", None),
        ("seed 7", "seed 7 runtime(workers = 2)", "runtime.workers", "0", "2", "speed", None),
        ("seed 7", "seed 7 runtime(keep_best = false)", "runtime.keep_best", "true", "false", "speed", None),
        ("seed 7", "seed 7 runtime(precision = bf16)", "runtime.precision", "f32", "bf16", "weights", "head"),
    ],
)  # fmt: skip
def test_a_difference_says_what_it_does_and_where_the_weights_diverge(
    tmp_path: Path, old: str, new: str, path: str, before: str, after: str, effect: str, diverges: str | None
) -> None:
    found = answer(tmp_path, SPEC.replace(old, new, 1))
    (only,) = found["differences"]
    assert (only["path"], only["before"], only["after"]) == (path, before, after)
    assert only["effect"] == effect and found["diverges"] == diverges


def test_a_name_and_a_description_are_two_differences(tmp_path: Path) -> None:
    found = answer(tmp_path, SPEC.replace('experiment a "first"', 'experiment b "second"'))
    assert [each["path"] for each in found["differences"]] == ["experiment", "experiment.description"]


def test_other_components_are_told_without_their_parameters(tmp_path: Path) -> None:
    changed = SPEC.replace("adam(wd = 0.01)", "rmsprop(momentum = 0.5)").replace("resnet18", "resnet34")
    found = answer(tmp_path, changed)
    assert [(each["path"], each["after"]) for each in found["differences"]] == [
        ("model.body", "resnet34(weights = none)"),
        ("optimizer", "rmsprop(momentum = 0.5)"),
    ]
    assert found["differences"][1]["places"] == [
        {"file": "a.exp", "line": 10, "column": 11},
        {"file": "b.exp", "line": 10, "column": 11},
    ]


def test_a_whole_model_and_one_of_parts_are_one_difference(tmp_path: Path) -> None:
    whole = QUICK.replace("films", "a")
    found = answer(tmp_path, whole)
    parts = {each["path"]: (each["before"], each["after"]) for each in found["differences"]}
    assert parts["model"] == ("resnet18(weights = none), mlp", "embedding_dot_bias(factors = 4)")
    assert not any(path.startswith("model.") for path in parts)
    back = answer(tmp_path, SPEC, whole)
    assert {each["path"]: (each["after"], each["before"]) for each in back["differences"]} == parts


def test_a_stage_of_one_experiment_is_one_difference(tmp_path: Path) -> None:
    found = answer(tmp_path, SPEC + "stage more { fit flat(1, lr = 1e-3) }\n")
    (only,) = found["differences"]
    assert (only["path"], only["before"], only["after"]) == ("stage.more", None, "flat(epochs = 1, lr = 0.001)")
    assert found["diverges"] == "more"


def test_the_order_of_stages_is_a_difference(tmp_path: Path) -> None:
    start = SPEC.index("stage head")
    middle = SPEC.index("stage everything")
    found = answer(tmp_path, SPEC[:start] + SPEC[middle:] + SPEC[start:middle])
    (only,) = found["differences"]
    assert (only["before"], only["after"]) == ("head, everything", "everything, head")
    assert found["diverges"] == "head"


def test_what_every_stage_replaces_changes_no_weights(tmp_path: Path) -> None:
    spec = SPEC.replace("freeze body", "freeze body optimizer rmsprop")
    found = answer(tmp_path, spec.replace("wd = 0.01", "wd = 0.1"), spec)
    (only,) = found["differences"]
    assert (only["effect"], only["note"], found["diverges"]) == ("reporting", "every stage replaces it", None)


def test_differences_are_grouped_by_what_they_do(tmp_path: Path) -> None:
    changed = SPEC.replace("1e-3)", "1e-2)").replace(", f1", "") + "runtime(threads = 2)\n"
    done = diff(tmp_path, changed)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        "a.exp → b.exp\n"
        "\nchanges the weights\n  stage.everything.fit.lr.second  0.001 → 0.01\n"
        "\nspeed only\n  runtime.threads  none → 2  (sums are rounded otherwise)\n"
        "\nreporting only\n  metrics  accuracy, f1 → accuracy\n"
        "\nthe weights are the same after stage `head`, and differ from stage `everything` on\n"
    )


def test_a_base_and_a_whole_file_that_say_the_same_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "base.exp").write_text(SPEC)
    resolved = runner("resolve", "base.exp", folder=tmp_path).stdout
    (tmp_path / "whole.exp").write_text(resolved)
    assert runner("diff", "base.exp", "whole.exp", folder=tmp_path).returncode == 0
    assert runner("diff", "-", "whole.exp", folder=tmp_path, text='extends "base.exp"').returncode == 0


def test_a_path_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    for name, path in (("a.exp", "u.data"), ("b.exp", f"{tmp_path}/specs/u.data"), ("c.exp", "../specs/./u.data")):
        text = (
            f'experiment a data ratings("{path}") model embedding_dot_bias loss mse stage s {{ fit flat(1, lr = 1) }}'
        )
        (tmp_path / "specs" / name).write_text(text)
    for name in ("b.exp", "c.exp"):
        done = runner("diff", "specs/a.exp", f"specs/{name}", folder=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"specs/a.exp and specs/{name}: no difference\n")


def test_a_stage_that_repeats_what_stands_outside_adds_no_difference(tmp_path: Path) -> None:
    changed = SPEC.replace("wd = 0.01", "wd = 0.1").replace("freeze body", "freeze body optimizer adam(wd = 0.1)")
    found = answer(tmp_path, changed)
    assert [each["path"] for each in found["differences"]] == ["optimizer.wd"]


def test_faults_exit_with_2(tmp_path: Path) -> None:
    done = diff(tmp_path, SPEC.replace("mlp", "mlpp"))
    assert done.returncode == 2 and done.stdout == "" and "error[E203]" in done.stderr
    assert runner("diff", "a.exp", "nowhere.exp", folder=tmp_path).returncode == 2
    done = runner("diff", "a.exp", "no-such-run", folder=tmp_path)
    assert done.returncode == 2 and "there is no run `no-such-run`" in done.stderr
    assert runner("diff", "-", "-", folder=tmp_path, text=SPEC).returncode == 2


@pytest.mark.parametrize("spec", sorted((REPOSITORY / "specs").glob("*.exp")), ids=lambda path: path.stem)
def test_no_bundled_spec_differs_from_itself(spec: Path, tmp_path: Path) -> None:
    assert runner("diff", str(spec), str(spec), folder=tmp_path).returncode == 0


def test_the_settings_that_change_no_weights_are_marked() -> None:
    """What may change the numbers of a run may not be called a matter of speed."""
    effects = {name: effect_of(field).effect for name, field in Runtime.model_fields.items()}
    assert {name for name, effect in effects.items() if effect is Effect.weights} == {"precision", "on_oom"}
    registry = load_registry()
    marked = {
        (component.name, name)
        for component in registry.components
        for name, field in component.params.model_fields.items()
        if effect_of(field).effect is not Effect.weights
    }
    assert {name for _, name in marked} == {"memory", "download"}
    assert ("ratings", "memory") not in marked  # columns that are mapped are shuffled otherwise


def side(found: Resolved) -> tuple[Experiment, tuple[Setting, ...]]:
    return found.experiment, settings_of(found, load_registry())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_any_two_experiments_differ_alike_both_ways_and_none_from_itself(seed: int) -> None:
    random = Random(seed)
    texts = (experiment(random).data.decode("utf-8", "replace") for _ in range(6))
    sound = [found for text in texts if (found := checked(text)[0])]
    for found in sound:
        again = resolved(as_text(found.experiment))
        assert compare(side(found), side(again)) == Comparison((), None)
    for one, other in pairwise(sound):
        there, back = compare(side(one), side(other)), compare(side(other), side(one))
        turned = {(each.path, each.after, each.before, each.effect) for each in back.differences}
        assert {(each.path, each.before, each.after, each.effect) for each in there.differences} == turned


@pytest.mark.run
def test_runs_are_compared_with_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.exp").write_text(QUICK.replace("loss mse", "loss mse\nmetrics rmse"))
    (tmp_path / "b.exp").write_text(QUICK.replace("loss mse", "loss mse\nmetrics rmse, mae").replace("5e-3", "1e-2"))
    assert runner("run", "a.exp", "a.exp", "b.exp", "--no-report", folder=tmp_path).returncode == 0
    done = runner("diff", "films-1", "films-2", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "films-1 and films-2: no difference\n")
    done = runner("diff", "films-1", "films-3", "--json", folder=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["conditions"] == []
    assert {each["path"]: each["effect"] for each in found["differences"]} == {
        "stage.train.fit.lr": "weights",
        "metrics": "reporting",
    }
    numbers = {each["number"]: each for each in found["numbers"]}
    assert set(numbers) == {"train_loss", "valid_loss", "rmse", "mae"}
    assert numbers["rmse"]["difference"] == pytest.approx(numbers["rmse"]["after"] - numbers["rmse"]["before"])
    assert numbers["mae"]["before"] is None and numbers["mae"]["difference"] is None
    text = runner("diff", "films-1", "films-3", folder=tmp_path).stdout
    assert "changes the weights" in text and "films-1" in text and "difference" in text
    assert runner("diff", "a.exp", "films-1", folder=tmp_path).returncode == 0

    environment = tmp_path / "runs" / "films-2" / "environment.json"
    facts = json.loads(environment.read_text())
    environment.write_text(json.dumps({**facts, "data_fingerprint": "other", "threads": 7}))
    done = runner("diff", "films-1", "films-2", "--json", folder=tmp_path)
    conditions = {each["name"]: each["effect"] for each in json.loads(done.stdout)["conditions"]}
    assert done.returncode == 1 and conditions == {"threads": "speed", "data fingerprint": "weights"}
