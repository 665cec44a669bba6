"""JSON Schema of a spec's JSON form: everything that the installed plugins offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dotexp.components.component import Component
from dotexp.components.registry import Registry
from dotexp.experiment.drafts import RUNTIME
from dotexp.experiment.experiment import LANGUAGE_VERSION
from dotexp.language.diagnostics import FORMAT_VERSION
from dotexp.language.json_form import json_keywords
from dotexp.language.keywords import MODEL, STAGE, TOP, Form, Keyword
from dotexp.version import __version__

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT = {"type": "string"}
_MODEL, _LAYERS = "model_statement", "layer_groups"


def registry_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema of the JSON form of a spec; `kinds` holds every component's parameters, {kind: {name: schema}}.

    `format_version`, `language`, `dotexp` and `plugins` say what it was made of.
    """
    kinds: dict[str, dict[str, Any]] = {}
    for component in (*registry.components, RUNTIME):
        kinds.setdefault(component.kind, {})[component.name] = _component_schema(component)
    version = {"format_version": {"const": FORMAT_VERSION}}
    required = [each.word for each in json_keywords(TOP) if each.required]
    return {
        "$schema": DIALECT,
        "title": "A dotexp experiment: the JSON form of a spec",
        **version_of(registry),
        **_object({**version, "description": _TEXT, **_statements(TOP), "stages": _stages()}, [*required, "stages"]),
        "$defs": {
            **{kind: _choice(kind, components) for kind, components in kinds.items()},
            _MODEL: {"anyOf": [_object({**_statements(MODEL), "model": _ref("model")}), _ref("model")]},
            _LAYERS: _list(_object({"name": _TEXT, "layers": _list(_TEXT)}, ["name", "layers"])),
        },
        "kinds": kinds,
    }


def version_of(registry: Registry) -> dict[str, Any]:
    """Versions of the format, the language, dotexp and every plugin."""
    return {
        "format_version": FORMAT_VERSION,
        "language": LANGUAGE_VERSION,
        "dotexp": __version__,
        "plugins": registry.versions(),
    }


def _component_schema(component: Component) -> dict[str, Any]:
    place = f"#/kinds/{component.kind}/{component.name}/$defs/{{model}}"
    return {
        **component.params.model_json_schema(ref_template=place),
        "description": component.doc,
        "provider": component.provider,
    }


def _choice(kind: str, components: Mapping[str, Any]) -> dict[str, Any]:
    """A component of a kind: its name alone, or with its parameters."""
    called = [
        _object({"name": {"const": name}, "provider": _TEXT, "params": {"$ref": f"#/kinds/{kind}/{name}"}}, ["name"])
        for name in components
    ]
    return {"anyOf": [{"enum": list(components)}, *called]}


def _statements(place: str) -> dict[str, Any]:
    return {each.word: _statement(each) for each in json_keywords(place)}


def _statement(keyword: Keyword) -> dict[str, Any]:
    match keyword.form:
        case Form.listing:
            value = _list(_ref(keyword.kind))
        case Form.settings:
            value = {"$ref": f"#/kinds/{keyword.kind}/{keyword.default}"}
        case Form.block:
            value = _ref(_MODEL)
        case Form.name:
            value = _TEXT
        case Form.number:
            value = {"type": "integer", "minimum": 0}
        case Form.layers:
            value = {"type": ["string", "null"]} if keyword.path else _ref(_LAYERS)
        case _:
            value = _ref(keyword.kind)
    return {**value, "description": keyword.help}


def _stages() -> dict[str, Any]:
    """A list of stages, or a component that stands for them."""
    required = [each.word for each in json_keywords(STAGE) if each.required and TOP not in each.places]
    return {"anyOf": [_list(_object({"name": _TEXT, **_statements(STAGE)}, ["name", *required])), _ref("stages")]}


def _object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}
