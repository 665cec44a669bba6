"""Tensors from weights files: safetensors, and PyTorch's own without running the code that it may hold."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast
from warnings import catch_warnings, simplefilter

import torch
from safetensors import safe_open
from torch import Tensor

from dotexp.components.bases import FileWeights
from dotexp.components.component import Use
from dotexp.experiment.weight_files import files_in, missing_file
from dotexp.language.wording import with_article
from dotexp.sdk import sniffing
from dotexp.sdk.weights.errors import first_line, unusable
from dotexp.sdk.weights.inspecting import inspection

Tensors = Mapping[str, Tensor]

_DEEPEST = 3
"""Levels of mappings in which a state dict is looked for."""
_SHOWN = 5
_GLOBAL = re.compile(r"GLOBAL ([\w.]*\w)")
_LIGHTNING = b"pytorch-lightning_version"
_OPTIMIZER = "param_groups"


class Source(NamedTuple):
    """A weights file, as a spec names it: its state dict goes by `key`, whose names start with `prefix`."""

    path: Path
    prefix: str = ""
    key: str = ""

    def written(self, prefix: str = "", key: str = "") -> str:
        """Write it as a spec does, with another prefix and key."""
        arguments = {"prefix": prefix or self.prefix, "key": key or self.key}
        named = "".join(f", {name} = {json.dumps(value)}" for name, value in arguments.items() if value)
        return f"weights = file({json.dumps(str(self.path), ensure_ascii=False)}{named})"


def is_file(weights: object) -> bool:
    """Return whether a body's `weights` are a file's: a path, or `file(…)`."""
    return isinstance(weights, Path) or (isinstance(weights, Use) and isinstance(weights.params, FileWeights))


def source_of(weights: Path | Use) -> Source:
    """Return the file that a body's `weights` name."""
    if isinstance(weights, Path):
        return Source(weights)
    params = weights.params
    assert isinstance(params, FileWeights)
    return Source(params.path, params.prefix, params.key)


def read_tensors(weights: Path | Use) -> Tensors:
    """Read the tensors that a path or `file(…)` names; without values while weights are inspected for a plan.

    A folder, as of a model downloaded from the Hugging Face Hub, stands for the weights file in it, or the several that
    its index names. Raises ComponentError (E405) where there is no such file, or it cannot be read, or holds anything
    else.
    """
    source = source_of(weights)
    if missing := missing_file(source.path):
        raise unusable(*missing)
    files = files_in(source.path) if source.path.is_dir() else [source.path]
    if isinstance(files, tuple):
        raise unusable(*files)
    tensors: dict[str, Tensor] = {}
    for file in files:
        _require_weights(file)
        tensors |= _state(_load(file), source._replace(path=file))
    if not source.prefix:
        return tensors
    stripped = {
        name.removeprefix(source.prefix): tensor for name, tensor in tensors.items() if name.startswith(source.prefix)
    }
    if not stripped:
        starts = sorted({f"`{name.partition('.')[0]}.`" for name in tensors})
        listed = ", ".join(starts[:5]) + (", …" if len(starts) > 5 else "")
        raise unusable(f"no tensor's name in {source.path} starts with `{source.prefix}`", f"names start with {listed}")
    return stripped


def _require_weights(path: Path) -> None:
    """Raise ComponentError (E405) for a file that is known for another kind of file."""
    start = sniffing.first_bytes(path)
    content = sniffing.sniff(start)
    if content is sniffing.ZIP:
        content = _zip_content(path)
    if content is sniffing.PICKLE:  # torch.save's old form, or anything
        return
    if content is None and (text := sniffing.shown_text(start)) is not None and not start.startswith(b"\x80"):
        raise unusable(f"{path} is text, not weights: {text}")
    if content is not None:
        raise unusable(f"{path} is {content.name}, not PyTorch weights", content.cure)


def _zip_content(path: Path) -> sniffing.Content | None:
    """Return what a zip archive is, unless it is one of torch.save's."""
    try:
        with zipfile.ZipFile(path) as archive:
            archived = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return None  # torch says what is wrong
    names = [name.partition("/")[2] for name in archived]
    if "constants.pkl" in names:
        return sniffing.Content("a TorchScript program", "where it was made, save its state_dict()")
    if names and all(name.endswith(".npy") for name in archived):
        return sniffing.Content("a NumPy archive", "save its arrays as tensors in a .safetensors file")
    return None if "data.pkl" in names else sniffing.ZIP


def _load(path: Path) -> object:
    """Load what a file holds, on the meta device while weights are inspected for a plan alone."""
    looked_at = inspection()
    meta = looked_at is not None and not looked_at.for_run
    try:
        if _is_safetensors(path):
            return _load_safetensors(path, meta)
        with catch_warnings():
            simplefilter("ignore")  # torch's, to those who wrote the file
            return _load_pickled(path, "meta" if meta else "cpu")
    except Exception as error:  # a damaged file makes the readers raise whatever it leads them to
        raise _unreadable(path, error) from error


def _load_pickled(path: Path, device: str) -> object:
    try:
        with torch.device(device):  # sparse tensors are made on the default device
            if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
                return torch.load(path, map_location=device, weights_only=True, mmap=True)
            with path.open("rb") as file:  # by its name, torch goes by the suffix
                return torch.load(file, map_location=device, weights_only=True)
    except NotImplementedError:  # the meta device cannot check a sparse tensor's indices
        if device == "cpu":
            raise
        return _load_pickled(path, "cpu")


