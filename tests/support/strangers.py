"""Plugins of strangers, made in a test without being installed."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest
from dotexp import Component, hookimpl
from dotexp.components.registry import Registry, load_registry


class _Made(EntryPoint):
    """An entry point whose module is at hand."""

    face: types.ModuleType

    def load(self) -> types.ModuleType:
        return self.face


def plugin(name: str, **members: Any) -> EntryPoint:
    """Make a plugin whose face has these members, such as `dotexp_components=offering(…)`."""
    module = types.ModuleType(f"made_{name}")
    vars(module).update(members)
    point = _Made(name, module.__name__, "dotexp")
    vars(point)["face"] = module
    return point


def offering(*components: object) -> Any:
    """Return a `dotexp_components` hook that offers these."""

    @hookimpl
    def dotexp_components() -> list[object]:
        return list(components)

    return dotexp_components


def registry_of(*plugins: EntryPoint) -> Registry:
    """Return the registry of the installed plugins and of these."""
    return load_registry([*entry_points(group="dotexp"), *plugins])


def registry_offering(*components: Component, members: Mapping[str, Any] | None = None) -> Registry:
    """Return the registry of the installed plugins and of one more, `acme`, that offers these components."""
    return registry_of(plugin("acme", dotexp_components=offering(*components), **(members or {})))


@contextmanager
def installed(*plugins: EntryPoint) -> Iterator[None]:
    """Have these plugins installed beside the others, for every command of this process."""
    every = [*entry_points(group="dotexp"), *plugins]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dotexp.components.registry.entry_points", lambda group: every)
        yield
