"""Optimizers, learning-rate policies and rates, and the stages of fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, hookimpl

from dotexp_optimizers import fine_tune, params, policies, rates

DOTEXP_API = 1


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Return what the plugin offers."""
    return [*_optimizers(), *_policies(), *_others()]


def _optimizers() -> list[Component]:
    heavy = "dotexp_optimizers.build"
    return [
        Component("optimizer", "sgd", params.SgdParams, f"{heavy}:sgd", params.momentum_facts),
        Component("optimizer", "rmsprop", params.RmspropParams, f"{heavy}:rmsprop", params.momentum_facts),
        Component("optimizer", "adam", params.AdamParams, f"{heavy}:adam", params.adam_facts),
    ]


def _policies() -> list[Component]:
    module = "dotexp_optimizers.policies"
    return [
        Component("policy", "one_cycle", policies.OneCycleParams, f"{module}:one_cycle"),
        Component("policy", "flat", policies.FlatParams, f"{module}:flat"),
        Component("policy", "flat_cosine", policies.FlatCosineParams, f"{module}:flat_cosine"),
        Component("policy", "cosine", policies.CosineParams, f"{module}:cosine"),
        Component("policy", "linear", policies.LinearParams, f"{module}:linear"),
        Component("policy", "sgdr", policies.SgdrParams, f"{module}:sgdr"),
    ]


def _others() -> list[Component]:
    return [
        Component("learning_rate", "slice", rates.SliceParams, "dotexp_optimizers.rates:slice_rates"),
        Component("stages", "fine_tune", fine_tune.FineTuneParams, "dotexp_optimizers.fine_tune:fine_tune"),
    ]
