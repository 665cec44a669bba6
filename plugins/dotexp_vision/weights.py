"""Weights for a body: torchvision's, or a file's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from dotexp import ComponentError
from safetensors.torch import load_file
from torch import Tensor, nn

CLASSIFIER = ("fc.", "classifier.")
SHOWN = 3
"""Tensors that a message names before it counts the rest."""

Tensors = Mapping[str, Tensor]


def load_weights(module: nn.Module, weights: StrEnum | Path, published: Any, rename: Callable[[str], str]) -> None:
    """Fill a body with weights: `published` is torchvision's enum of them, `rename` maps its names to the body's.

    Classifier tensors (`fc.*`, `classifier.*`) are left out, and so is the count of batches in batch norm where a
    file lacks it. Raises ComponentError (E405) where the weights are missing, cannot be read, or are not this body's.
    """
    if isinstance(weights, Path):
        found, source = read_tensors(weights), str(weights)
    else:
        entry = getattr(published, _published_name(weights))
        found, source = _download(entry), str(entry)
    kept = {rename(name): tensor for name, tensor in found.items() if not name.startswith(CLASSIFIER)}
    _refuse_strangers(module.state_dict(), kept, source)
    module.load_state_dict(kept, strict=False)


def read_tensors(path: Path) -> Tensors:
    """Read the tensors of a .safetensors file, or of a .pth or .pt one without running code that it may hold."""
    if not path.is_file():
        raise _unusable(f"no such weights file: {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the readers raise whatever it leads them to
        raise _unusable(f"{path} cannot be read as weights: {_first_line(error)}") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise _unusable(f"{path} holds no state dict: a mapping of names to tensors is wanted")
    return loaded


def _published_name(weights: StrEnum) -> str:
    versions = {"imagenet": "DEFAULT", "imagenet_v1": "IMAGENET1K_V1", "imagenet_v2": "IMAGENET1K_V2"}
    return versions[weights.value]


def _download(entry: Any) -> Tensors:
    name = entry.url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    try:
        found: Tensors = entry.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    except Exception as error:  # no network, a wrong hash, a damaged file, a full disk: one way forward for all
        state = "cannot be read" if path.exists() else "are not on this machine and cannot be downloaded"
        raise _unusable(
            f"the weights {entry} {state}: {_first_line(error)}",
            f'put {name}, whole, into {path.parent}, or give it as weights = "…/{name}"',
        ) from error
    return found


def _refuse_strangers(own: Tensors, given: Tensors, source: str) -> None:
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    extra = [name for name in given if name not in own]
    differing = [name for name in own if name in given and own[name].shape != given[name].shape]
    faults = [
        f"{verb} {_some(names)}"
        for verb, names in (("it lacks", missing), ("it adds", extra), ("shapes differ in", differing))
        if names
    ]
    if faults:
        raise _unusable(f"{source} does not fit this body: {'; '.join(faults)}")


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({', '.join(names[:SHOWN])}{rest})"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _unusable(message: str, help: str = "") -> ComponentError:
    return ComponentError(message, field="weights", help=help, code="E405")
