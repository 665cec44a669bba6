"""What files hold, by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dotexp.sdk.sniffing import ENOUGH, shown_text, sniff, sniff_file
from PIL import Image


def image(form: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(held, form)
    return held.getvalue()


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt", "a")
    return held.getvalue()


def tarred() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return held.getvalue()


def media(major: bytes, *compatible: bytes) -> bytes:
    """The first box of an ISO media file."""
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08mdat"


@pytest.mark.parametrize(
    ("start", "name"),
    [
        *((image(form), f"a {form} image") for form in ("JPEG", "PNG", "GIF", "TIFF", "BMP")),
        (image("WEBP"), "a WebP image"),
        (image("AVIF"), "an AVIF image"),
        (image("PPM"), "a PPM, PGM or PBM image"),
        (image("JPEG2000"), "a JPEG 2000 image"),
        (image("ICO"), "an icon"),
        (media(b"heic", b"mif1", b"heic"), "an HEIC image"),
        (media(b"mif1", b"miaf", b"heic"), "an HEIC image"),
        (media(b"mif1", b"avif"), "an AVIF image"),
        (media(b"mif1"), "an HEIC image"),
        (media(b"isom", b"mp41"), "a video"),
        (media(b"qt  "), "a video"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
        (b"\0" * 128 + b"DICM", "a DICOM image"),
        (b"", "an empty file"),
        (b"\0" * 500, "NUL bytes alone"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s31390--f50d7ac4.jpg\n", "a git-annex pointer"),
        (b"\n <!DOCTYPE html>\n<html>", "a web page (HTML)"),
        (b"\xef\xbb\xbf<html lang=en>", "a web page (HTML)"),
        (b'<?xml version="1.0"?>\n<svg xmlns="">', "an SVG drawing"),
        (b"<svg>", "an SVG drawing"),
        (b"%PDF-1.7", "a PDF document"),
        (zipped(), "a zip archive"),
        (tarred(), "a tar archive"),
        (gzip.compress(b"a", mtime=0), "gzip"),
        (bz2.compress(b"a"), "bzip2"),
        (lzma.compress(b"a"), "xz"),
        ("user,item".encode("utf-16"), "UTF-16 text"),
        ("user,item".encode("utf-16-le"), "UTF-16 text"),
        ("user,item".encode("utf-16-be"), "UTF-16 text"),
        ("user,item".encode("utf-32"), "UTF-32 text"),
        (b"PAR1\x15\x04", "a Parquet table"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
    ],
)
def test_known_by_the_first_bytes(start: bytes, name: str) -> None:
    found = sniff(start)
    assert found is not None and found.name == name


@pytest.mark.parametrize(
    "start",
    [b"user,item\n1,2\n", b"P5x", b"BM", b"PKU", b"\0\0\0\0", "Größe;1,5\n".encode(), "é".encode("cp1252"), b"II"],
)
def test_plain_text_and_what_only_looks_alike_are_not_known(start: bytes) -> None:
    assert sniff(start) is None


def test_what_is_beyond_the_start_is_not_needed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(image("PNG") + b"\0" * 10_000)
    assert sniff_file(tmp_path / "a") == sniff(image("PNG")[:ENOUGH])
    assert sniff_file(tmp_path / "none") is None and sniff_file(tmp_path) is None


def test_text_is_shown_short_and_on_one_line() -> None:
    assert shown_text(b"no image,\n  text") == "no image, text"
    assert shown_text(b"word " * 100) == "word word word word word word word word…"
    assert shown_text("é".encode() * 300) == "é" * 39 + "…"
    assert shown_text(np.arange(200, dtype=np.uint8).tobytes()) is None
    assert shown_text(b"\x1b[31m") is None and shown_text(b"") is None
