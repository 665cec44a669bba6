"""A plugin's data with inputs of its own names: asked from Python, and exported."""

from __future__ import annotations

import inspect
from pathlib import Path

import dotexp
import numpy as np
import pytest
from dotexp import (
    Component,
    DataParams,
    DataSignature,
    InputForm,
    LayerGroup,
    ModelFacts,
    Params,
    Query,
    QueryOption,
)
from dotexp.components.registry import Registry, load_registry
from pydantic import Field
from strangers import plugin, registry_of, registry_offering


class DrugsParams(DataParams):
    """How strongly drugs bind to proteins."""

    batch_size: int = Field(8, ge=1, le=64, description="pairs in a batch")


class AffinityParams(Params):
    """A number for each drug and each protein."""


FORM = InputForm(
    "binding_toys:encoder", ("drugs", "proteins"), "DRUG+PROTEIN complexes", "d1+p1", {"drug": "d1", "protein": "p1"},
    "complexes",
)  # fmt: skip
MOST = QueryOption("most", "how many", int, 2, (1, 50), counts_rows=True)
BINDS = Query(
    "binds-to", "binding_toys:binds_to", "drugs that bind to this protein", "PROTEIN", asks="protein", rows="drugs",
    options=(MOST,), function="drugs_for", vocabulary="proteins",
)  # fmt: skip
DATA = Component(
    "data", "drugs", DrugsParams, "binding_toys:build_data", DataSignature("regression", "drugs and proteins"),
    inputs=FORM, queries=(BINDS,),
)  # fmt: skip
_FACTS = ModelFacts("drugs and proteins", layers=("all",), groups=(LayerGroup("all", ("all",)),))
MODEL = Component("model", "affinity", AffinityParams, "binding_toys:build_model", _FACTS)
SPEC = """
experiment drugs
data drugs
model affinity
loss mse
runtime(threads = 1)
stage all { fit one_cycle(epochs = 1, lr = 1e-2) }
"""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = registry_offering(DATA, MODEL)
    for home in ("commands.queries", "export.predictor", "cli.predict", "experiment.checking", "commands.workspace"):
        monkeypatch.setattr(f"dotexp.{home}.load_registry", lambda: made)
    return made


@pytest.mark.run
def test_a_plugins_own_two_inputs_keep_their_names(registry: Registry, tmp_path: Path) -> None:
    import onnxruntime
    from dotexp.export.formats import Format

    (tmp_path / "drugs.exp").write_text(SPEC)
    work = dotexp.Workspace(tmp_path / "runs")
    work.registry = registry
    run = work.run(tmp_path / "drugs.exp", report=False)
    expected = [row.value for row in work.predict(run, ["d1+p2", "d0+p1"])]

    exported = work.export(run, Format.onnx, tmp_path / "d.onnx")
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["drugs", "proteins"]
    (answer,) = session.run(None, {"drugs": np.array([1, 0]), "proteins": np.array([2, 1])})
    assert answer.tolist() == pytest.approx(expected, abs=1e-6)
    work.export(run, Format.bundle, tmp_path / "bundle")
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "spec-runner predict FOLDER d1+p1" in card and "As a body" not in card

    best = dotexp.ask(run, "binds-to", "p1", most=3)
    assert len(best) == 3
    assert dotexp.drugs_for(run, "p1", most=1) == best[:1]
    assert list(inspect.signature(dotexp.drugs_for).parameters) == ["run", "protein", "most", "runs", "device"]


def test_the_help_of_predict_says_what_installed_data_takes(registry: Registry) -> None:
    from click.testing import CliRunner
    from dotexp.cli.predict import command

    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "for USER:ITEM pairs or files of them, for image files or folders" in text
    assert "for DRUG+PROTEIN complexes" in text


def test_functions_of_queries_are_the_packages_and_unknown_names_are_none() -> None:
    assert callable(dotexp.similar_items)
    assert list(inspect.signature(dotexp.recommend).parameters) == [
        "run", "user", "top", "seen", "set", "runs", "device",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="user"):
        dotexp.recommend("films")
    with pytest.raises(AttributeError, match="has no attribute 'recommended'"):
        dotexp.recommended  # noqa: B018


@pytest.mark.parametrize("inputs", ["module", InputForm("no_colon"), 3])
def test_inputs_of_another_form_are_refused(inputs: object) -> None:
    wrong = DATA.replace(inputs=inputs)
    found = registry_of(plugin("acme", dotexp_components=lambda: [wrong]))
    (own,) = (each for each in found.providers if each.name == "acme")
    assert own.error is not None and "inputs is an InputForm whose encoder is" in own.error
    assert load_registry().input_forms()
