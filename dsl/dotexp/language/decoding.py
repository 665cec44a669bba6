"""Bytes to text: what a file must be before its language matters."""

from __future__ import annotations

import codecs
from pathlib import Path

from dotexp.language.diagnostics import Diagnostic
from dotexp.language.source import Source, source_from_text

LARGEST = 1024 * 1024
"""Bytes of a spec."""

_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read(data: bytes, name: str, folder: Path = Path()) -> tuple[Source, tuple[Diagnostic, ...]]:
    """Decode a file as UTF-8.

    What cannot be used gives an empty source and one diagnostic: E107 for more than 1 MiB, E101 for another encoding,
    and at their place for malformed bytes and for a NUL.
    """
    if len(data) > LARGEST:
        return _refuse(
            name, folder, "E107", f"a spec has at most {LARGEST:,} bytes; this one has {len(data):,}", "is this a spec?"
        )
    for mark, encoding in _OTHER_ENCODINGS.items():
        if data.startswith(mark):
            return _refuse(name, folder, "E101", f"this file is {encoding}", "save it as UTF-8")
    text = data.decode("utf-8", errors="replace")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = len(data[: error.start].decode("utf-8"))
        return _refuse(
            name, folder, "E101", f"byte 0x{data[error.start]:02x} is not UTF-8", _written(data[error.start]), text, at
        )
    if "\0" in text:
        return _refuse(name, folder, "E101", "byte 0x00 is not text", "is this a spec?", text, text.index("\0"))
    return source_from_text(text, name, folder), ()


def _written(byte: int) -> str:
    try:
        return f"in Windows-1252 it is `{bytes([byte]).decode('cp1252')}`: save the file as UTF-8"
    except UnicodeDecodeError:
        return "save the file as UTF-8"


def _refuse(
    name: str, folder: Path, code: str, message: str, help: str, text: str = "", at: int = 0
) -> tuple[Source, tuple[Diagnostic, ...]]:
    """Refuse a file; its text, as far as it is one, is shown in the diagnostic and not parsed."""
    shown = source_from_text(text, name, folder)
    start = len(source_from_text(text[:at]).text)
    fault = Diagnostic(code, message, shown.span(start, min(start + 1, len(shown.text))), help=help)
    return Source(name, "", folder), (fault,)


def read_bounded(path: Path) -> bytes:
    """Read no more than tells that a file is too large. Raises ValueError for a pipe or device, which may not end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        return file.read(LARGEST + 1)
