"""The JSON form of a spec: what `resolve --json` prints is taken wherever a spec is."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dotexp.experiment.json import as_json
from dotexp.language.parser import parse
from dotexp.language.source import source_from_text
from fuzz_inputs import damage, experiment
from fuzzing import sound
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import REPOSITORY
from spec_runner import runner

from specs import IMAGES, RATINGS, checked, faults, resolved


def form(text: str, **changes: Any) -> str:
    """A spec's JSON form, with other values under some keys; None leaves a key out."""
    value = {**as_json(resolved(text).experiment), **changes}
    return json.dumps({key: each for key, each in value.items() if each is not None}, indent=1)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_the_json_form_resolves_to_the_same_experiment(seed: int) -> None:
    found, _ = checked(experiment(Random(seed)).data.decode("utf-8", "replace"))
    if found is None:
        return
    written = as_json(found.experiment)
    for text in (json.dumps(written), json.dumps(written, indent="\t")):
        assert as_json(resolved(text).experiment) == written


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_damaged_json_gives_diagnostics_and_nothing_else(seed: int) -> None:
    random = Random(seed)
    text = damage(form(random.choice((IMAGES, RATINGS))).encode(), random).decode("utf-8", "replace")
    found, diagnostics = checked(text)
    sound(diagnostics)
    assert (found is None) == any(each.code[0] == "E" for each in diagnostics)


KEYS = ("experiment", "data", "name", "params", "model", "stages", "freeze", "body", "groups", "layers", "x")
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(value=ANY)
def test_any_json_gives_diagnostics_and_nothing_else(value: Any) -> None:
    _, diagnostics = checked(json.dumps({"experiment": "a", **(value if isinstance(value, dict) else {"data": value})}))
    sound(diagnostics)


@pytest.mark.parametrize("spec", sorted((REPOSITORY / "specs").glob("*.exp")), ids=lambda path: path.stem)
def test_every_command_takes_the_json_form(spec: Path, tmp_path: Path) -> None:
    text = runner("resolve", "--json", str(spec), folder=tmp_path).stdout
    (tmp_path / "spec.json").write_text(text)
    assert runner("check", "spec.json", folder=tmp_path).returncode == 0
    assert runner("diff", str(spec), "spec.json", folder=tmp_path).returncode == 0
    assert runner("resolve", "--json", "-", folder=tmp_path, text=text).stdout == text
    assert runner("resolve", "spec.json", folder=tmp_path).stdout.startswith("dotexp 1\nexperiment ")
    assert runner("explain", "spec.json", "optimizer.wd", folder=tmp_path).returncode == 0


