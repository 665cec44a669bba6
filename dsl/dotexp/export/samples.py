"""Sample inputs of a model with its outputs: what an export is compared with, and a bundle on loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dotexp.export.predictor import Input, Predictor
from dotexp.language.diagnostics import ComponentError, UsageError
from dotexp.sdk.data import Named

TOLERANCE = 1e-4
"""Largest difference of an output in float32, absolute up to 1 and relative to the largest output above it."""

ROUGH_TOLERANCE = 2e-2
"""The same for 16-bit numbers in the forward pass, and for another device than the CPU."""

_FEWEST, _MOST, _NUMBERS = 4, 64, 1 << 16
"""Samples, and numbers in all of them, unless that would be fewer than the fewest."""


@dataclass(frozen=True)
class Samples:
    """Inputs as the model takes them, each (N, …), activated outputs (N,) or (N, outputs), and names of the inputs."""

    inputs: tuple[Tensor, ...]
    outputs: Tensor
    names: tuple[str, ...] = ()


def take_samples(predictor: Predictor, inputs: Sequence[Input]) -> Samples:
    """Encode the inputs given, or else some validation examples of the run's data, and compute their outputs.

    Raises UsageError for inputs of another kind, or where none are given and the data is gone.
    """
    if inputs:
        encoded = predictor.encode(inputs)
        names = tuple(" ".join(_named(row)) for row in encoded.rows)
        batches = list(encoded.batches)
        tensors = tuple(torch.cat(column) for column in zip(*batches, strict=True))
    else:
        tensors, names = _validation(predictor)
    return Samples(tuple(tensor.contiguous() for tensor in tensors), predictor.outputs(tensors), names)


def save_samples(samples: Samples, path: Path) -> None:
    """Write samples as safetensors: `input_0`, `input_1`, … and `outputs`."""
    columns = {f"input_{place}": tensor for place, tensor in enumerate(samples.inputs)}
    path.write_bytes(save({**columns, "outputs": samples.outputs.contiguous()}))


def load_samples(path: Path) -> Samples:
    """Read samples. Raises UsageError where they cannot be read."""
    try:
        tensors = load_file(path)
        outputs = tensors.pop("outputs")
        inputs = tuple(tensors[f"input_{place}"] for place in range(len(tensors)))
    except (OSError, SafetensorError, KeyError) as error:
        raise UsageError(f"the samples at {path} cannot be read: {error}") from error
    return Samples(inputs, outputs)


def difference(found: Tensor, wanted: Tensor) -> float:
    """Largest difference of two outputs, divided by the largest output wanted where that is above 1; NaN is infinite.

    Outputs of another shape differ infinitely.
    """
    if found.shape != wanted.shape:
        return float("inf")
    scale = max(1.0, wanted.abs().max().item())
    largest = (found.double() - wanted.double()).abs().max().item() / scale
    return largest if largest == largest else float("inf")


def _validation(predictor: Predictor) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    try:
        part = predictor.open_data().part("valid")
    except (UsageError, ComponentError) as error:
        raise UsageError(
            f"sample inputs are taken from the run's validation set: {error}\n"
            "  --set data.path=NEW says where the data is now; --sample INPUT gives inputs in place of it"
        ) from error
    if not len(part):
        raise UsageError("the data has no validation examples to take sample inputs from: give --sample INPUT")
    (first,) = part.batches(torch.tensor([0]), 1, None, torch.device("cpu"))
    numbers = sum(tensor.numel() for tensor in first.inputs)
    count = min(len(part), _MOST, max(_FEWEST, _NUMBERS // numbers))
    order = torch.linspace(0, len(part) - 1, count).round().long()
    (batch,) = part.batches(order, count, None, torch.device("cpu"))
    names = tuple(part.names[place] for place in order.tolist()) if isinstance(part, Named) else ()
    return batch.inputs, names


def _named(row: dict[str, Any]) -> list[str]:
    return [str(value) for key, value in row.items() if key != "unknown"]
