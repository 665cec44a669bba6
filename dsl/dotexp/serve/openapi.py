"""The OpenAPI document of a service."""

from __future__ import annotations

from typing import Any

from dotexp.serve.service import Service
from dotexp.version import __version__

_ERROR = {
    "type": "object",
    "required": ["format_version", "error"],
    "properties": {
        "format_version": {"type": "integer"},
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}, "help": {"type": "string"}},
        },
    },
}
_ID = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
_PAIR = {"type": "object", "required": ["user", "item"], "properties": {"user": _ID, "item": _ID}}
_FAULTS = {
    "400": "The body cannot be read.",
    "413": "The body, the image or the list is larger than allowed.",
    "415": "The body is of another type.",
    "422": "The input cannot be predicted for; the message says why.",
    "503": "Too many requests wait: try again later.",
    "504": "There was no answer in time.",
}


def document(service: Service) -> dict[str, Any]:
    """Describe the service's paths, with what /predict takes and answers for this model."""
    return {
        "openapi": "3.1.0",
        "info": {"title": service.name, "version": __version__, "description": "A model trained by dotexp."},
        "paths": {
            "/predict": {"post": _predict(service)},
            "/health": {"get": _text("Whether the service answers.", "application/json")},
            "/metrics": {"get": _text("Counts and times, as Prometheus reads them.", "text/plain")},
        },
        "components": {"schemas": {"Error": _ERROR, "Prediction": _prediction(service)}},
    }


def _predict(service: Service) -> dict[str, Any]:
    many = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    answers = [_answer({"predictions": many})]
    if not service.takes_images:
        row = {"type": "object", "properties": {name: {} for name in ("rank", "item", "title", "value")}}
        answers.append(_answer({"user": {"type": "string"}, "seen": {"type": "boolean"},
                                "recommendations": {"type": "array", "items": row}}))  # fmt: skip
    schema = {"$ref": "#/components/schemas/Error"}
    faults = {
        status: {"description": text, "content": {"application/json": {"schema": schema}}}
        for status, text in _FAULTS.items()
    }
    found = {"description": "The answer.", "content": {"application/json": {"schema": {"oneOf": answers}}}}
    what = "an image" if service.takes_images else "pairs of a user and an item, or name a user's best items"
    return {
        "summary": f"Predict for {what}.",
        "requestBody": {"required": True, "content": _images() if service.takes_images else _questions(service)},
        "responses": {"200": found, **faults},
    }


def _images() -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": {"type": "array", "items": file}}}
    return {"image/*": {"schema": file}, "multipart/form-data": {"schema": form}}


def _questions(service: Service) -> dict[str, Any]:
    limits = service.limits
    pairs = {"type": "array", "items": _PAIR, "minItems": 1, "maxItems": limits.pairs}
    top = {"type": "integer", "minimum": 1, "maximum": limits.top, "default": 10}
    forms = [
        _PAIR,
        {"type": "object", "required": ["pairs"], "properties": {"pairs": pairs}},
        {"type": "object", "required": ["user"], "properties": {"user": _ID, "top": top, "seen": {"type": "boolean"}}},
    ]
    examples = {
        "pair": {"value": {"user": "196", "item": "242"}},
        "pairs": {"value": {"pairs": [{"user": "196", "item": "242"}]}},
        "best items": {"value": {"user": "196", "top": 10}},
    }
    return {"application/json": {"schema": {"oneOf": forms}, "examples": examples}}


def _prediction(service: Service) -> dict[str, Any]:
    classes = service.predictor.facts.classes
    inputs = ("input",) if service.takes_images else ("user", "item")
    properties: dict[str, Any] = {name: {"type": "string"} for name in inputs}
    if classes is None:
        properties["value"] = {"type": "number"}
    else:
        properties["value"] = {"description": "the class, or the classes that apply"}
        properties["probabilities"] = {"type": "object", "additionalProperties": {"type": "number"}}
    return {"type": "object", "required": [*inputs, "value"], "properties": properties}


def _answer(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"format_version": {"type": "integer"}, **properties}}


def _text(summary: str, media: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "The answer.", "content": {media: {}}}}}
