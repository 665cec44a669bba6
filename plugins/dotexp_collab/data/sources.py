"""Files opened with care: bounded, unpacked, digested as they are read, and cut into blocks of whole lines."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from dotexp import ComponentError

from dotexp_collab.data.params import Header

LARGEST = 64 * 1024**3
"""Bytes of a file, packed and unpacked: a billion ratings of MovieLens are less than half of it."""

BLOCK = 1 << 19
"""Bytes that are read at once: what a block becomes takes a hundred times the memory of its bytes at most."""

_LONGEST = 1 << 26
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"


class Digest(Protocol):
    """What a file's bytes are fed to, such as hashlib.sha256()."""

    def update(self, data: bytes, /) -> None:
        """Take in bytes."""
        ...


@dataclass(frozen=True)
class Form:
    """How a text file is written."""

    separator: str
    quotes: bool
    encoding: str
    header: Header | bool
    encoding_field: str = "encoding"


def open_file(path: Path, field: str) -> BinaryIO:
    """Open a file for reading; raises ComponentError (E401), naming `field`, where it cannot be."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device may never end
            raise ComponentError(f"{path} is not a file", field=field, code="E401")
        return path.open("rb")
    except FileNotFoundError:
        message = f"there is no file {path}"
    except IsADirectoryError:
        message = f"{path} is a folder, not a file of ratings"
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
    raise ComponentError(message, field=field, code="E401")


def is_packed(path: Path, field: str) -> bool:
    """Tell whether a file holds more than its size says: gzip or Parquet. Raises as `open_file`."""
    return is_parquet(path, field) or _starts(path, field).startswith(_GZIP)


def is_parquet(path: Path, field: str) -> bool:
    """Tell whether a file is Parquet. Raises as `open_file`."""
    return _starts(path, field) == _PARQUET


def digest_file(path: Path, field: str, digest: Digest) -> None:
    """Feed a whole file to a digest. Raises as `open_file`."""
    with open_file(path, field) as file:
        while data := file.read(BLOCK):
            digest.update(data)


def text_blocks(path: Path, field: str, form: Form, digest: Digest) -> Iterator[str]:
    """Yield a file's text, plain or gzip, in blocks of whole lines; inside quotes a line's end does not count.

    Raises ComponentError: E401 as `open_file`, E402 for what is too large, damaged or in another encoding.
    """
    with open_file(path, field) as file:
        lines = 0
        held = ""
        decoder = codecs.getincrementaldecoder(form.encoding)()
        raw = _Bounded(file, path, field, digest)
        packed = _starts(path, field).startswith(_GZIP)
        for data in _unpacked(raw, path, field) if packed else raw.blocks():
            try:
                text = decoder.decode(data, final=not data)
                if not text.isascii():
                    text.encode()  # some encodings make halves of characters
            except UnicodeError as error:
                lines += held.count("\n")
                if isinstance(error, UnicodeDecodeError):
                    lines += error.object[: error.start].count(b"\n")
                raise _another_encoding(path, field, form, lines + 1) from None
            held += text
            if not lines:
                held = held.removeprefix("\ufeff")
            cut = _last_line_end(held, form.quotes) if data else len(held)
            if not cut and len(held) > _LONGEST:
                if "\n" not in held:
                    raise ComponentError(f"{path}, line {lines + 1}: longer than {_LONGEST:,} characters", field=field)
                cut = len(held)  # a quote that nothing closes: reading it as it is names its line
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
        """Yield all of it, and at the end nothing, b""."""
        while data := self.read(BLOCK):
            yield data
        yield b""


def require_moderate(size: int, path: Path, field: str) -> None:
    """Raise ComponentError (E402) for more than `LARGEST` bytes."""
    if size > LARGEST:
        raise ComponentError(f"{path} has more than {LARGEST:,} bytes", field=field)


def _unpacked(raw: _Bounded, path: Path, field: str) -> Iterator[bytes]:
    size = 0
    try:
        with gzip.GzipFile(fileobj=raw) as file:  # type: ignore[call-overload]  # it reads, and needs no more
            while data := file.read(BLOCK):
                size += len(data)
                require_moderate(size, path, field)
                yield data
    except (OSError, EOFError, zlib.error) as error:
        raise ComponentError(f"{path} is a gzip file that does not unpack: {error}", field=field) from None
    yield b""


def _last_line_end(text: str, quotes: bool) -> int:
    """Find where the last line ends that is not inside quotes; 0 where there is none."""
    cut = text.rfind("\n") + 1
    if not quotes:
        return cut
    inside = text.count('"', 0, cut) % 2
    while cut and inside:
        before = text.rfind("\n", 0, cut - 1) + 1
        inside = (inside + text.count('"', before, cut)) % 2
        cut = before
    return cut


def _starts(path: Path, field: str) -> bytes:
    with open_file(path, field) as file:
        return file.read(4)


def _another_encoding(path: Path, field: str, form: Form, line: int) -> ComponentError:
    return ComponentError(
        f"{path}, line {line}: not {form.encoding} text",
        field=field,
        help=f'name the file\'s encoding: {form.encoding_field} = "latin-1" is common, and takes every byte'
        if form.encoding != "latin-1"
        else "",
    )
