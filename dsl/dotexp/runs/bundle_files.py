"""Files of a bundle, compared with the checksums in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

from dotexp.language.diagnostics import UsageError
from dotexp.runs.files import read_json

FORMAT_VERSION = 1
MANIFEST = "bundle.json"
_SHOWN = 5


def is_bundle(path: Path) -> bool:
    """Whether a folder is a bundle."""
    return (path / MANIFEST).is_file()


def require_sound(path: Path) -> None:
    """Raise UsageError, naming every file that is missing or not as it was written, unless a bundle is whole."""
    manifest = read_json(path / MANIFEST)
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise UsageError(f"{path} is a bundle of format {version}, and this dotexp reads format {FORMAT_VERSION}")
    files = manifest.get("files")
    if not isinstance(files, Mapping) or not files:
        raise UsageError(f"{path / MANIFEST} lists no files: it is not a bundle's")
    faults = [f"{name} {fault}" for name, row in files.items() if (fault := _fault(path / Path(name).name, row))]
    if faults:
        more = f", and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise UsageError(f"the bundle {path} is damaged: {', '.join(faults[:_SHOWN])}{more}; copy it again")


def checksum(path: Path) -> str:
    """Return a file's SHA-256, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _fault(file: Path, row: Any) -> str:
    if not file.is_file():
        return "is missing"
    return "" if isinstance(row, Mapping) and checksum(file) == row.get("sha256") else "is not as it was written"
