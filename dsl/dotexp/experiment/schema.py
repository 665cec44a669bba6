"""Parameters as JSON Schema."""

from __future__ import annotations

from typing import Any

from dotexp.components.component import Component
from dotexp.components.registry import Registry


def registry_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema of every component's parameters: {kind: {name: schema}}."""
    kinds: dict[str, dict[str, Any]] = {}
    for component in registry.components:
        kinds.setdefault(component.kind, {})[component.name] = _component_schema(component)
    return {"format_version": 1, "kinds": kinds}


def _component_schema(component: Component) -> dict[str, Any]:
    return {
        **component.params.model_json_schema(),
        "description": component.doc,
        "provider": component.provider,
    }
