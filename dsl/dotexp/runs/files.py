"""JSON and text files of a run: written atomically, read back as typed values, with errors that name the file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dotexp.language.atomic import write_atomic
from dotexp.language.diagnostics import UsageError
from dotexp.language.machine_faults import file_fault

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_T = TypeVar("_T")


def write_text(path: Path, text: str) -> None:
    """Write text atomically, as UTF-8 with `\\n`."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; numbers that are not finite become null."""
    write_text(path, json.dumps(finite(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """Copy JSON-like values with None in place of NaN and the infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises as `read_as`."""
    values = read_as(dict[str, Any], path, "a JSON object")
    return values


def read_as(kind: type[_T], path: Path, what: str) -> _T:
    """Read a JSON file as a type; fields that the type does not have are left out.

    Raises UsageError where the file is missing or is not `what`, MachineError where it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing: the run did not get that far, or the folder is not a run's") from error
    except OSError as error:
        raise file_fault("read", path, error) from error
    return parse_as(kind, content, path, what)


def parse_as(kind: type[_T], content: bytes, path: Path, what: str) -> _T:
    """Parse JSON from a file as a type. Raises UsageError as `read_as`."""
    from pydantic import ValidationError

    try:
        values: _T = _adapter(kind).validate_json(content, strict=True)  # type: ignore[arg-type]  # a type has a hash
        return values
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise UsageError(f"{path} cannot be read: {first['msg']}") from error
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path} is not {what}: {f'{place}: ' if place else ''}{first['msg']}") from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes out for the moment that it takes to look into a folder and write there."""
    try:
        import fcntl
    except ImportError:  # Windows: two that start in the very same moment could both go on
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks is as Windows
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
