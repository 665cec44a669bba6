"""Archives fetched from the network: bounded, checked against a published sum, and unpacked safely and atomically."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import IO, Any, NamedTuple

_TIMEOUT = 30.0
_READ = 1 << 20


class Archive(NamedTuple):
    """A zip file on the network: its size in bytes and SHA-256, and the folder in it with that folder's most bytes."""

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
    """An archive cannot be downloaded, is not the published one, or cannot be unpacked; the message says why."""


def fetch(archive: Archive, into: Path) -> Path:
    """Unpack an archive's folder into `into` and return it; an archive that is not there already is downloaded.

    At any time the folder is there whole, or not at all. Raises FetchError.
    """
    target = into / archive.folder
    try:
        into.mkdir(parents=True, exist_ok=True)
        if (into / archive.name).is_file():
            _check(into / archive.name, archive)
            _unpack_into(into / archive.name, archive, target)
        else:
            with _scratch(into / f".{archive.name}.{token_hex(6)}.part") as folder:
                _unpack_into(_download(archive, folder), archive, target)
    except OSError as error:  # what requests raises is an OSError too
        raise FetchError(f"{archive.url} cannot be fetched into {into}: {error.strerror or error}") from error
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


class _BoundedWriter:
    """A file that takes no more bytes than the archive has."""

    def __init__(self, file: IO[bytes], archive: Archive) -> None:
        self._file = file
        self._archive = archive
        self._left = archive.size

    def write(self, data: bytes) -> int:
        """Write bytes; raises FetchError for more than were published."""
        self._left -= len(data)
        if self._left < 0:
            published = f"the {self._archive.size:,} bytes that were published"
            raise FetchError(f"{self._archive.url} is longer than {published}")
        return self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def _download(archive: Archive, folder: Path) -> Path:
    """Download an archive into a folder; Pooch checks its sum. Raises FetchError, OSError."""
    import pooch

    def bounded(url: str, path: str, *_: Any) -> None:
        with open(path, "wb") as file:
            pooch.HTTPDownloader(timeout=_TIMEOUT)(url, _BoundedWriter(file, archive), None)

    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(archive.url, f"sha256:{archive.sha256}", archive.name, folder, downloader=bounded))
    except ValueError:  # the sum is another one
        raise FetchError(f"{archive.url} is not what was published: its SHA-256 is another one") from None


def _check(packed: Path, archive: Archive) -> None:
    import pooch

    if pooch.file_hash(str(packed), "sha256") != archive.sha256:
        raise FetchError(f"{packed} is not what was published: its SHA-256 is another one")


def _unpack_into(packed: Path, archive: Archive, target: Path) -> None:
    with _scratch(target.with_name(f".{archive.folder}.{token_hex(6)}.tmp")) as scratch:
        unpack(packed, scratch, archive.unpacked)
        if not (scratch / archive.folder).is_dir():
            raise FetchError(f"{archive.name} does not hold the folder {archive.folder}")
        os.replace(scratch / archive.folder, target)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Yield a path; whatever folder was made there is removed afterwards."""
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
