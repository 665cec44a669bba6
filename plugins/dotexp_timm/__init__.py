"""timm's models as bodies. timm is imported when a body is built; the extra `dotexp[timm]` installs it."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import ComponentModule, component_modules, hookimpl

DOTEXP_API = 1


@hookimpl
def dotexp_components() -> Sequence[ComponentModule]:
    """Name the modules that declare components."""
    return component_modules(__name__, "params")
