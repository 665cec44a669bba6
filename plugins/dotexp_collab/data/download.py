"""Archives fetched from the network: bounded, checked against a published sum, and unpacked safely and atomically."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import IO, NamedTuple

_TIMEOUT = 30.0
_READ = 1 << 20


class Archive(NamedTuple):
    """A zip file somewhere: its size in bytes and SHA-256, the folder that it holds, and that folder's most bytes."""

    url: str
    size: int
    sha256: str
    folder: str
    unpacked: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[-1]


class FetchError(Exception):
    """An archive cannot be had, is not the published one, or cannot be unpacked; the message says why."""


def fetch(archive: Archive, into: Path) -> Path:
    """Put an archive's folder into a folder, from an archive that lies there, else from the network; return it.

    At any time the folder is there whole, or not at all. Raises FetchError.
    """
    target = into / archive.folder
    packed = into / archive.name
    try:
        into.mkdir(parents=True, exist_ok=True)
        if packed.is_file():
            _check(packed, archive)
            _unpack_into(packed, archive, target)
        else:
            with _scratch(into / f".{archive.name}.{token_hex(6)}.part") as part:
                _download(archive, part)
                _check(part, archive)
                _unpack_into(part, archive, target)
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        said = (cause.strerror if isinstance(cause, OSError) else None) or cause
        raise FetchError(f"{archive.url} cannot be fetched into {into}: {said}") from error
    return target


def unpack(packed: Path, into: Path, most: int) -> None:
    """Unpack a zip file's regular files into a folder; raises FetchError for names that lead out, links, and bombs."""
    try:
        with zipfile.ZipFile(packed) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            for entry in entries:
                _refuse_name(entry, packed)
            if sum(entry.file_size for entry in entries) > most:
                raise FetchError(f"{packed} holds more than {most:,} bytes")
            left = most
            for entry in entries:
                target = into.joinpath(*PurePosixPath(entry.filename).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("xb") as out:
                    left = _copy(source, out, left, packed)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise FetchError(f"{packed} cannot be unpacked: {error}") from error


def _copy(source: IO[bytes], out: IO[bytes], left: int, packed: Path) -> int:
    while data := source.read(_READ):
        left -= len(data)
        if left < 0:  # an entry may be larger than it says
            raise FetchError(f"{packed} holds more than it says")
        out.write(data)
    return left


def _refuse_name(entry: zipfile.ZipInfo, packed: Path) -> None:
    path = PurePosixPath(entry.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename
    kind = entry.external_attr >> 28  # the file's type, where the archive was made on a Unix; 8 is a regular file
    if outside or not path.parts or kind not in (0, 8):
        raise FetchError(f"{packed} holds `{entry.filename}`, which is no file inside it")


def _download(archive: Archive, part: Path) -> None:
    seen = 0
    with urllib.request.urlopen(archive.url, timeout=_TIMEOUT) as answer, part.open("xb") as out:
        while data := answer.read(_READ):
            seen += len(data)
            if seen > archive.size:
                raise FetchError(f"{archive.url} is longer than the {archive.size:,} bytes that are published")
            out.write(data)


def _check(packed: Path, archive: Archive) -> None:
    size = packed.stat().st_size
    digest = sha256()
    with packed.open("rb") as file:
        while data := file.read(_READ):
            digest.update(data)
    if (size, digest.hexdigest()) != (archive.size, archive.sha256):
        raise FetchError(
            f"{archive.name} is not what was published: {size:,} bytes, SHA-256 {digest.hexdigest()[:16]}…; "
            f"published: {archive.size:,} bytes, {archive.sha256[:16]}…"
        )


def _unpack_into(packed: Path, archive: Archive, target: Path) -> None:
    with _scratch(target.with_name(f".{archive.folder}.{token_hex(6)}.tmp")) as scratch:
        unpack(packed, scratch, archive.unpacked)
        if not (scratch / archive.folder).is_dir():
            raise FetchError(f"{archive.name} does not hold the folder {archive.folder}")
        os.replace(scratch / archive.folder, target)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A path for a while: whatever was made there is gone afterwards."""
    try:
        yield path
    finally:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
