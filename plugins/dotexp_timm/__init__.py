"""timm: its models as bodies. timm itself is wanted when one is built: `dotexp[timm]` installs it."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import Component, hookimpl

from dotexp_timm.params import TimmBodyParams, facts_of

DOTEXP_API = 1


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer the body."""
    return [Component("body", "timm_body", TimmBodyParams, "dotexp_timm.bodies:build", facts_of)]
