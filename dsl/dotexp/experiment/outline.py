"""An experiment as far as its faults leave it readable; the checks across statements read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dotexp.components.component import Use
from dotexp.experiment.experiment import Freeze, Model

Uses = Mapping[str, Use | None]
"""Components by keyword; None for one that is missing or unknown."""

Listings = Mapping[str, tuple[Use | None, ...]]
"""Lists of components by keyword; None for one that is unknown."""


class StageOutline(NamedTuple):
    """A stage: its components, and what it freezes (None: a name in its freeze statement is unknown)."""

    name: str
    uses: Uses
    listings: Listings
    freeze: Freeze | None


class Outline(NamedTuple):
    """An experiment; a component with faulty parameters has their defaults, and facts as far as they are certain.

    `model` is None where the layers are unknown. Where a `groups` statement has a fault, `groups_known` is false, and
    the model's groups have the names written, with the layers that exist.
    """

    uses: Uses
    listings: Listings
    model: Model | None
    groups_known: bool
    stages: tuple[StageOutline, ...]

    @property
    def parts(self) -> dict[str, Use]:
        """The model's components by their path."""
        found = {
            "model": self.uses.get("model"),
            "model.body": self.uses.get("body"),
            "model.head": self.uses.get("head"),
        }
        return {path: use for path, use in found.items() if use is not None}
