"""What a file holds, by its first bytes: for messages about files that are not what their names say. Needs no torch."""

from __future__ import annotations

from codecs import getincrementaldecoder
from pathlib import Path
from typing import NamedTuple

ENOUGH = 1024
"""Bytes from a file's start that `sniff` looks at."""

_SHOWN = 200
_MANY = 16
"""NUL bytes from which on a file of nothing else is known as such."""


class Content(NamedTuple):
    """What a file holds: its name in a sentence (`a Git LFS pointer`), and what to do about it, "" where unknown."""

    name: str
    cure: str = ""


EMPTY = Content("an empty file")
HTML = Content("a web page (HTML)", "a download was answered by a page: fetch the file itself")
LFS = Content("a Git LFS pointer", "`git lfs pull` fetches the file that it stands for")
ANNEX = Content("a git-annex pointer", "`git annex get` fetches the file that it stands for")
ZIP = Content("a zip archive", "unpack it")
GZIP = Content("gzip", "unpack it: gunzip")
BZIP2 = Content("bzip2", "unpack it: bunzip2")
XZ = Content("xz", "unpack it: unxz")
ZSTD = Content("zstd", "unpack it: unzstd")
UTF_16 = Content("UTF-16 text")
UTF_32 = Content("UTF-32 text")
PDF = Content("a PDF document", "save its pages as images, or its tables as CSV")
NULS = Content("NUL bytes alone", "it was not written whole: fetch it again")
JPEG, PNG, GIF, TIFF = Content("a JPEG image"), Content("a PNG image"), Content("a GIF image"), Content("a TIFF image")
BMP, WEBP, AVIF = Content("a BMP image"), Content("a WebP image"), Content("an AVIF image")
NETPBM = Content("a PPM, PGM or PBM image")
PARQUET = Content("a Parquet table")

_EXPORT = "write it as CSV or Parquet"
JSON = Content("JSON", _EXPORT)
XML = Content("XML", _EXPORT)
_WORKBOOK = Content("an Excel workbook", "save its sheet as CSV")

_CONVERT = "convert it to JPEG or PNG"
_HEIC = Content("an HEIC image", _CONVERT)
_JPEG_2000 = Content("a JPEG 2000 image", _CONVERT)
_JPEG_XL = Content("a JPEG XL image", _CONVERT)
_VIDEO = Content("a video", "save its frames as images")
PICKLE = Content("a pickle", _EXPORT)
_STARTS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x00\x00\x00\x0cjP  ", _JPEG_2000),
    (b"\xff\x4f\xff\x51", _JPEG_2000),
    (b"\xff\x0a", _JPEG_XL),
    (b"\x00\x00\x00\x0cJXL ", _JPEG_XL),
    (b"8BPS", Content("a Photoshop document", _CONVERT)),
    (b"\x00\x00\x01\x00", Content("an icon", _CONVERT)),
    (b"\x76\x2f\x31\x01", Content("an OpenEXR image", _CONVERT)),
    (b"#?RADIANCE", Content("a Radiance HDR image", _CONVERT)),
    (b"II*\x00\x10\x00\x00\x00CR", Content("a Canon raw image", _CONVERT)),
    (b"FUJIFILMCCD-RAW", Content("a Fujifilm raw image", _CONVERT)),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"%PDF", PDF),
    (b"%!PS", Content("a PostScript document", _CONVERT)),
    (b"SIMPLE  =", Content("a FITS image", _CONVERT)),
    (b"\x1a\x45\xdf\xa3", _VIDEO),
    (b"\x1f\x8b", GZIP),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"\x04\x22\x4d\x18", Content("lz4", "unpack it: unlz4")),
    (b"\x1f\x9d", Content("a file of compress", "unpack it: uncompress")),
    (b"7z\xbc\xaf\x27\x1c", Content("a 7-Zip archive", "unpack it")),
    (b"Rar!\x1a\x07", Content("a RAR archive", "unpack it")),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PAR1", PARQUET),
    (b"ARROW1", Content("an Arrow file", _EXPORT)),
    (b"FEA1", Content("a Feather file", _EXPORT)),
    (b"ORC", Content("an ORC file", _EXPORT)),
    (b"Obj\x01", Content("an Avro file", _EXPORT)),
    (b"RDX2\n", Content("an R data file", _EXPORT)),
    (b"RDX3\n", Content("an R data file", _EXPORT)),
    (b"\x89HDF\r\n\x1a\n", Content("an HDF5 file", _EXPORT)),
    (b"\x93NUMPY", Content("a NumPy array", _EXPORT)),
    *((bytes([0x80, protocol]), PICKLE) for protocol in range(2, 6)),
    (b"SQLite format 3\x00", Content("an SQLite database", _EXPORT)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content("an old Office document", "export it as CSV")),
    (b"MATLAB 5.0 MAT-file", Content("a MATLAB file")),
    (b"version https://git-lfs", LFS),
    (b"/annex/objects/", ANNEX),
    (b"\xff\xfe\x00\x00", UTF_32),
    (b"\x00\x00\xfe\xff", UTF_32),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
)
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    b"crx ": Content("a Canon raw image", _CONVERT),
}


