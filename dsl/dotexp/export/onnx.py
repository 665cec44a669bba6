"""ONNX models of a run, checked under onnxruntime. Needs the extra `dotexp[onnx]`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.export.bundle import describe
from dotexp.export.files import new_files
from dotexp.export.formats import Exported, Format, Quantized
from dotexp.export.measuring import Answer, cost
from dotexp.export.predictor import Predictor
from dotexp.export.programs import METADATA, compare, export_program, make_program, quiet
from dotexp.export.samples import TOLERANCE, Samples
from dotexp.language.diagnostics import RunError
from dotexp.sdk.weights import first_line

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

OUTPUT = "predictions"
_LARGEST = 2_000_000_000
"""Bytes of weights that a model's own file may hold; more are in a file beside it."""


def write_onnx(predictor: Predictor, samples: Samples, path: Path, quantized: Quantized | None = None) -> Exported:
    """Write an ONNX model for batches of any size, run it under onnxruntime, and compare it with the model.

    Quantised, its weights are 8-bit numbers, and what they are multiplied with is rounded to 8 bits as it comes.
    Weights of more than 2 GB are in a file beside the model, named as it is with `.data` after.
    Raises RunError where the model cannot be exported, or its outputs differ and it is not quantised.
    """
    with new_files(path) as file:
        restored = predictor.restored
        program = export_program(make_program(restored.network, restored.loss), samples)
        proto = to_onnx(program, predictor.inputs.tensors)
        _write(proto, file, describe(predictor, samples))
        if quantized is not None:
            proto = _quantize(file)
        answer = session_answer(file)
        allowed = None if quantized is not None else TOLERANCE
        largest = compare(answer, predictor.outputs, samples.inputs, Format.onnx, allowed)
        metrics = cost(predictor, answer, quantized)
        if quantized is not None:
            _write(proto, file, describe(predictor, samples, quantized, metrics))
        size = sum(each.stat().st_size for each in file.parent.iterdir())
    return Exported(path, Format.onnx, size, len(samples.outputs), largest, quantized, metrics)


def _write(proto: Any, file: Path, about: Mapping[str, Any]) -> None:
    """Write a model with what is to know of it, in place of what its metadata said."""
    del proto.metadata_props[:]
    note = proto.metadata_props.add()
    note.key, note.value = METADATA, json.dumps(about)
    save(proto, file)


def save(proto: Any, file: Path) -> None:
    """Write a model: in one file, or where its weights are too large for one, with them in `FILE.data` beside it."""
    import onnx

    data = file.with_name(f"{file.name}.data")
    data.unlink(missing_ok=True)
    beside = sum(len(weight.raw_data) for weight in proto.graph.initializer) > _LARGEST
    onnx.save_model(proto, file, save_as_external_data=beside, location=data.name)


def session_answer(path: Path) -> Answer:
    """Open a model under onnxruntime, on the CPU, as a function of a batch's inputs."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def answer(inputs: tuple[Tensor, ...]) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return answer


def to_onnx(program: ExportedProgram, names: Sequence[str] = ()) -> Any:
    """Turn a torch program into an ONNX model, whose inputs are called `names`; unnamed ones `input_0`, `input_1`, ….

    Raises RunError where that cannot be done.
    """
    import torch

    count = len(program.graph_signature.user_inputs)
    called = [*names[:count], *(f"input_{place}" for place in range(len(names), count))]
    try:
        with quiet():
            made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=called, output_names=[OUTPUT])
    except Exception as error:
        raise RunError(f"this model cannot be exported to ONNX: {first_line(error)}") from error
    assert made is not None
    proto = made.model_proto
    _name_batch(proto)
    return proto


def _name_batch(proto: Any) -> None:
    """Call the first dimension of what goes in and out `batch`."""
    del proto.graph.value_info[:]  # they name the dimension otherwise, and are worked out when the model is loaded
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _quantize(file: Path) -> Any:
    """Quantise a model in its file, and return it."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(file, file, weight_type=QuantType.QUInt8)
    return onnx.load(file)
