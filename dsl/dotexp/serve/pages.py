"""The pages of a service: one to try the model on, one that shows the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dotexp.components.queries import Query
from dotexp.serve.service import Service

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Headers that let a page load nothing but what it holds."""

_TEMPLATES = Environment(
    loader=PackageLoader("dotexp.serve", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def model_page(service: Service) -> str:
    """Write the page to try the model on: a place for a file or fields of an input, and a form for each query."""
    return _TEMPLATES.get_template("model.html.jinja").render(
        name=service.name,
        description=service.predictor.experiment.description,
        inputs=service.inputs,
        queries=[_query_form(service, query) for query in service.forms.queries],
    )


def _query_form(service: Service, query: Query) -> dict[str, Any]:
    """Return what the page shows of a query: its fields, and the headings of its rows."""
    known = service.predictor.facts.vocabulary.get(query.vocabulary) or ()
    shown = {
        "key": query.key, "title": query.title, "rows": query.rows, "columns": query.columns,
        "example": next(iter(known), ""), "counts": "",
        "flags": {option.keyword: option.help.partition(";")[0] for option in query.options if option.spares_data},
    }  # fmt: skip
    for option in query.options:
        if option.counts_rows:
            least, most = service.forms.bounds(option) or (1, service.limits.rows)
            shown.update(counts=option.keyword, least=least, most=most, default=service.forms.default(option))
    return shown


def docs_page(document: dict[str, Any]) -> str:
    """Write an OpenAPI document as a page."""
    rows = [
        (method.upper(), path, operation, json.dumps(operation, indent=2, ensure_ascii=False))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    schemas = json.dumps(document["components"]["schemas"], indent=2, ensure_ascii=False)
    return _TEMPLATES.get_template("docs.html.jinja").render(info=document["info"], rows=rows, schemas=schemas)
