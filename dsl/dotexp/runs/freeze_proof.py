"""What a stage proved of its freezing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Freezing:
    """What held at a stage's end: that the frozen tensors were what they were, and that the trained ones had moved.

    `before` and `after` are fingerprints (SHA-256) over all frozen tensors, buffers included; None where nothing was
    frozen. `changed` names frozen tensors that differ, `still` trained ones that do not, and `still_layers` and
    `still_groups` the layers and learning-rate groups that have no other. Single tensors may well stand still, such as
    a bias in front of batch norm; a whole group may not.
    """

    frozen_tensors: int
    before: str | None
    after: str | None
    changed: tuple[str, ...]
    trained_tensors: int
    still: tuple[str, ...]
    still_layers: tuple[str, ...]
    still_groups: tuple[str, ...]

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Freezing:
        """Read back what `asdict` wrote."""
        own: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**own)
