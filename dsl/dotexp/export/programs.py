"""A model as one program, from images or codes to activated outputs: exported by torch and, from there, to ONNX."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dotexp.export.bundle import describe
from dotexp.export.files import new_files
from dotexp.export.formats import Exported, Format, Quantized
from dotexp.export.measuring import Answer, cost
from dotexp.export.predictor import Predictor
from dotexp.export.samples import TOLERANCE, Samples, difference
from dotexp.language.diagnostics import RunError
from dotexp.sdk.data import Exportable
from dotexp.sdk.weights import first_line

METADATA = "dotexp.json"
"""Name of what goes in and out, as JSON: an extra file of a torch program, a metadata property of an ONNX model."""


class Program(nn.Module):
    """A network and the activation of its loss: what is exported. Images are floats 0..1, normalised inside.

    With `half` the network computes in bfloat16; what goes in and out stays float32.
    """

    def __init__(self, network: nn.Module, loss: nn.Module, half: bool = False) -> None:
        super().__init__()
        self.network = deepcopy(network).to(torch.bfloat16) if half else network
        self.loss = loss
        self.half_precision = half

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute activated outputs."""
        if self.half_precision:
            inputs = tuple(each.to(torch.bfloat16) if each.is_floating_point() else each for each in inputs)
        answer: Tensor = self.loss.activate(self.network(*inputs).float())  # type: ignore[operator]
        return answer


def make_program(network: nn.Module, loss: nn.Module, half: bool = False) -> Program:
    """Put a restored network into the form that exports: evaluation mode, no gradients, no shape that data decides."""
    (model, *rest) = network.children()
    plain = model.exportable() if not rest and isinstance(model, Exportable) else network
    return Program(plain, loss, half).eval().requires_grad_(False)


def write_torch(predictor: Predictor, samples: Samples, path: Path, quantized: Quantized | None = None) -> Exported:
    """Write an ExportedProgram that torch alone loads, and compare its outputs with the model's.

    Raises RunError where torch cannot export the model, or its outputs differ and are not in half precision.
    """
    half = quantized is not None
    restored = predictor.restored
    exported = export_program(make_program(restored.network, restored.loss, half), samples)
    with new_files(path) as file:
        _save(exported, file, describe(predictor, samples))
        answer = _load(file)
        largest = compare(answer, predictor.outputs, samples.inputs, Format.torch, None if half else TOLERANCE)
        metrics = cost(predictor, answer, quantized)
        if half:
            _save(exported, file, describe(predictor, samples, quantized, metrics))
        size = file.stat().st_size
    return Exported(path, Format.torch, size, len(samples.outputs), largest, quantized, metrics)


def _save(program: torch.export.ExportedProgram, file: Path, about: Mapping[str, Any]) -> None:
    content = BytesIO()  # a disk that fills up under torch's own writer ends the process
    with quiet():
        torch.export.save(program, content, extra_files={METADATA: json.dumps(about)})
    file.write_bytes(content.getbuffer())


def _load(file: Path) -> Answer:
    with quiet():
        program = torch.export.load(file).module()

    def answer(inputs: tuple[Tensor, ...]) -> Tensor:
        with torch.no_grad():
            outputs: Tensor = program(*inputs)
        return outputs

    return answer


def export_program(program: nn.Module, samples: Samples) -> torch.export.ExportedProgram:
    """Trace a program for batches of any size. Raises RunError where torch cannot."""
    inputs = tuple(_several(tensor) for tensor in samples.inputs)
    dynamic = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(program, inputs, dynamic_shapes=(dynamic,))
    except Exception as error:
        raise RunError(f"torch cannot export this model: {first_line(error)}") from error


def compare(
    answer: Answer, model: Answer, inputs: tuple[Tensor, ...], format: Format, tolerance: float | None
) -> float:
    """Return the largest difference of a program's outputs from the model's, in batches of one, two and all inputs.

    Raises RunError where it is above `tolerance` (None: any is allowed).
    """
    largest = 0.0
    for count in sorted({1, min(2, len(inputs[0])), len(inputs[0])}):
        some = tuple(tensor[:count].contiguous() for tensor in inputs)
        largest = max(largest, difference(answer(some), model(some)))
    if tolerance is not None and not largest <= tolerance:
        raise RunError(
            f"the {format} export gives other outputs than the model: they differ by {largest:.3g} on the samples, "
            f"and {tolerance:g} is allowed"
        )
    return largest


def _several(tensor: Tensor) -> Tensor:
    """Repeat a single example: torch takes a batch of one for a constant."""
    return tensor if len(tensor) > 1 else tensor.repeat(2, *[1] * (tensor.ndim - 1))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what torch's exporters tell developers of themselves."""
    loggers = [logging.getLogger(name) for name in ("", "torch", "torch.export", "torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
