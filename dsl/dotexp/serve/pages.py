"""The pages of a service: one to try the model on, one that shows the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

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
    """Write the page to drop an image on, or to ask for a user's best items."""
    experiment = service.predictor.experiment
    return _TEMPLATES.get_template("model.html.jinja").render(
        name=service.name,
        description=experiment.description,
        images=service.takes_images,
        example="" if service.takes_images else service.predictor.facts.vocabulary["users"][0],
    )


def docs_page(document: dict[str, Any]) -> str:
    """Write an OpenAPI document as a page."""
    rows = [
        (method.upper(), path, operation, json.dumps(operation, indent=2, ensure_ascii=False))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    schemas = json.dumps(document["components"]["schemas"], indent=2, ensure_ascii=False)
    return _TEMPLATES.get_template("docs.html.jinja").render(info=document["info"], rows=rows, schemas=schemas)
