"""Checkpoints as files: written so that a sound one is always there, and read only once their checksum is right.

A checkpoint is `<stage>-<step>-<epochs>.safetensors` and, written last, its manifest of the same name in JSON: the
stage, from 1, the steps done in it, and the epochs done in the whole run. The newest is the one furthest on, whatever
a clock says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from dotexp.language.atomic import write_atomic

FORMAT_VERSION = 1
_MANIFEST = re.compile(r"(\d{1,9})-(\d{1,18})-(\d{1,9})\.json")


@dataclass(frozen=True, order=True)
class Position:
    """How far a run is: stages done, steps done in the stage that follows, epochs done in the whole run.

    After an epoch's last step and before its validation, `epochs` does not count it yet.
    """

    stage: int
    step: int
    epochs: int

    @property
    def name(self) -> str:
        """Stem of the checkpoint's files."""
        return f"{self.stage + 1}-{self.step}-{self.epochs}"


@dataclass(frozen=True)
class Stored:
    """A checkpoint that was read and is sound: its position, its manifest's facts, and its tensors' bytes."""

    position: Position
    facts: Mapping[str, Any]
    tensors: bytes


@dataclass(frozen=True)
class Damaged:
    """A checkpoint that cannot be used, and why."""

    path: Path
    reason: str


class _UnsoundError(Exception):
    """A checkpoint's files are not as they were written."""


def positions(folder: Path) -> tuple[Position, ...]:
    """Positions of the checkpoints whose manifest is there, the newest first."""
    if not folder.is_dir():
        return ()
    matches = [_MANIFEST.fullmatch(path.name) for path in folder.iterdir()]
    return tuple(sorted((Position(int(m[1]) - 1, int(m[2]), int(m[3])) for m in matches if m), reverse=True))


def write_checkpoint(folder: Path, position: Position, facts: Mapping[str, Any], tensors: bytes) -> None:
    """Write a checkpoint. Raises OSError where it cannot be; older ones are as they were, then."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{position.name}.safetensors"
    content = {
        "format_version": FORMAT_VERSION,
        **facts,
        "tensors": {"sha256": sha256(tensors).hexdigest(), "bytes": len(tensors)},
    }
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    sealed = json.dumps({"sha256": sha256(text.encode()).hexdigest(), "content": text}, ensure_ascii=False)
    write_atomic(path, tensors)
    write_atomic(path.with_suffix(".json"), sealed.encode())


def read_newest(folder: Path) -> tuple[Stored | None, tuple[Damaged, ...]]:
    """Read the newest sound checkpoint, None where there is none, and name the newer ones that are damaged."""
    damaged: list[Damaged] = []
    for position in positions(folder):
        path = folder / f"{position.name}.json"
        try:
            return _read(path, position), tuple(damaged)
        except (_UnsoundError, OSError) as error:
            damaged.append(Damaged(path, str(error)))
    return None, tuple(damaged)


def read_start(folder: Path, stage: int) -> Stored | None:
    """Read the checkpoint of where a stage, from 0, starts; None where it is not kept, or damaged."""
    for position in positions(folder):
        if (position.stage, position.step) == (stage, 0):
            try:
                return _read(folder / f"{position.name}.json", position)
            except (_UnsoundError, OSError):
                return None
    return None


def read_facts(folder: Path, position: Position) -> Mapping[str, Any] | None:
    """Facts in a checkpoint's manifest, its tensors not looked at; None where it is damaged."""
    try:
        return _facts((folder / f"{position.name}.json").read_bytes())
    except (_UnsoundError, OSError):
        return None


def set_aside(damaged: Damaged) -> None:
    """Rename a damaged checkpoint's files, so that they are kept, and never taken for one again."""
    for path in (damaged.path, damaged.path.with_suffix(".safetensors")):
        if path.exists():
            path.rename(path.with_name(f"{path.name}.damaged"))


def remove_checkpoint(folder: Path, position: Position) -> None:
    """Remove a checkpoint, its manifest first."""
    for suffix in (".json", ".safetensors"):
        (folder / f"{position.name}{suffix}").unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a crash left half-written: temporary files, and tensors without a manifest."""
    if not folder.is_dir():
        return
    known = {position.name for position in positions(folder)}
    for path in tuple(_leftovers(folder, known)):
        path.unlink(missing_ok=True)


def _leftovers(folder: Path, known: set[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        temporary = path.name.startswith(".") and path.name.endswith(".tmp")
        if path.is_file() and (temporary or (path.suffix == ".safetensors" and path.stem not in known)):
            yield path


def _read(path: Path, position: Position) -> Stored:
    facts = _facts(path.read_bytes())
    wanted = facts["tensors"]
    file = path.with_suffix(".safetensors")
    if not file.is_file():
        raise _UnsoundError(f"{file.name} is missing")
    if file.stat().st_size != wanted["bytes"]:
        raise _UnsoundError(f"{file.name} has {file.stat().st_size} bytes and had {wanted['bytes']}")
    tensors = file.read_bytes()
    if sha256(tensors).hexdigest() != wanted["sha256"]:
        raise _UnsoundError(f"the bytes of {file.name} have changed")
    return Stored(position, facts, tensors)


def _facts(sealed: bytes) -> Mapping[str, Any]:
    try:
        envelope = json.loads(sealed)
        text = envelope["content"]
        if sha256(text.encode()).hexdigest() != envelope["sha256"]:
            raise _UnsoundError("the manifest's bytes have changed")
        facts: dict[str, Any] = json.loads(text)
        version = facts["format_version"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _UnsoundError("the manifest is not one") from error
    if version != FORMAT_VERSION:
        raise _UnsoundError(f"the manifest is of format {version}, and {FORMAT_VERSION} is known")
    return facts
