"""Spec text for tests, and short ways to check it."""

from __future__ import annotations

from pathlib import Path

from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.checking import check_source
from dotexp.experiment.overrides import Override
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import Diagnostic
from dotexp.language.source import source_from_text

IMAGES = """
experiment photos
data digits(classes = 0..4)
model {
  body resnet18(weights = none)
  head mlp
}
loss cross_entropy
optimizer adam(wd = 0.01)
metrics accuracy
stage head {
  freeze body
  fit one_cycle(epochs = 1, lr = 3e-3)
}
stage everything {
  fit one_cycle(epochs = 2, lr = slice(1e-5, 1e-3))
}
"""

RATINGS = """
experiment films
data latent_ratings
model embedding_dot_bias(factors = 4)
loss mse
stage train { fit one_cycle(epochs = 1, lr = 5e-3) }
"""


def checked(
    text: str, *overrides: str | Override, registry: Registry | None = None, folder: Path = Path()
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """Resolve text with the installed plugins."""
    return check_source(source_from_text(text, "t.exp", folder), registry or load_registry(), overrides)


def resolved(
    text: str, *overrides: str | Override, registry: Registry | None = None, folder: Path = Path()
) -> Resolved:
    """Resolve text that has no errors."""
    found, diagnostics = checked(text, *overrides, registry=registry, folder=folder)
    assert found is not None, [f"{d.code} {d.message}" for d in diagnostics]
    return found


def faults(text: str, *overrides: str | Override, registry: Registry | None = None) -> list[tuple[str, str]]:
    """Codes of the diagnostics, each with the text it points at."""
    _, diagnostics = checked(text, *overrides, registry=registry)
    return [(d.code, d.span.text if d.span else "") for d in diagnostics]


def only(text: str, *overrides: str | Override, registry: Registry | None = None) -> Diagnostic:
    """The one diagnostic of a text."""
    _, diagnostics = checked(text, *overrides, registry=registry)
    assert len(diagnostics) == 1, [f"{d.code} {d.message}" for d in diagnostics]
    return diagnostics[0]
