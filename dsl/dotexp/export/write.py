"""An export in any format."""

from __future__ import annotations

from pathlib import Path

from dotexp.export.formats import Exported, Format, Quantized
from dotexp.export.predictor import Predictor
from dotexp.export.samples import Samples


def write(
    predictor: Predictor, samples: Samples, path: Path, format: Format, quantized: Quantized | None = None
) -> Exported:
    """Write an export; a quantised one holds its metrics over the validation set beside the model's.

    Raises UsageError where the validation set or a metric is needed and missing, RunError where the export's outputs
    differ.
    """
    if quantized is not None:
        from dotexp.export.measuring import require_metrics

        require_metrics(predictor)
    if format is Format.bundle:
        from dotexp.export.bundle import write_bundle

        return write_bundle(predictor, samples, path, quantized)
    if format is Format.torch:
        from dotexp.export.programs import write_torch

        return write_torch(predictor, samples, path, quantized)
    from dotexp.export.onnx import write_onnx

    return write_onnx(predictor, samples, path, quantized)
