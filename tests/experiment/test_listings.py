"""`metrics`, `callbacks` and `report`: several components behind one keyword, `none` of them, and a stage's own."""

from __future__ import annotations

from typing import Annotated

import pytest
from dotexp import Component, Facts, Params, Positional
from dotexp.components.registry import Provider, Registry, load_registry
from dotexp.experiment.experiment import Experiment
from dotexp.experiment.json import as_json
from dotexp.experiment.text import as_text
from pydantic import Field

from specs import IMAGES, RATINGS, faults, resolved


class PatienceParams(Params):
    """Wait."""

    epochs: Annotated[int, Positional()] = Field(2, ge=1, le=100, description="epochs")


class PlainParams(Params):
    """Nothing to say."""


OFFERED = (
    Component("callback", "patience", PatienceParams, build="toys:build", provider="toys"),
    Component("callback", "mixing", PlainParams, "toys:build", Facts(tasks=("classification",)), provider="toys"),
    Component("report", "confusions", PlainParams, "toys:build", Facts(tasks=("classification",)), provider="toys"),
)
WITH = IMAGES + "callbacks patience(3), mixing\nreport confusions\n"


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins, and one of two callbacks and a report section."""
    return Registry((*load_registry().providers, Provider("toys", OFFERED)))


def named(experiment: Experiment, stage: int) -> list[str]:
    return [callback.name for callback in experiment.stages[stage].callbacks]


def test_every_stage_has_the_experiments_callbacks(registry: Registry) -> None:
    experiment = resolved(WITH, registry=registry).experiment
    assert [use.name for use in experiment.callbacks] == ["patience", "mixing"]
    assert experiment.callbacks[0].params == PatienceParams(epochs=3)
    assert [use.name for use in experiment.reports] == ["confusions"]
    assert named(experiment, 0) == named(experiment, 1) == ["patience", "mixing"]


def test_a_stages_own_callbacks_replace_them(registry: Registry) -> None:
    text = WITH.replace("freeze body", "freeze body callbacks patience(7)").replace(
        "  fit one_cycle(epochs = 2", "  callbacks none fit one_cycle(epochs = 2"
    )
    experiment = resolved(text, registry=registry).experiment
    assert (named(experiment, 0), named(experiment, 1)) == (["patience"], [])
    assert experiment.stages[0].callbacks[0].params == PatienceParams(epochs=7)


def test_the_resolved_text_says_the_same(registry: Registry) -> None:
    text = WITH.replace("freeze body", "freeze body callbacks patience(7)").replace(
        "  fit one_cycle(epochs = 2", "  callbacks none fit one_cycle(epochs = 2"
    )
    experiment = resolved(text, registry=registry).experiment
    again = resolved(as_text(experiment), registry=registry).experiment
    assert again == experiment
    values = as_json(experiment)
    assert [each["name"] for each in values["callbacks"]] == ["patience", "mixing"]
    assert [each["name"] for each in values["report"]] == ["confusions"]
    assert [stage["callbacks"] for stage in values["stages"]] == [
        [{"name": "patience", "provider": "toys", "params": {"epochs": 7}}],
        [],
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("callbacks=none", ([], [])),
        ("callbacks=mixing", (["mixing"], ["mixing"])),
        ("callbacks=mixing, patience(1)", (["mixing", "patience"], ["mixing", "patience"])),
        ("callbacks=[mixing, patience(1)]", (["mixing", "patience"], ["mixing", "patience"])),
        ("stage.head.callbacks=none", ([], ["patience", "mixing"])),
        ("stage.head.callbacks=[patience]", (["patience"], ["patience", "mixing"])),
    ],
)
def test_overrides(registry: Registry, override: str, expected: tuple[list[str], list[str]]) -> None:
    experiment = resolved(WITH, override, registry=registry).experiment
    assert (named(experiment, 0), named(experiment, 1)) == expected


def test_metrics_and_report_may_be_none(registry: Registry) -> None:
    text = WITH.replace("metrics accuracy", "metrics none")
    experiment = resolved(text, "report=none", registry=registry).experiment
    assert experiment.metrics == experiment.reports == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("patience(3)", "patiance(3)", ("E203", "patiance")),
        ("patience(3)", "accuracy", ("E203", "accuracy")),
        ("patience(3)", "patience(0)", ("E207", "0")),
        ("report confusions", "report mixing", ("E203", "mixing")),
        ("report confusions", "report confusions report confusions", ("E202", "report")),
        ("freeze body", "freeze body callbacks patience callbacks none", ("E202", "callbacks")),
        ("freeze body", "freeze body callbacks patience(wait = 1)", ("E204", "wait")),
    ],
)
def test_faults(registry: Registry, old: str, new: str, expected: tuple[str, str]) -> None:
    assert faults(WITH.replace(old, new, 1), registry=registry) == [expected]


def test_a_callback_and_a_section_that_do_not_fit_the_task(registry: Registry) -> None:
    text = RATINGS + "callbacks mixing\nreport confusions\n"
    assert faults(text, registry=registry) == [("E304", "mixing"), ("E304", "confusions")]
    own = RATINGS.replace("stage train {", "stage train { callbacks patience, mixing")
    assert faults(own, registry=registry) == [("E304", "mixing")]


def test_a_wrong_override_is_told(registry: Registry) -> None:
    assert faults(WITH, "callbacks=3", registry=registry)[0][0] == "E206"
    assert faults(WITH, "stage.head.callback=none", registry=registry)[0][0] == "E212"
