"""The OpenAPI document of a service."""

from __future__ import annotations

from typing import Any

from dotexp.components.input_form import InputForm
from dotexp.components.queries import Query, QueryOption
from dotexp.language.wording import with_article
from dotexp.serve.requests import Forms
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
    answers = [_answer({"predictions": many}), *map(_rows, service.forms.queries)]
    schema = {"$ref": "#/components/schemas/Error"}
    faults = {
        status: {"description": text, "content": {"application/json": {"schema": schema}}}
        for status, text in _FAULTS.items()
    }
    found = {"description": "The answer.", "content": {"application/json": {"schema": {"oneOf": answers}}}}
    return {
        "summary": f"Predict for {_asked(service)}.",
        "requestBody": {"required": True, "content": {**_files(service.inputs), **_questions(service.forms)}},
        "responses": {"200": found, **faults},
    }


def _asked(service: Service) -> str:
    """Say what is asked: `pairs of a user and an item, or name a user's best items`."""
    form = service.inputs
    parts = [with_article(key) for key in form.keys] if len(form.keys) > 1 else []
    inputs = form.one if form.media else form.plural + (f" of {' and '.join(parts)}" if parts else "")
    queries = (f"name {with_article(query.key)}'s {query.title}" for query in service.forms.queries)
    return ", or ".join((inputs, *queries))


def _rows(query: Query) -> dict[str, Any]:
    """Describe the answer to a query."""
    row = {"type": "object", "properties": {name: {} for name, _ in query.columns}}
    chosen = {option.keyword: {"type": "boolean"} for option in query.options if option.spares_data}
    return _answer({query.key: {"type": "string"}, **chosen, query.rows: {"type": "array", "items": row}})


def _files(form: InputForm) -> dict[str, Any]:
    if not form.media:
        return {}
    file = {"type": "string", "format": "binary"}
    several = {"type": "object", "properties": {"file": {"type": "array", "items": file}}}
    return {form.media: {"schema": file}, "multipart/form-data": {"schema": several}}


def _questions(forms: Forms) -> dict[str, Any]:
    accepted, form = [], forms.inputs
    if form.keys:
        one = {"type": "object", "required": list(form.keys), "properties": dict.fromkeys(form.keys, _ID)}
        several = {"type": "array", "items": one, "minItems": 1, "maxItems": forms.limits.inputs}
        accepted = [one, {"type": "object", "required": [form.plural], "properties": {form.plural: several}}]
    for query in forms.queries:
        options = {option.keyword: _option(option, forms) for option in query.options}
        accepted.append({"type": "object", "required": [query.key], "properties": {query.key: _ID, **options}})
    examples = {name: {"value": value} for name, value in forms.examples().items()}
    return {"application/json": {"schema": {"oneOf": accepted}, "examples": examples}} if accepted else {}


def _option(option: QueryOption, forms: Forms) -> dict[str, Any]:
    bounds = forms.bounds(option)
    within = {} if bounds is None else {"minimum": bounds[0], "maximum": bounds[1]}
    default = forms.default(option)
    return {"type": _TYPES[option.type], **within, **({"default": default} if default not in (None, False) else {})}


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _prediction(service: Service) -> dict[str, Any]:
    classes = service.predictor.facts.classes
    inputs = tuple(service.inputs.keys) or ("input",)
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
