"""Image files to pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)
from torch import Tensor
from torch.nn.functional import interpolate, pad

from dotexp_vision.data.params import Resize

FORMATS = tuple(
    reader.format
    for reader in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        PpmImagePlugin.PpmImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
        AvifImagePlugin.AvifImageFile,
    )
)
"""What a file may hold, whatever its name says; some of Pillow's other readers start programs."""
MOST_PIXELS = 170_000_000
"""Pixels of an image file: more than any camera takes, and half a gigabyte once decoded."""
SPARE = 2
"""A JPEG may be decoded at a half, a quarter or an eighth, if that leaves this many times the pixels wanted a side."""
_CLEAR = ("RGBA", "LA", "PA", "RGBa", "La")


class UnreadableImageError(Exception):
    """An image file that cannot be opened or decoded; the message names it, `reason` says why."""

    def __init__(self, path: Path | str | bytes, reason: str) -> None:
        name = "" if isinstance(path, bytes) else f" {path}"
        super().__init__(f"the image{name} cannot be read: {reason}")
        self.reason = reason


def read_image(path: Path | bytes, least: int | None = None) -> Image.Image:
    """Open an image file, or its bytes, as a viewer would show it: turned as its EXIF says, in RGB, on white.

    White shows where it is transparent; 16-bit greys are scaled to 8, and so are floats of 0 to 1; of an animation it
    is the first picture; colour profiles are left aside. A JPEG whose shorter side stays at least `least` may come at a
    half, a quarter or an eighth of its size. Raises UnreadableImageError, also for more than MOST_PIXELS, of which a
    small file may hold any number.
    """
    try:
        with Image.open(BytesIO(path) if isinstance(path, bytes) else path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width} by {image.height} pixels, more than {MOST_PIXELS:,}")
            if least is not None and image.format in ("JPEG", "MPO"):
                image.draft(None, (least, least))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _as_rgb(image)
    except FileNotFoundError as error:
        raise UnreadableImageError(path, "it does not exist") from error
    except Exception as error:  # a broken file leads the decoders to raise anything
        raise UnreadableImageError(path, _reason(path, error)) from error


def check_image(path: Path) -> None:
    """Decode an image in the cheapest way that finds all that `read_image` would; raises UnreadableImageError."""
    read_image(path, 1)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep quiet about what in an image is odd and yet readable, such as a damaged EXIF entry."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def square(image: Image.Image, side: int, resize: Resize) -> Tensor:
    """Make an RGB image a square, uint8 (3, side, side): bilinearly with antialiasing, always in the same way.

    `crop` cuts the middle, `pad` fills with black.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    height, width = pixels.shape[-2:]
    if resize is Resize.crop:
        least = min(height, width)
        top, left = (height - least) // 2, (width - least) // 2
        pixels = pixels[:, top : top + least, left : left + least]
    if resize is not Resize.pad:
        return _resized(pixels, side, side)
    most = max(height, width)
    rows, columns = (max(1, round(length * side / most)) for length in (height, width))
    top, left = (side - rows) // 2, (side - columns) // 2
    return pad(_resized(pixels, rows, columns), (left, side - columns - left, top, side - rows - top))


def load_pixels(path: Path | bytes, side: int, resize: Resize) -> Tensor:
    """Read an image file as a square: uint8 (3, side, side). Raises UnreadableImageError."""
    least = None if resize is Resize.pad else SPARE * side
    return square(read_image(path, least), side, resize)


def to_floats(pixels: Tensor) -> Tensor:
    """Bytes 0..255 to floats 0..1."""
    return pixels.to(torch.float32).div_(255)


def to_bytes(images: Tensor) -> Tensor:
    """Floats 0..1 to the nearest bytes."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def _resized(pixels: Tensor, height: int, width: int) -> Tensor:
    if pixels.shape[-2:] == (height, width):
        return pixels.contiguous()
    return interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0].contiguous()


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _grey(np.asarray(image).astype(np.int64) // 257)
    if image.mode == "F":
        levels = np.nan_to_num(np.asarray(image))
        return _grey(levels * 255 if levels.max() <= 1 else levels)
    if "transparency" in image.info or image.mode in _CLEAR:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _grey(levels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB")


def _reason(path: Path | bytes, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        size = len(path) if isinstance(path, bytes) else path.stat().st_size
        return "it is no image" if size else "it is an empty file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
