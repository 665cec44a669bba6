"""Files opened for tables: bounded, decompressed, digested as they are read, decoded into blocks of whole lines."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from dotexp.language.diagnostics import ComponentError
from dotexp.sdk.sniffing import ANNEX, EMPTY, ENOUGH, HTML, JSON, LFS, PDF, UTF_16, UTF_32, XML, sniff

LARGEST = 64 * 1024**3
"""Bytes of a file, compressed and decompressed: a billion MovieLens ratings take less than half of it."""

BLOCK = 1 << 19
"""Bytes read at once: Polars needs up to a hundred times their memory."""

LONGEST = 1 << 26
"""Characters of one line."""

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_TEXTS = (ANNEX, HTML, JSON, LFS, PDF, XML)
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1f")


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
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        if isinstance(error, FileNotFoundError):
            message = f"there is no file {path}"
        elif isinstance(error, IsADirectoryError):
            message = f"{path} is a folder, not a file"
        raise ComponentError(message, field=field, code="E401") from error


def is_compressed(path: Path, field: str) -> bool:
    """Return whether a file holds more than its size says: gzip or Parquet. Raises as `open_file`."""
    return is_parquet(path, field) or _first_bytes(path, field, 2) == _GZIP


def is_parquet(path: Path, field: str) -> bool:
    """Return whether a file is Parquet. Raises as `open_file`."""
    return _first_bytes(path, field, 4) == _PARQUET


def digest_file(path: Path, field: str, digest: Digest) -> None:
    """Feed a whole file to a digest. Raises as `open_file`."""
    with open_file(path, field) as file:
        while data := file.read(BLOCK):
            digest.update(data)


def decoded_lines(path: Path, field: str, encoding: str, encoding_field: str, digest: Digest) -> Iterator[str]:
    """Yield a file's text, plain or gzip, in blocks of whole lines; a file whose lines end in CR alone is read as well.

    Raises ComponentError: E401 as `open_file`, E402 where the file is too large, damaged, in another encoding or of
    another format than text.
    """
    compressed = _first_bytes(path, field, 2) == _GZIP
    with open_file(path, field) as file:
        raw = _Bounded(file, path, field, digest)
        blocks = _decompressed(raw, path, field) if compressed else raw.blocks()
        yield from _whole_lines(_decoded(blocks, path, field, encoding, encoding_field), path, field)


def _decoded(
    blocks: Iterator[bytes], path: Path, field: str, encoding: str, encoding_field: str
) -> Iterator[tuple[str, bool]]:
    """Yield the text of blocks of bytes, and whether it is the last."""
    lines = 0
    decoder = codecs.getincrementaldecoder(encoding)()
    for at, data in enumerate(blocks):
        if not at:
            _require_text(data[:ENOUGH], path, field, encoding, encoding_field)
        try:
            text = decoder.decode(data, final=not data)
            if not text.isascii():
                text.encode()  # some encodings decode to halves of characters
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                lines += error.object[: error.start].count(b"\n")
            raise _another_encoding(error, path, field, encoding, encoding_field, lines + 1) from None
        yield text if at else text.removeprefix("\ufeff"), not data
        lines += text.count("\n")


def _whole_lines(texts: Iterator[tuple[str, bool]], path: Path, field: str) -> Iterator[str]:
    lines = 0
    held = ""
    carriage_returns: bool | None = None
    for text, last in texts:
        held += text.replace("\r", "\n") if carriage_returns else text
        if carriage_returns is None and "\n" not in held and "\r" in held[:-1]:
            carriage_returns = True
            held = held.replace("\r", "\n")
        cut = len(held) if last else held.rfind("\n") + 1
        if not cut and len(held) > LONGEST:
            raise ComponentError(f"{path}, line {lines + 1}: longer than {LONGEST:,} characters", field=field)
        if cut:
            carriage_returns = bool(carriage_returns)
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


def _first_bytes(path: Path, field: str, count: int) -> bytes:
    with open_file(path, field) as file:
        return file.read(count)


def _require_text(start: bytes, path: Path, field: str, encoding: str, encoding_field: str) -> None:
    """Raise ComponentError (E402) for a file that starts as another format than a table of text does."""
    content = sniff(start)
    if content is None or content is EMPTY:
        return
    if content in (UTF_16, UTF_32):
        wide = content.name.split()[0].lower()
        if codecs.lookup(encoding).name.startswith(wide):
            return
        order = "" if start[0] >= 0xFE or start.startswith(b"\0\0\xfe") else "-be" if not start[0] else "-le"
        help = f'{encoding_field} = "{wide}{order}" reads it' if encoding_field else f"save it as {encoding}"
        raise ComponentError(f"{path} is {content.name}, not {encoding}", field=field, help=help)
    if content in _TEXTS or not _CONTROLS.isdisjoint(start):
        raise ComponentError(f"{path} is {content.name}, not a table of text", field=field, help=content.cure)


def _another_encoding(
    error: UnicodeError, path: Path, field: str, encoding: str, encoding_field: str, line: int
) -> ComponentError:
    message = f"{path}, line {line}: not {encoding} text"
    if not isinstance(error, UnicodeDecodeError) or encoding.lower() in ("latin-1", "cp1252"):
        return ComponentError(message, field=field)
    if error.end == len(error.object) and "unexpected end" in error.reason:
        return ComponentError(f"{path} ends in the middle of a character: is it whole?", field=field)
    try:
        error.object.decode("cp1252")
        likely = f'{encoding_field} = "cp1252" is the likely one (Windows, Excel)'
    except UnicodeError:
        likely = "nor is it cp1252 (Windows, Excel)"
    if not encoding_field:
        return ComponentError(message, field=field, help=f"save it as {encoding}")
    return ComponentError(message, field=field, help=f'{likely}; "latin-1" takes every byte, right or wrong')
