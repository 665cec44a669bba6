"""Exports of a finished run's model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dotexp.commands.references import load_run
from dotexp.components.registry import Registry
from dotexp.experiment.checking import Overrides
from dotexp.experiment.experiment import Device
from dotexp.export.files import require_new
from dotexp.export.formats import Exported, Format
from dotexp.language.diagnostics import UsageError
from dotexp.runs.folder import RunFolder


def export_run(
    folder: RunFolder,
    to: Format | str,
    out: str | Path | None,
    set: Overrides,
    samples: Sequence[str],
    registry: Registry,
) -> Exported:
    """Export a run's model on the CPU, and compare the export with the model on sample inputs."""
    try:
        format = Format(to)
    except ValueError:
        raise UsageError(f"there is no format `{to}`: formats are {', '.join(Format)}") from None
    path = Path(out) if out is not None else Path(f"{folder.name}-{format}")
    require_new(path)
    from dotexp.export.bundle import write_bundle
    from dotexp.export.predictor import Predictor
    from dotexp.export.samples import take_samples

    predictor = Predictor(load_run(folder, set, registry).experiment, folder, Device.cpu, registry)
    taken = take_samples(predictor, samples)
    return write_bundle(predictor, taken, path)
