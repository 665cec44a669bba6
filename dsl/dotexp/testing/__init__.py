"""Checks that a plugin's author runs over what the plugin offers.

    from dotexp.testing import check_plugin

    def test_plugin() -> None:
        check_plugin("acme_lion")

`python -m dotexp.testing acme_lion` prints what was checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dotexp.components.component import Component
from dotexp.testing.bench import Bench
from dotexp.testing.components import check_component, check_face
from dotexp.testing.suite import CHECKS, PluginReport, check_plugin, inspect_plugin
from dotexp.testing.trial import Trial, require, run_checks

__all__ = [
    "PluginReport",
    "check_body",
    "check_callback",
    "check_component",
    "check_data",
    "check_face",
    "check_head",
    "check_loss",
    "check_metric",
    "check_model",
    "check_optimizer",
    "check_plugin",
    "check_policy",
    "inspect_plugin",
]


def _check(component: Component, parameters: dict[str, Any], inputs: Sequence[Any] = ()) -> None:
    from dotexp.components.component import load_attribute

    bench = Bench({component.name: parameters}, component.provider)
    trial = Trial(bench.use(component), bench, inputs)
    require(run_checks(trial, load_attribute(CHECKS[component.kind])))


def check_data(component: Component, inputs: Sequence[Any] = (), **parameters: Any) -> None:
    """Assert that data's facts, parts and batches agree; `inputs` are some that `predict` may be given."""
    _check(component, parameters, inputs)


def check_model(component: Component, **parameters: Any) -> None:
    """Assert that a model fits its data, is a function of its weights and inputs, and freezes by layer."""
    _check(component, parameters)


def check_body(component: Component, **parameters: Any) -> None:
    """Assert of a body, under a small head, what `check_model` does of a model."""
    _check(component, parameters)


def check_head(component: Component, **parameters: Any) -> None:
    """Assert of a head, on a small body, what `check_model` does of a model."""
    _check(component, parameters)


def check_loss(component: Component, **parameters: Any) -> None:
    """Assert that a loss is the mean over the examples, and that `activate` gives predictions."""
    _check(component, parameters)


def check_metric(component: Component, **parameters: Any) -> None:
    """Assert that a metric is a number that does not depend on the batches, and is better where it says so."""
    _check(component, parameters)


def check_optimizer(component: Component, **parameters: Any) -> None:
    """Assert that an optimizer trains, obeys `lr`, `weight_decay` and its momentum, and saves and loads."""
    _check(component, parameters)


def check_policy(component: Component, **parameters: Any) -> None:
    """Assert that a policy's schedule is a function of the step, from 0 to 1."""
    _check(component, parameters)


def check_callback(component: Component, **parameters: Any) -> None:
    """Assert that a callback defines a callback's methods, and saves all that it keeps."""
    _check(component, parameters)
