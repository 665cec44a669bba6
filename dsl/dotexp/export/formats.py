"""The formats of an export, and what an export tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Format(StrEnum):
    """What a run's model is exported to."""

    bundle = "bundle"


@dataclass(frozen=True)
class Exported:
    """An export: its path, its size, and the largest difference of its outputs from the model's on `samples` inputs."""

    path: Path
    format: Format
    bytes: int
    samples: int
    difference: float

    def as_json(self) -> dict[str, Any]:
        """`export --json`'s answer."""
        row = {"path": str(self.path), "format": str(self.format), "bytes": self.bytes}
        return {"format_version": 1, **row, "samples": self.samples, "difference": self.difference}
