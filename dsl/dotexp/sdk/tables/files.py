"""Files opened for tables: bounded, decompressed, digested as they are read, decoded into blocks of whole lines."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from dotexp.language.diagnostics import ComponentError

LARGEST = 64 * 1024**3
"""Bytes of a file, compressed and decompressed: a billion MovieLens ratings take less than half of it."""

BLOCK = 1 << 19
"""Bytes read at once: Polars needs up to a hundred times their memory."""

LONGEST = 1 << 26
"""Characters of one line."""

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"


class Digest(Protocol):
    """What a file's bytes are fed to, such as hashlib.sha256()."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...


class NoDigest:
    """A digest that nobody asks for."""

    def update(self, data: bytes, /) -> None:
        """Ignore the bytes."""


def open_file(path: Path, field: str) -> BinaryIO:
    """Open a file for reading; raises ComponentError (E401), naming `field`, where it cannot be read."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe or a device may never end
            raise ComponentError(f"{path} is not a file", field=field, code="E401")
        return path.open("rb")
    except FileNotFoundError:
        message = f"there is no file {path}"
    except IsADirectoryError:
        message = f"{path} is a folder, not a file"
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
    raise ComponentError(message, field=field, code="E401")


def is_compressed(path: Path, field: str) -> bool:
    """Return whether a file holds more than its size says: gzip or Parquet. Raises as `open_file`."""
    return is_parquet(path, field) or _first_bytes(path, field).startswith(_GZIP)


def is_parquet(path: Path, field: str) -> bool:
    """Return whether a file is Parquet. Raises as `open_file`."""
    return _first_bytes(path, field) == _PARQUET


def digest_file(path: Path, field: str, digest: Digest) -> None:
    """Feed a whole file to a digest. Raises as `open_file`."""
    with open_file(path, field) as file:
        while data := file.read(BLOCK):
            digest.update(data)


def decoded_lines(path: Path, field: str, encoding: str, encoding_field: str, digest: Digest) -> Iterator[str]:
    """Yield a file's text, plain or gzip, in blocks of whole lines.

    Raises ComponentError: E401 as `open_file`, E402 where the file is too large, damaged or in another encoding.
    """
    with open_file(path, field) as file:
        lines = 0
        held = ""
        decoder = codecs.getincrementaldecoder(encoding)()
        raw = _Bounded(file, path, field, digest)
        compressed = _first_bytes(path, field).startswith(_GZIP)
        for data in _decompressed(raw, path, field) if compressed else raw.blocks():
            try:
                text = decoder.decode(data, final=not data)
                if not text.isascii():
                    text.encode()  # some encodings decode to halves of characters
            except UnicodeError as error:
                lines += held.count("\n")
                if isinstance(error, UnicodeDecodeError):
                    lines += error.object[: error.start].count(b"\n")
                raise _another_encoding(path, field, encoding, encoding_field, lines + 1) from None
            held += text
            if not lines:
                held = held.removeprefix("\ufeff")
            cut = held.rfind("\n") + 1 if data else len(held)
            if not cut and len(held) > LONGEST:
                raise ComponentError(f"{path}, line {lines + 1}: longer than {LONGEST:,} characters", field=field)
            if cut:
                lines += held.count("\n", 0, cut)
                yield held[:cut]
                held = held[cut:]


class _Bounded:
    """A file's bytes, digested as they are read; more than `LARGEST` are refused."""

    def __init__(self, file: BinaryIO, path: Path, field: str, digest: Digest) -> None:
        self._file = file
        self._path = path
        self._field = field
        self._digest = digest
        self._seen = 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        data = self._file.read(size)
        self._digest.update(data)
        self._seen += len(data)
        require_moderate(self._seen, self._path, self._field)
        return data

    def blocks(self) -> Iterator[bytes]:
        """Yield the whole file, and b"" at its end."""
        while data := self.read(BLOCK):
            yield data
        yield b""


def require_moderate(size: int, path: Path, field: str, largest: int | None = None) -> None:
    """Raise ComponentError (E402) for more than `largest` bytes (None: `LARGEST`)."""
    largest = LARGEST if largest is None else largest
    if size > largest:
        raise ComponentError(f"{path} has more than {largest:,} bytes", field=field)


def _decompressed(raw: _Bounded, path: Path, field: str) -> Iterator[bytes]:
    size = 0
    try:
        with gzip.GzipFile(fileobj=raw) as file:  # type: ignore[call-overload]  # it only reads
            while data := file.read(BLOCK):
                size += len(data)
                require_moderate(size, path, field)
                yield data
    except (OSError, EOFError, zlib.error) as error:
        raise ComponentError(f"{path} is a gzip file that does not unpack: {error}", field=field) from None
    yield b""


def _first_bytes(path: Path, field: str) -> bytes:
    with open_file(path, field) as file:
        return file.read(4)


def _another_encoding(path: Path, field: str, encoding: str, encoding_field: str, line: int) -> ComponentError:
    return ComponentError(
        f"{path}, line {line}: not {encoding} text",
        field=field,
        help=f'name the file\'s encoding: {encoding_field} = "latin-1" is common, and takes every byte'
        if encoding != "latin-1"
        else "",
    )
