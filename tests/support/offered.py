"""Components of bundled plugins."""

from __future__ import annotations

from functools import cache

from dotexp import Component
from dotexp.components.registry import load_registry


@cache
def offered(plugin: str) -> tuple[Component, ...]:
    """Everything that a bundled plugin offers, such as `losses`."""
    (provider,) = (each for each in load_registry().providers if each.name == f"dotexp_{plugin}")
    return provider.components