def _is_safetensors(path: Path) -> bool:
    start = sniffing.first_bytes(path)
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size


def _load_safetensors(path: Path, meta: bool) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        if not meta:
            return {name: file.get_tensor(name) for name in names}
        kinds: dict[str, torch.dtype] = {}
        shapes: dict[str, list[int]] = {}
        for name in names:
            part = file.get_slice(name)
            shapes[name], kinds[name] = part.get_shape(), _DTYPES.get(part.get_dtype(), torch.float32)
    return {name: torch.empty(shapes[name], dtype=kinds[name], device="meta") for name in names}


_DTYPES = {
    **{f"F{bits}": getattr(torch, f"float{bits}") for bits in (16, 32, 64)},
    **{f"I{bits}": getattr(torch, f"int{bits}") for bits in (8, 16, 32, 64)},
    "BF16": torch.bfloat16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def _unreadable(path: Path, error: Exception) -> Exception:
    """Say in plain words why a file cannot be loaded: torch's own say how to run its code."""
    found = _GLOBAL.search(str(error))
    if found is not None and "weights_only" in str(error):
        holder = "a Lightning checkpoint" if _mentions(path, _LIGHTNING) else "a file"
        message = f"{path} is {holder} that holds Python objects ({found[1]}), which are not read: they may run code"
        return unusable(message, "where it was made, save the state dict alone: torch.save(model.state_dict(), …)")
    reason = first_line(error)
    damaged = "it is damaged or incomplete"
    if _is_cut_short(path):
        reason = damaged
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    elif "weights_only" in str(error) or "Unpickl" in type(error).__name__ or "pickle" in reason.lower():
        reason = "it is damaged, or no file of torch.save's"
    elif any(word in reason for word in ("zip archive", "PytorchStreamReader", "EOF", "corrupted")):
        reason = damaged
    return unusable(f"{path} cannot be read as weights: {reason}")


def _is_cut_short(path: Path) -> bool:
    """Return whether a file starts as a zip archive and does not end as one."""
    return sniffing.sniff_file(path) is sniffing.ZIP and not zipfile.is_zipfile(path)


def _mentions(path: Path, text: bytes) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            return text in archive.read(pickled)
    except (OSError, zipfile.BadZipFile, StopIteration):
        return False


def _state(loaded: object, source: Source) -> Tensors:
    """Return the state dict that a file holds, or the one of the given key. Raises ComponentError (E405)."""
    path = source.path
    inner = dict(_states(loaded))
    if source.key:
        if source.key in inner:
            return inner[source.key]
        listed = ", ".join(f"`{key}`" for key in inner if key) or "none"
        raise unusable(f"{path} holds no state dict `{source.key}`", f"state dicts in it: {listed}")
    if "" in inner:
        return inner[""]
    if not inner:
        raise unusable(f"{path} holds no state dict: a mapping of names to tensors is wanted", _held(loaded))
    key = next(iter(inner))
    lightning = isinstance(loaded, Mapping) and _LIGHTNING.decode() in loaded
    what = "a Lightning checkpoint" if lightning else "a checkpoint"
    more = f" and {len(inner) - _SHOWN} more" if len(inner) > _SHOWN else ""
    several = f" ({', '.join(f'`{each}`' for each in [*inner][:_SHOWN])}{more})" if len(inner) > 1 else ""
    prefix = _common_prefix(inner[key])
    raise unusable(
        f"{path} is {what}, with its state dict{'s' * bool(several)} inside{several or f', called `{key}`'}",
        source.written(prefix, key),
    )


def _states(loaded: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensors]]:
    """Yield the state dicts in nested mappings by their keys, joined by points; that of the whole by "".

    An optimizer's state, a mapping of tensors for each parameter, is none.
    """
    if not isinstance(loaded, Mapping) or _OPTIMIZER in loaded:
        return
    if loaded and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in loaded.items()):
        yield ".".join(path), cast(Tensors, loaded)
        return
    for name, each in loaded.items() if len(path) < _DEEPEST else ():
        yield from _states(each, (*path, str(name)))


def _held(loaded: object) -> str:
    """Say what a file without a state dict holds; of a mapping, what keeps it from being one."""
    if isinstance(loaded, Mapping) and _OPTIMIZER in loaded:
        return "it holds the state of an optimizer"
    if isinstance(loaded, Mapping):
        named = [f"{name} ({type(each).__name__})" for name, each in loaded.items() if not isinstance(each, Tensor)]
        tensors = f"{len(loaded) - len(named)} tensors, " if len(named) < len(loaded) else ""
        listed = f"{', '.join(named[:_SHOWN])}{', …' if len(named) > _SHOWN else ''}"
        return f"it holds {tensors}{listed}" if loaded else "it holds nothing"
    return f"it holds {with_article(type(loaded).__name__)}"


def _common_prefix(tensors: Mapping[str, Any]) -> str:
    """Return what all names start with, up to a point."""
    first, last = min(tensors), max(tensors)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first.rfind(".", 0, same) + 1]
