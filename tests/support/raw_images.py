"""Image files of more than 8 bits, written byte by byte: Pillow writes few of them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from numpy.typing import NDArray

_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def png(levels: NDArray[Any]) -> bytes:
    """A PNG of 16 bits: levels (H, W) or (H, W, C)."""
    levels = levels.reshape(*levels.shape[:2], -1).astype(">u2")
    height, width, channels = levels.shape

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, _COLOURS[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def tiff(
    levels: NDArray[Any],
    bits: int,
    kind: int = 1,
    white_is_zero: bool = False,
    packed: bool = False,
    order: str = "<",
    orientation: int = 1,
) -> bytes:
    """A TIFF, levels (H, W) or (H, W, C), with samples of a kind: 1 integers, 2 signed, 3 floats, 6 complex numbers."""
    height, width, channels = levels.reshape(*levels.shape[:2], -1).shape
    data = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if packed else data
    many = struct.pack(f"{order}{channels}H", *[bits] * channels)
    photometric = 2 if channels > 1 else 0 if white_is_zero else 1
    fields = {256: width, 257: height, 258: bits, 259: 8 if packed else 1, 262: photometric, 274: orientation,
              277: channels, 278: height, 279: len(data), 284: 1, 339: kind}  # fmt: skip
    behind = 8 + 2 + 12 * (len(fields) + 1) + 4
    fields |= {273: behind + len(many), **({258: behind} if channels > 1 else {})}
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, 4 if tag in (273, 279) else 3, channels if tag == 258 else 1)
        + (struct.pack(f"{order}I", value) if tag in (273, 279) or (tag == 258 and channels > 1)
           else struct.pack(f"{order}HH", value, 0))
        for tag, value in sorted(fields.items())
    )  # fmt: skip
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(f"{order}IH", 8, len(fields)) + entries + struct.pack(f"{order}I", 0)
    return head + many + data
