"""Weights from files, for plugins with bodies: read without running code, and held against the model by name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dotexp.language.diagnostics import ComponentError

SHOWN = 3
"""Tensors that a message names before it counts the rest."""

Tensors = Mapping[str, Tensor]

_OF_RUN = ("normalize.", "body.", "head.", "model.")


def read_tensors(path: Path) -> Tensors:
    """Read the tensors of a .safetensors file, or of a .pth or .pt one without running code that it may hold.

    A folder, as of a model downloaded from the Hugging Face Hub, stands for the weights file in it, or the several that
    its index names. Raises ComponentError (E405) where there is no such file, or it cannot be read, or holds anything
    else.
    """
    if path.is_dir():
        return {name: tensor for file in _files_in(path) for name, tensor in read_tensors(file).items()}
    if not path.is_file():
        raise unusable(f"no such weights file: {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the readers raise whatever it leads them to
        raise unusable(f"{path} cannot be read as weights: {first_line(error)}") from error
    if not _is_state(loaded):
        inner = [str(key) for key, value in loaded.items() if _is_state(value)] if isinstance(loaded, Mapping) else []
        help = f"there is one in it, called {inner[0]}: save that alone" if inner else ""
        raise unusable(f"{path} holds no state dict: a mapping of names to tensors is wanted", help)
    return cast(Tensors, loaded)


def _files_in(folder: Path) -> list[Path]:
    """Find the weights in a model's folder: `model.safetensors`, the parts that an index names, or the only file."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if index.is_file():
        try:
            names = sorted({Path(name).name for name in json.loads(index.read_bytes())["weight_map"].values()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise unusable(f"{index} is no index of weights: {first_line(error)}") from error
        return [folder / name for name in names]
    found = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")) or sorted(folder.glob("*.pth"))
    if len(found) != 1:
        held = ", ".join(file.name for file in found[:SHOWN]) or "no .safetensors, .bin or .pth file"
        help = "name the file that is meant" if found else "a downloaded model has model.safetensors in it"
        raise unusable(f"the folder {folder} holds no model.safetensors, but {held}", help)
    return found


def fill(
    model: nn.Module, tensors: Tensors, source: str, body: nn.Module | None = None, cut: Collection[str] = ()
) -> None:
    """Load tensors, by the model's own names, into the part of it that `body` holds (None: all of it).

    Tensors of the rest of the model, and whatever goes by the names in `cut` or lies under them, are left out. Batch
    norm's count of batches may be missing. `source` says in messages where the tensors are from. Raises ComponentError
    (E405), naming the first few tensors of each kind and counting them, where the body's are missing or of another
    shape, or there are some that the model does not have.
    """
    own = model.state_dict(keep_vars=True)
    held = {id(tensor) for tensor in (body or model).state_dict(keep_vars=True).values()}
    wanted = {name: tensor for name, tensor in own.items() if id(tensor) in held}
    rest = own.keys() - wanted.keys()
    kept = {name: tensor for name, tensor in tensors.items() if name not in rest and not _under(name, cut)}
    differing = [name for name in kept if name in wanted and kept[name].shape != wanted[name].shape]
    try:
        # the modules may know older names of their tensors: what is missing and added is theirs to say
        found = model.load_state_dict({n: t for n, t in kept.items() if n not in differing}, strict=False)
    except RuntimeError as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise unusable(f"{source} does not fit this body: {reason}") from error
    missing = [name for name in found.missing_keys if name in wanted and name not in differing and not _count(name)]
    faults = list(_said(missing, found.unexpected_keys, differing))
    if faults:
        of_run = all(name.startswith(_OF_RUN) for name in tensors)
        by = '`weights = run("…")` takes them by its name, `weights = "…"` by its folder'
        help = f"these are a run's weights: {by}" if of_run else ""
        raise unusable(f"{source} does not fit this body: {'; '.join(faults)}", help)


def unusable(message: str, help: str = "") -> ComponentError:
    """Make the error for weights that cannot be used: E405, at the parameter `weights`."""
    return ComponentError(message, field="weights", help=help, code="E405")


def first_line(error: Exception) -> str:
    """First line of an error's message, or its type's name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_state(loaded: object) -> bool:
    """Whether it maps names to tensors, one at least."""
    return isinstance(loaded, Mapping) and bool(loaded) and all(isinstance(t, Tensor) for t in loaded.values())


def _under(name: str, paths: Collection[str]) -> bool:
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def _count(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _said(missing: Sequence[str], added: Sequence[str], differing: Sequence[str]) -> Iterator[str]:
    for verb, names in (("it lacks", missing), ("it adds", added), ("shapes differ in", differing)):
        if names:
            rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"{verb} {len(names)} tensor{'s' if len(names) > 1 else ''} ({', '.join(names[:SHOWN])}{rest})"
