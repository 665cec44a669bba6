"""The bundled plugins pass the suite that dotexp gives to authors."""

from __future__ import annotations

from typing import Any

import pytest
from dotexp import Range
from dotexp.components.registry import load_registry
from dotexp.testing import check_plugin
from offered import offered

ARGUMENTS: dict[str, dict[str, Any]] = {
    "sgdr": {"cycles": 2},
    "slice": {"first": 1e-4, "second": 1e-2},
    "top_k_accuracy": {"k": 2},
    "accumulate": {"batches": 2},
    "digits": {"classes": Range(low=0, high=1), "size": 8},
    "latent_ratings": {"users": 12, "items": 20, "density": 0.3},
}
INPUTS = {"latent_ratings": ["1:2", "3:4", "99:1"]}

LIGHT = {"learning_rate", "policy", "optimizer", "loss", "metric", "callback", "head", "model", "transform", "stages"}
"""Kinds whose every component is small."""

NEEDS_A_TABLE = {"feature_dot_bias"}
"""Models of data that no sample has; their own tests train them."""

CHECKED = [
    (component.provider, component.name)
    for plugin in ("callbacks", "collab", "losses", "optimizers", "vision")
    for component in offered(plugin)
    if component.name not in NEEDS_A_TABLE
    if component.kind in LIGHT or component.name in ("digits", "latent_ratings")
]
REPORTS = [(c.provider, c.name) for p in ("collab", "vision") for c in offered(p) if c.kind == "report"]


@pytest.mark.process
@pytest.mark.run
@pytest.mark.parametrize(("plugin", "name"), CHECKED, ids=lambda value: value)
def test_a_component_passes_without_a_run(plugin: str, name: str) -> None:
    report = check_plugin(plugin, ARGUMENTS, INPUTS, only=[name], runs=False)
    assert len(report.outcomes) >= 7


@pytest.mark.slow
@pytest.mark.parametrize(("plugin", "name"), [*CHECKED, *REPORTS], ids=lambda value: value)
def test_a_component_passes_with_a_run_killed_and_resumed(plugin: str, name: str) -> None:
    check_plugin(plugin, ARGUMENTS, INPUTS, only=[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121", "vit_b_32", "swin_t", "mobilenet_v2"])
def test_a_body_of_each_family_passes(name: str) -> None:
    check_plugin("dotexp_vision", only=[name], runs=False)


def test_no_kind_is_without_checks_but_those_of_arguments() -> None:
    from dotexp.testing.suite import CHECKS

    kinds = load_registry().kinds.values()
    without = {kind.name for kind in kinds if kind.name not in CHECKS and not kind.check}
    assert without == {"weights", "report", "rating_split", "features", "image_split"}
