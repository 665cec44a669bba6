"""Bundles: a folder with all that prediction needs, checked against its sample inputs and outputs on loading.

It is laid out as a run's folder, so that whatever takes a run takes a bundle, and as a model on the Hugging Face Hub:
README.md is the model card, model.safetensors the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.components.component import Use
from dotexp.components.registry import Registry
from dotexp.export.files import new_folder
from dotexp.export.formats import Cost, Exported, Format, Quantized, cost_as_json
from dotexp.export.portable import every, portable_text
from dotexp.language.diagnostics import RunError, UsageError
from dotexp.runs.bundle_files import FORMAT_VERSION, MANIFEST, checksum
from dotexp.runs.files import read_json, write_json, write_text
from dotexp.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from dotexp.export.predictor import Predictor
    from dotexp.export.samples import Samples

SAMPLES = "samples.safetensors"
CARD = "README.md"


def write_bundle(predictor: Predictor, samples: Samples, path: Path, quantized: Quantized | None = None) -> Exported:
    """Write a bundle of a finished run as a new folder, read it back, and compare its outputs with the run's.

    Quantised, its weights are stored in bfloat16 and computed with in float32. Raises UsageError where the run is
    not finished or `path` exists.
    """
    from dotexp.export.measuring import cost
    from dotexp.export.samples import Samples, difference, save_samples

    run = predictor.folder
    result = run.read_result()
    if result is None:
        raise UsageError(f"{run.path} is {run.status}: a bundle is made of a finished run")
    with new_folder(path) as folder:
        bundle = RunFolder(folder)
        write_text(bundle.resolved, portable_text(predictor.experiment))
        bundle.write_facts(predictor.facts)
        bundle.write_result(result)
        _write_weights(run.model, bundle.model, half=quantized is not None)
        again = _read_back(bundle, predictor)
        held = Samples(samples.inputs, again.outputs(samples.inputs), samples.names)
        save_samples(held, folder / SAMPLES)
        metrics = cost(predictor, again.outputs, quantized)
        _write_manifest(describe(predictor, held, quantized, metrics), held, folder)
        _write_card(predictor, held, folder, quantized, metrics)
        require_same_outputs(again)
        size = sum(file.stat().st_size for file in folder.iterdir())
        largest = difference(held.outputs, samples.outputs)
    if quantized is None and largest > tolerance_for(predictor):
        raise RunError(f"the bundle gives other outputs than the run: they differ by {largest:.3g}")
    return Exported(path, Format.bundle, size, len(samples.outputs), largest, quantized, metrics)


def _write_weights(source: Path, path: Path, half: bool) -> None:
    if not half:
        path.write_bytes(source.read_bytes())
        return
    import torch

    from dotexp.engine.build.weights import load_weights, save_weights

    tensors = load_weights(source)
    rounded = {name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
               for name, tensor in tensors.items()}  # fmt: skip
    save_weights(rounded, path)


def _write_manifest(manifest: dict[str, Any], samples: Samples, folder: Path) -> None:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    manifest["samples"] = {"count": len(samples.outputs), "names": list(samples.names)}
    manifest["files"] = {file.name: {"bytes": file.stat().st_size, "sha256": checksum(file)} for file in files}
    write_json(folder / MANIFEST, manifest)


def _write_card(
    predictor: Predictor, samples: Samples, folder: Path, quantized: Quantized | None, metrics: Cost
) -> None:
    from dotexp.export.card import answer_text, model_card

    answers = [
        (name, answer_text(predictor.read({"input": name}, output).value))
        for name, output in zip(samples.names, samples.outputs.tolist(), strict=False)
    ]
    write_text(folder / CARD, model_card(predictor.experiment, predictor.folder, answers, quantized, metrics))


def require_same_outputs(predictor: Predictor) -> None:
    """Raise UsageError unless a bundle's model gives its sample outputs for its sample inputs here."""
    from dotexp.export.samples import difference, load_samples

    path = predictor.folder.path
    samples = load_samples(path / SAMPLES)
    found = predictor.outputs(samples.inputs)
    largest = difference(found, samples.outputs)
    allowed = tolerance_for(predictor)
    if not largest <= allowed:
        changed = changed_versions(path, predictor.registry)
        why = f"; {changed}" if changed else ""
        raise UsageError(
            f"the bundle {path} gives other outputs here than where it was made: they differ by {largest:.3g}, "
            f"and {allowed:g} is allowed{why}"
        )


def tolerance_for(predictor: Predictor) -> float:
    """Largest difference allowed from outputs computed elsewhere: more for 16-bit numbers, or off the CPU."""
    from dotexp.experiment.experiment import Precision
    from dotexp.export.samples import ROUGH_TOLERANCE, TOLERANCE

    exact = predictor.experiment.runtime.precision is Precision.f32
    return TOLERANCE if exact and predictor.restored.device.type == "cpu" else ROUGH_TOLERANCE


def changed_versions(path: Path, registry: Registry) -> str:
    """Say which packages and plugins have another version here than where a bundle was made; nothing where none has."""
    from dotexp.engine.environment import versions

    before, now = read_json(path / MANIFEST).get("versions"), versions(registry.versions())
    if not isinstance(before, Mapping):
        return ""
    changed = [
        f"{name} {version}, {f'now {now[name]}' if name in now else 'not installed now'}"
        for name, version in before.items()
        if now.get(name) != version
    ]
    return f"versions since: {'; '.join(changed)}" if changed else ""


def _read_back(bundle: RunFolder, predictor: Predictor) -> Predictor:
    """Restore a bundle's model."""
    from dotexp.experiment.checking import load
    from dotexp.experiment.experiment import Device
    from dotexp.export.predictor import Predictor

    registry = predictor.registry
    return Predictor(load(bundle.resolved, registry=registry).experiment, bundle, Device.cpu, registry)


def describe(
    predictor: Predictor, samples: Samples, quantized: Quantized | None = None, metrics: Cost | None = None
) -> dict[str, Any]:
    """Say what goes into a model and what comes out: shapes, labels and preprocessing, and what quantising cost."""
    from dotexp.engine.environment import versions
    from dotexp.experiment.json import as_json

    facts = predictor.facts
    data: dict[str, Any] = as_json(predictor.experiment)["data"]
    data["params"] = {name: _named(value) for name, value in data["params"].items()}
    return {
        "format_version": FORMAT_VERSION,
        "experiment": predictor.experiment.name,
        "run": predictor.folder.name,
        "task": facts.task,
        "classes": None if facts.classes is None else list(facts.classes),
        "preprocessing": {"data": data, "normalize": normalization(predictor)},
        "inputs": [_signature(tensor) for tensor in samples.inputs],
        "outputs": _signature(samples.outputs),
        "versions": versions(_plugins(predictor)),
        **cost_as_json(quantized, metrics or {}),
    }


def normalization(predictor: Predictor) -> dict[str, list[float]] | None:
    """Mean and standard deviation of each channel that the model itself normalises images with."""
    tensors = predictor.restored.network.state_dict()
    if "normalize.mean" not in tensors:
        return None
    return {name: tensors[f"normalize.{name}"].flatten().tolist() for name in ("mean", "std")}


def _signature(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": ["batch", *tensor.shape[1:]]}


def _named(value: Any) -> Any:
    """Leave of an absolute path its last name."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _plugins(predictor: Predictor) -> dict[str, str]:
    """Versions of the plugins that the experiment names components of."""
    names = {use.component.provider for use in every(Use, predictor.experiment)}
    return {name: version for name, version in predictor.registry.versions().items() if name in names}
