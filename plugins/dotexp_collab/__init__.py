"""Collaborative filtering: tables of ratings, and models that learn who likes what."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import ComponentModule, Kind, Task, component_modules, hookimpl

DOTEXP_API = 1


@hookimpl
def dotexp_kinds() -> Sequence[Kind]:
    """Declare the splits of ratings, and the tables that describe users or items."""
    flags = "which rows it holds out, as booleans"
    return [
        Kind("rating_split", "rating splits", ("rows",), f"{flags}; rows are a `dotexp_collab.data.splits.Splittable`"),
        Kind("features", "features", ("digest", "field"), "a `dotexp_collab.data.features.Described`"),
    ]


@hookimpl
def dotexp_tasks() -> Sequence[Task]:
    """Declare ratings."""
    return [Task("ratings", "How a user rates an item.", "dotexp.sdk.answers:numbers")]


@hookimpl
def dotexp_components() -> Sequence[ComponentModule]:
    """Name the modules that declare components."""
    return component_modules(__name__, "data.params", "models.params", "reports.params")
