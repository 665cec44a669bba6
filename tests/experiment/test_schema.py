"""`schema` prints JSON Schema that the JSON form of every spec meets, and that says what it was made of."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dotexp import Component, Params
from dotexp.components.registry import Provider, Registry, load_registry
from dotexp.experiment.json import as_json
from dotexp.experiment.schema import registry_schema
from dotexp.version import __version__
from fuzz_inputs import experiment
from jsonschema import Draft202012Validator
from paths import REPOSITORY
from pydantic import Field
from spec_runner import runner

from specs import IMAGES, RATINGS, checked, resolved


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(json.dumps(registry_schema(load_registry())))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_it_says_what_it_was_made_of(tmp_path: Path) -> None:
    schema = json.loads(runner("schema", folder=tmp_path).stdout)
    assert (schema["format_version"], schema["language"], schema["dotexp"]) == (1, 1, __version__)
    assert schema["plugins"]["dotexp_vision"] and schema["$schema"].startswith("https://json-schema.org/")
    assert schema["kinds"]["optimizer"]["adam"]["properties"]["wd"]["minimum"] == 0


@pytest.mark.parametrize("spec", sorted((REPOSITORY / "specs").glob("*.exp")), ids=lambda path: path.stem)
def test_the_bundled_specs_meet_it(spec: Path, validator: Draft202012Validator, tmp_path: Path) -> None:
    validator.validate(json.loads(runner("resolve", "--json", str(spec), folder=tmp_path).stdout))


def test_generated_specs_meet_it(validator: Draft202012Validator) -> None:
    met = 0
    for seed in range(150):
        found, _ = checked(experiment(Random(seed)).data.decode("utf-8", "replace"))
        if found is not None:
            validator.validate(json.loads(json.dumps(as_json(found.experiment))))
            met += 1
    assert met > 30


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("seed",), -1),
        (("optimizer", "name"), "adm"),
        (("optimizer", "params", "wd"), -1),
        (("optimizer", "params", "wd"), "much"),
        (("optimizer", "params", "decay"), "never"),
        (("optimizer", "params", "wdd"), 1),
        (("metrics",), "accuracy"),
        (("metrics",), ["acuracy"]),
        (("model", "hed"), "mlp"),
        (("stages", 0, "fit", "params", "epochs"), 0.5),
        (("stages", 0, "freeze"), 3),
        (("runtime", "threads"), 0),
        (("losss",), "mse"),
        (("format_version",), 2),
    ],
)
def test_what_check_refuses_does_not_meet_it(
    place: tuple[str | int, ...], value: object, validator: Draft202012Validator
) -> None:
    form: Any = json.loads(json.dumps(as_json(resolved(IMAGES).experiment)))
    inner = form
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert checked(json.dumps(form))[0] is None
    assert not validator.is_valid(form)


@pytest.mark.parametrize("key", ["experiment", "data", "model", "loss", "stages"])
def test_what_a_spec_needs_is_required(key: str, validator: Draft202012Validator) -> None:
    form = json.loads(json.dumps(as_json(resolved(RATINGS).experiment)))
    form.pop(key)
    assert checked(json.dumps(form))[0] is None
    assert not validator.is_valid(form)


def test_every_reference_leads_somewhere(validator: Draft202012Validator) -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for value in node.values() for each in references(value)]
        return [each for value in node for each in references(value)] if isinstance(node, list) else []

    found = set(references(validator.schema))
    assert len(found) > 50
    for reference in found:
        node: Any = validator.schema
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def test_a_plugin_s_component_is_in_it() -> None:
    class LionParams(Params):
        """Lion."""

        beta: float = Field(0.9, ge=0, lt=1, description="beta")

    offered = (Component("optimizer", "lion", LionParams, "toys:build", provider="toys"),)
    schema = registry_schema(Registry((*load_registry().providers, Provider("toys", offered))))
    form = json.loads(json.dumps(as_json(resolved(IMAGES).experiment)))
    form["optimizer"] = {"name": "lion", "params": {"beta": 0.5}}
    assert Draft202012Validator(schema).is_valid(form)
    form["optimizer"]["params"]["beta"] = 1
    assert not Draft202012Validator(schema).is_valid(form)
