"""Predictors of runs and bundles."""

from __future__ import annotations

from dotexp.commands.references import load_run
from dotexp.components.registry import Registry
from dotexp.experiment.checking import Overrides
from dotexp.experiment.experiment import Device
from dotexp.export.bundle import require_same_outputs
from dotexp.export.predictor import Predictor
from dotexp.runs.bundle_files import is_bundle
from dotexp.runs.folder import RunFolder


def make_predictor(folder: RunFolder, set: Overrides, registry: Registry | None, device: Device | None) -> Predictor:
    """Restore a run's or a bundle's model; a bundle's is checked against its sample outputs.

    `set` may say where the data is now. Raises UsageError where there is no model, or a bundle's gives other outputs.
    """
    predictor = Predictor(load_run(folder, set, registry).experiment, folder, device, registry)
    if is_bundle(folder.path):
        require_same_outputs(predictor)
    return predictor
