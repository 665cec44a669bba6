"""Whether the weights file that a body starts from is there: all that can be known of it without torch."""

from __future__ import annotations

import json
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.components.bases import BodyParams, FileWeights
from dotexp.components.component import Use
from dotexp.language.diagnostics import Diagnostic

if TYPE_CHECKING:
    from dotexp.experiment.resolve import Resolved


def missing_file(path: Path) -> tuple[str, str] | None:
    """Say that a weights file is missing, and which file near by may be meant; None where it is there.

    A folder is there where it holds weights, or is a run's or a bundle's.
    """
    if path.is_file() or (path / "resolved.exp").is_file():
        return None
    if path.is_dir():
        found = files_in(path)
        return found if isinstance(found, tuple) else None
    try:
        near = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.7)
    except OSError:
        near = []
    return f"no such weights file: {path}", f"did you mean {path.parent / near[0]}?" if near else ""


def files_in(folder: Path) -> list[Path] | tuple[str, str]:
    """Find the weights in a downloaded model's folder: `model.safetensors`, what an index names, or the only file.

    Where there are none, or several, return the message and the help that say so.
    """
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if index.is_file():
        return _indexed(index)
    found = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")) or sorted(folder.glob("*.pth"))
    if len(found) == 1:
        return found
    held = ", ".join(file.name for file in found[:_SHOWN]) or "no .safetensors, .bin or .pth file"
    help = "name the file that is meant" if found else "a downloaded model has model.safetensors in it"
    return f"the folder {folder} holds no model.safetensors, but {held}", help


def _indexed(index: Path) -> list[Path] | tuple[str, str]:
    """Return the files that an index of weights names, or what is wrong with it."""
    try:
        names = sorted({Path(name).name for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{index} is no index of weights: {type(error).__name__}: {error}", ""
    lost = [name for name in names if not (index.parent / name).is_file()]
    if lost:
        return f"the folder {index.parent} lacks {', '.join(lost[:_SHOWN])}, which its index names", ""
    return [index.parent / name for name in names]


_SHOWN = 3


def check_weight_file(resolved: Resolved) -> Diagnostic | None:
    """Report a weights file that is missing: E405, or W510 where the data is not there either.

    A spec that is checked away from its files, as when it is written, is no error.
    """
    experiment = resolved.experiment
    body = experiment.model.body
    path = _path(body.params.weights) if body is not None and isinstance(body.params, BodyParams) else None
    missing = missing_file(path) if path is not None else None
    if missing is None:
        return None
    data = [value for _, value in experiment.data.params if isinstance(value, Path)]
    away = bool(data) and not any(each.exists() for each in data)
    origins = resolved.origins
    span = origins.get("model.body.weights.path") or origins.get("model.body.weights") or origins.get("model.body")
    message, help = missing
    return Diagnostic("W510" if away else "E405", message, span, help=help)


def _path(weights: object) -> Path | None:
    if isinstance(weights, Use) and isinstance(weights.params, FileWeights):
        return weights.params.path
    return weights if isinstance(weights, Path) else None
