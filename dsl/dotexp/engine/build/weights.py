"""Weights on the disk: safetensors and nothing else, so that reading a run never executes code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dotexp.language.atomic import write_atomic
from dotexp.language.diagnostics import FORMAT_VERSION, ComponentError

_METADATA = "dotexp"


def save_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors atomically as contiguous copies on the CPU.

    Names that share one tensor are stored once; the metadata's `ties` maps each other name to the stored one.
    """
    stored: dict[tuple[object, ...], str] = {}
    ties: dict[str, str] = {}
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        first = stored.setdefault(_memory(tensor) if tensor.numel() else (name,), name)
        if first == name:
            kept[name] = tensor.detach().to("cpu", copy=True).contiguous()
        else:
            ties[name] = first
    # One key only: safetensors writes several in an order of its own, and equal weights must be equal bytes.
    metadata = {_METADATA: json.dumps({"format_version": FORMAT_VERSION, "ties": ties})}
    write_atomic(path, save(kept, metadata))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors that `save_weights` wrote, ties restored. Raises ComponentError E405 where they cannot be read."""
    try:
        with _openable(path) as place, safe_open(place, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        ties: dict[str, str] = json.loads(metadata.get(_METADATA, "{}")).get("ties", {})
        return tensors | {name: tensors[first] for name, first in ties.items()}
    except FileNotFoundError as error:
        raise ComponentError(f"there are no weights at {path}", field="weights", code="E405") from error
    except (OSError, SafetensorError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ComponentError(f"the weights at {path} cannot be read: {error}", field="weights", code="E405") from error


@contextmanager
def _openable(path: Path) -> Iterator[str]:
    """A name under which safetensors, which takes text only, opens a file whose path may be any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield str(path)


def require_fit(have: Mapping[str, Tensor], want: Mapping[str, Tensor], path: Path) -> None:
    """Raise ComponentError E405, naming the tensors, unless both hold the same names and shapes."""
    faults = [
        *_named("missing", sorted(want.keys() - have.keys())),
        *_named("not in the model", sorted(have.keys() - want.keys())),
        *_named(
            "of another shape",
            [
                f"{name} {tuple(have[name].shape)} for {tuple(want[name].shape)}"
                for name in sorted(have.keys() & want.keys())
                if have[name].shape != want[name].shape
            ],
        ),
    ]
    if faults:
        message = f"the weights at {path} do not fit the model: {'; '.join(faults)}"
        raise ComponentError(message, field="weights", help="they come from another architecture", code="E405")


def _memory(tensor: Tensor) -> tuple[object, ...]:
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())


def _named(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what}: {', '.join(names[:_SHOWN])}{more}"]


_SHOWN = 5


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no number in any of the tensors is NaN or infinite; waits for the device once."""
    if not tensors:
        return True
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())
