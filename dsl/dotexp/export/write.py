"""An export in any format, and what quantising it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dotexp.export.formats import Exported, Format, Quantized
from dotexp.export.predictor import Predictor
from dotexp.export.samples import Samples


def write(
    predictor: Predictor, samples: Samples, path: Path, format: Format, quantized: Quantized | None = None
) -> Exported:
    """Write an export; of a quantised one, measure its metrics over the validation set beside the model's.

    Raises UsageError where the validation set is wanted and gone, RunError where the export's outputs differ.
    """
    if format is Format.bundle:
        from dotexp.export.bundle import write_bundle

        exported, answer = write_bundle(predictor, samples, path, quantized is not None)
    elif format is Format.torch:
        from dotexp.export.programs import write_torch

        exported, answer = write_torch(predictor, samples, path, quantized is not None)
    else:
        from dotexp.export.onnx import write_onnx

        exported, answer = write_onnx(predictor, samples, path, quantized is not None)
    if quantized is None:
        return exported
    from dotexp.export.measuring import measure

    before, after = (measure(predictor, each) for each in (predictor.outputs, answer))
    return replace(exported, quantized=quantized, metrics={name: (before[name], after[name]) for name in before})
