"""Exports of a finished run's model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dotexp.commands.references import load_run
from dotexp.components.registry import Registry
from dotexp.experiment.checking import Overrides
from dotexp.experiment.experiment import Device
from dotexp.export.files import require_new
from dotexp.export.formats import QUANTIZED, SUFFIXES, Exported, Format, Quantized
from dotexp.export.requirements import require_onnx
from dotexp.language.diagnostics import UsageError
from dotexp.runs.folder import RunFolder


def export_run(
    folder: RunFolder,
    to: Format | str,
    out: str | Path | None,
    set: Overrides,
    samples: Sequence[str | tuple[str, ...]],
    quantize: Quantized | str | None,
    registry: Registry,
) -> Exported:
    """Export a run's model on the CPU, and compare the export with the model on sample inputs."""
    format, quantized = _format(to), _quantized(quantize)
    if quantized is not None and QUANTIZED[format] is not quantized:
        raise UsageError(f"{format} is quantised to {QUANTIZED[format]}, not to {quantized}")
    path = Path(out) if out is not None else Path(f"{folder.name}{SUFFIXES[format]}")
    require_new(path)
    if format is Format.onnx:
        require_onnx()
    from dotexp.export.predictor import Predictor
    from dotexp.export.samples import take_samples
    from dotexp.export.write import write

    predictor = Predictor(load_run(folder, set, registry).experiment, folder, Device.cpu, registry)
    return write(predictor, take_samples(predictor, samples), path, format, quantized)


def _format(to: Format | str) -> Format:
    try:
        return Format(to)
    except ValueError:
        raise UsageError(f"there is no format `{to}`: formats are {', '.join(Format)}") from None


def _quantized(quantize: Quantized | str | None) -> Quantized | None:
    try:
        return None if quantize is None else Quantized(quantize)
    except ValueError:
        raise UsageError(f"`{quantize}` is no quantisation: {' and '.join(Quantized)} are") from None
