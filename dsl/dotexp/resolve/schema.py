"""Parameters as JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from dotexp.components import Component
from dotexp.plugins import Registry


class _Schema(GenerateJsonSchema):
    """A component as an argument is any object: which ones fit depends on what is installed."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        return {"type": "object"}


def registry_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema of every component's parameters: {kind: {name: schema}}."""
    kinds: dict[str, dict[str, Any]] = {}
    for component in registry.components:
        kinds.setdefault(component.kind, {})[component.name] = _component_schema(component)
    return {"format_version": 1, "kinds": kinds}


def _component_schema(component: Component) -> dict[str, Any]:
    schema = component.params.model_json_schema(schema_generator=_Schema)
    return {**schema, "description": component.doc, "provider": component.provider}
