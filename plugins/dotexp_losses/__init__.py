"""Losses and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import ComponentModule, Task, component_modules, hookimpl

DOTEXP_API = 1


@hookimpl
def dotexp_tasks() -> Sequence[Task]:
    """Declare what the losses here are for, beside ratings."""
    home = "dotexp.sdk.answers"
    return [
        Task("classification", "Which one of several classes.", f"{home}:one_class"),
        Task("multilabel", "Which of several labels apply.", f"{home}:several_classes"),
        Task("regression", "A number, or several.", f"{home}:numbers"),
    ]


@hookimpl
def dotexp_components() -> Sequence[ComponentModule]:
    """Name the modules that declare components."""
    return component_modules(__name__, "losses.params", "metrics.params", "ranking.params")