def sniff(start: bytes) -> Content | None:
    """Return what a file that starts with these bytes holds; None for plain text and for what is not known."""
    if not start:
        return EMPTY
    if len(start) >= _MANY and not start.strip(b"\0"):
        return NULS
    for magic, content in _STARTS:
        if start.startswith(magic):
            return _WORKBOOK if content is ZIP and (b"[Content_Types].xml" in start or b"xl/work" in start) else content
    return _by_offset(start) or _as_text(start)


def sniff_file(path: Path) -> Content | None:
    """Return what a file holds, as `sniff` does; None also where it cannot be read."""
    return sniff(first_bytes(path)) if path.is_file() else None


def first_bytes(path: Path) -> bytes:
    """Return the start of a file; b"" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(ENOUGH)
    except OSError:
        return b""


def _by_offset(start: bytes) -> Content | None:
    if start[4:8] == b"ftyp":
        return _of_brands(start)
    if start[:4] == b"RIFF":
        return {b"WEBP": WEBP, b"AVI ": _VIDEO}.get(start[8:12])
    if start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace():
        return NETPBM
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return BMP
    if start[128:132] == b"DICM":
        return Content("a DICOM image", _CONVERT)
    if start[344:348] in (b"n+1\0", b"ni1\0"):
        return Content("a NIfTI image", _CONVERT)
    if start[:3] == b"BZh" and start[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):  # a block, or the end of an empty file
        return BZIP2
    if start[257:262] == b"ustar":
        return Content("a tar archive", "unpack it")
    return None


def _of_brands(start: bytes) -> Content:
    """Return what an ISO media file holds, by its major brand and, where that says little, the compatible ones."""
    end = min(int.from_bytes(start[:4], "big"), len(start))
    brands = [start[8:12], *(start[at : at + 4] for at in range(16, end, 4))]
    specific = [_BRANDS[brand] for brand in brands if brand in _BRANDS and brand not in (b"mif1", b"msf1")]
    if specific:
        return specific[0]
    return _HEIC if brands[0] in (b"mif1", b"msf1") else _VIDEO


def _as_text(start: bytes) -> Content | None:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return HTML
    if text.startswith(b"<?xml"):
        return Content("an SVG drawing", _CONVERT) if b"<svg" in text else XML
    if text.startswith(b"<svg"):
        return Content("an SVG drawing", _CONVERT)
    if text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"{", b"["):
        return JSON
    if len(start) >= 4 and 0 in start[:4]:
        odd, even = start[1:64:2], start[0:64:2]
        if (not any(odd) and all(even)) or (not any(even) and all(odd)):
            return UTF_16
    return None


def shown_text(start: bytes) -> str | None:
    """Return the beginning of a plain text, for a message; None for bytes that are no text."""
    try:
        text = getincrementaldecoder("utf-8")().decode(start[:_SHOWN], final=len(start) <= _SHOWN)
    except UnicodeDecodeError:
        return None
    line = " ".join(text.split())
    return (line[:39] + "…" if len(line) > 40 else line) if line.isprintable() and line else None
