"""The formats of an export, and what an export tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Format(StrEnum):
    """What a run's model is exported to."""

    bundle = "bundle"
    onnx = "onnx"
    torch = "torch"


class Quantized(StrEnum):
    """What an export's numbers are rounded to: weights to bfloat16, or weights and what they multiply to 8 bits."""

    bf16 = "bf16"
    int8 = "int8"


SUFFIXES: Mapping[Format, str] = {Format.bundle: "-bundle", Format.onnx: ".onnx", Format.torch: ".pt2"}
"""What is added to a run's name for an export of it."""

QUANTIZED: Mapping[Format, Quantized] = {
    Format.bundle: Quantized.bf16, Format.onnx: Quantized.int8, Format.torch: Quantized.bf16,
}  # fmt: skip
"""How each format may be quantised."""


Cost = Mapping[str, tuple[Any, Any]]
"""What quantising costs: each metric over the validation set, the model's and the export's."""


def cost_as_json(quantized: Quantized | None, metrics: Cost) -> dict[str, Any]:
    """What a quantised export says of itself, for `export --json` and in the export; nothing of another."""
    if quantized is None:
        return {}
    both = {name: {"model": model, "export": export} for name, (model, export) in metrics.items()}
    return {"quantized": str(quantized), "metrics": both}


@dataclass(frozen=True)
class Exported:
    """An export: its path, its size, and the largest difference of its outputs from the model's on `samples` inputs.

    `metrics` of a quantised export are the model's and the export's over the validation set.
    """

    path: Path
    format: Format
    bytes: int
    samples: int
    difference: float
    quantized: Quantized | None = None
    metrics: Cost = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """`export --json`'s answer."""
        row: dict[str, Any] = {"path": str(self.path), "format": str(self.format), "bytes": self.bytes}
        row |= {"samples": self.samples, "difference": self.difference}
        return {"format_version": 1, **row, **cost_as_json(self.quantized, self.metrics)}