def test_json_is_a_base_and_takes_overrides(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(form(IMAGES))
    (tmp_path / "a.exp").write_text('extends "base.json"\noptimizer(wd = 0.5)\n')
    found = json.loads(runner("resolve", "--json", "a.exp", "--set", "seed=3", folder=tmp_path).stdout)
    assert found["optimizer"]["params"]["wd"] == 0.5 and found["seed"] == 3 and len(found["stages"]) == 2


def test_what_is_left_out_has_its_default() -> None:
    short = {
        "experiment": "a",
        "data": {"name": "image_folder", "params": {"path": "/x", "augment": ["flip", {"name": "rotate"}]}},
        "model": {"body": {"name": "resnet18", "params": {"weights": None}}, "head": "mlp"},
        "loss": "cross_entropy",
        "optimizer": {"name": "adam", "params": {"decay": "in_loss"}},
        "metrics": ["accuracy"],
        "stages": [{"name": "s", "freeze": "body", "fit": {"name": "flat", "params": {"epochs": 1, "lr": 1e-3}}}],
    }
    text = (
        'experiment a data image_folder("/x", augment = [flip, rotate]) model { body resnet18(weights = none) head mlp'
        " }"
        " loss cross_entropy optimizer adam(decay = in_loss) metrics accuracy"
        " stage s { freeze body fit flat(1, lr = 1e-3) }"
    )
    assert as_json(resolved(json.dumps(short)).experiment) == as_json(resolved(text).experiment)


def test_what_is_printed_holds_no_control_and_is_taken(tmp_path: Path) -> None:
    text = IMAGES.replace("experiment photos", 'experiment photos "\\u202e\\ufffe\\u0085é"')
    printed = runner("resolve", "--json", "-", folder=tmp_path, text=text).stdout
    assert "\\u202e\\ufffe\\u0085é" in printed
    assert runner("resolve", "--json", "-", folder=tmp_path, text=printed).stdout == printed


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = json.loads(form(RATINGS))
    found["data"] = {"name": "ratings", "params": {"path": "u.data"}}
    found["stages"][0].pop("data")
    data = as_json(resolved(json.dumps(found), folder=tmp_path).experiment)["data"]
    assert data["name"] == "ratings" and data["params"]["path"] == str(tmp_path / "u.data")


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("{", "E103", ""),
        ("{}", "E201", ""),
        ('{"experiment": "a",}', "E103", "}"),
        ('{"experiment" "a"}', "E103", '"'),
        ('{"experiment": nothing}', "E103", "n"),
        ('{"experiment": "a"} more', "E103", "m"),
        ('{"experiment": "a', "E106", '"'),
        ('{"experiment": "a\\q"}', "E106", '"a\\q"'),
        ('{"experiment": "\\u0000"}', "E106", '"\\u0000"'),
        ('{"experiment": "\\ud800"}', "E106", '"\\ud800"'),
        ('{"experiment": NaN}', "E103", "N"),
        ('{"seed": 01}', "E103", "0"),
        ('{"seed": 1e999}', "E105", "1e999"),
        (f'{{"seed": {"9" * 401}}}', "E107", "9" * 401),
        ('{"seed": ' + "[" * 65, "E107", "["),
        ('{"experiment": "a", "experiment": "b"}', "E202", '"experiment"'),
        ('{"optimiser": "adam"}', "E109", '"optimiser"'),
        ('{"experiment": "a b"}', "E108", '"a b"'),
        ('{"experiment": 3}', "E108", "3"),
        ('{"format_version": 2}', "E103", "2"),
        ('{"optimizer": 3}', "E206", "3"),
        ('{"optimizer": {"nmae": "adam"}}', "E206", '{"nmae": "adam"}'),
        ('{"optimizer": "adm"}', "E203", '"adm"'),
        ('{"optimizer": {"name": "adam", "params": {"wdd": 1}}}', "E204", '"wdd"'),
        ('{"optimizer": {"name": "adam", "params": {"wd": "much"}}}', "E206", '"much"'),
        ('{"optimizer": {"name": "adam", "params": {"wd": -1}}}', "E207", "-1"),
        ('{"optimizer": {"name": "adam", "params": {"decay": "never"}}}', "E208", '"never"'),
        ('{"metrics": "accuracy"}', "E206", '"accuracy"'),
        ('{"metrics": ["acuracy"]}', "E203", '"acuracy"'),
        ('{"model": {"body": "resnet18", "hed": "mlp"}}', "E109", '"hed"'),
        ('{"stages": [{"fit": "flat"}]}', "E201", '{"fit": "flat"}'),
        ('{"stages": [{"name": "a", "freeze": "before"}]}', "E103", '"before"'),
        ('{"runtime": {"threads": 0}}', "E207", "0"),
        ('{"runtime": []}', "E206", "[]"),
    ],
)
def test_faults_stand_at_their_place(text: str, code: str, place: str) -> None:
    assert (code, place) in faults(text)


def test_several_faults_come_in_one_pass() -> None:
    text = form(IMAGES, optimizer="adm", metrics=["acuracy"], losss="x", seed=-1)
    assert {code for code, _ in faults(text)} >= {"E203", "E109", "E207"}
    assert len([code for code, _ in faults(text) if code == "E203"]) == 2


def test_only_text_is_formatted_and_edited(tmp_path: Path) -> None:
    text = form(IMAGES)
    (tmp_path / "a.json").write_text(text)
    for command in ("fmt", "upgrade"):
        done = runner(command, "a.json", folder=tmp_path)
        assert done.returncode == 2 and "is JSON" in done.stderr
    assert (tmp_path / "a.json").read_text() == text


def test_text_is_text() -> None:
    assert not source_from_text("# {\nseed 1").is_json and source_from_text("\ufeff\n {").is_json
    assert parse(source_from_text("seed 1")).statements
