"""Image files to pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from dotexp.sdk import sniffing
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

from dotexp_vision.data.levels import Levels, Source, natural_ends, open_image, open_source, read_deep
from dotexp_vision.data.levels import to_bytes as scale_levels
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
NATURAL = Levels()
"""Levels by the type of each file."""
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
_SAMPLES = {1: "integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex numbers"}
_READ = (
    *(sniffing.JPEG, sniffing.PNG, sniffing.GIF, sniffing.BMP, sniffing.NETPBM, sniffing.TIFF, sniffing.WEBP),
    sniffing.AVIF,
)
_CLEAR = ("RGBA", "LA", "PA", "RGBa", "La")


class UnreadableImageError(Exception):
    """An image file that cannot be opened or decoded; the message names it, `reason` says why."""

    def __init__(self, path: Path | str | bytes, reason: str) -> None:
        name = "" if isinstance(path, bytes) else f" {path}"
        super().__init__(f"the image{name} cannot be read: {reason}")
        self.reason = reason


def read_image(source: Source, least: int | None = None, levels: Levels = NATURAL) -> Image.Image:
    """Open an image file, or its bytes, as a viewer would show it: turned as its EXIF says, in RGB, on white.

    White shows where it is transparent; images of more than 8 bits are scaled to 8 by `levels`; of an animation it is
    the first picture; colour profiles are ignored. A JPEG whose shorter side stays at least `least` may come at a half,
    a quarter or an eighth of its size. Raises UnreadableImageError, also for more than MOST_PIXELS, of which a small
    file may hold any number.
    """
    try:
        with open_image(source, FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width} by {image.height} pixels, more than {MOST_PIXELS:,}")
            if least is not None and image.format in ("JPEG", "MPO"):
                image.draft(None, (least, least))
            shown = _scaled(image, source, levels)
            ImageOps.exif_transpose(shown, in_place=True)
            return _as_rgb(shown)
    except FileNotFoundError as error:
        raise UnreadableImageError(source, "it does not exist") from error
    except Exception as error:  # a broken file leads the decoders to raise anything
        raise UnreadableImageError(source, _reason(source, error)) from error


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


def load_pixels(source: Source, side: int, resize: Resize, levels: Levels = NATURAL) -> Tensor:
    """Read an image file as a square: uint8 (3, side, side). Raises UnreadableImageError."""
    least = None if resize is Resize.pad else SPARE * side
    return square(read_image(source, least, levels), side, resize)


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


def _scaled(image: Image.Image, source: Source, levels: Levels) -> Image.Image:
    """Read an opened image and scale it to 8 bits where it has more, and where the levels are those of every image."""
    deep = read_deep(image, source)
    if deep is None:
        image.load()
        if levels.all is None:
            return image
        shown = _as_rgb(image)
        table = scale_levels(np.arange(256), levels.all).tolist()
        return _with_exif(shown.point(table * len(shown.getbands())), image)
    ends = levels.of(deep.depth) or natural_ends(deep)
    scaled = scale_levels(deep.levels, ends, deep.inverted)
    if scaled.shape[-1] == 4 and scaled.ndim == 3:
        scaled[..., 3] = deep.levels[..., 3] >> 8
    return _with_exif(Image.fromarray(scaled), image)


def _with_exif(image: Image.Image, source: Image.Image) -> Image.Image:
    exif = source.getexif()
    if exif:
        image.info["exif"] = exif.tobytes()
    return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if "transparency" in image.info or image.mode in _CLEAR:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _reason(source: Source, error: Exception) -> str:
    """Say why a file cannot be read as an image: what it holds instead, or what is wrong with it."""
    if isinstance(error, IsADirectoryError) or (isinstance(source, Path) and source.is_dir()):
        return "it is a folder"
    start = source[: sniffing.ENOUGH] if isinstance(source, bytes) else sniffing.first_bytes(source)
    content = sniffing.sniff(start)
    if content is sniffing.TIFF and (kind := _kind_of_tiff(source)):
        return f"it is {kind}, which is not read: save it with 8 or 16 bits, or as 32-bit floats"
    if isinstance(error, UnidentifiedImageError):
        return _what_it_is(start, content)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _what_it_is(start: bytes, content: sniffing.Content | None) -> str:
    if content is None:
        text = sniffing.shown_text(start)
        return f"it is no image, but text: {text}" if text is not None else "it is no image"
    if content is sniffing.EMPTY:
        return "it is an empty file"
    if content in _READ:
        return f"it starts as {content.name}, and is damaged"
    if content in (sniffing.JSON, sniffing.XML):
        return f"it is {content.name}, no image: {sniffing.HTML.cure}"
    foreign = content.name.endswith(("image", "drawing", "icon", "document"))
    cure = f": {content.cure}" if content.cure else ""
    return f"it is {content.name}, {'which is not read' if foreign else 'no image'}{cure}"


def _kind_of_tiff(source: Source) -> str:
    """Say what the pixels of a TIFF are, where Pillow does not read such pixels; "" where it does or nobody knows."""
    try:
        with open_source(source) as file:
            header = file.read(16)
            tags = TiffImagePlugin.ImageFileDirectory_v2(header[:8] if header[2] != 43 else header)
            file.seek(tags.next)
            tags.load(file)
    except Exception:  # a damaged file
        return ""
    bits, kind = tags.get(_BITS_PER_SAMPLE, (1,))[0], tags.get(_SAMPLE_FORMAT, (1,))[0]
    usual = bits in (1, 2, 4, 8, 16) or (bits == 32 and kind in (1, 2, 3)) or (bits == 12 and kind == 1)
    if usual and kind in (1, 2, 3) and not (kind == 3 and bits < 32):
        return ""
    return f"a TIFF of {bits}-bit {_SAMPLES.get(kind, 'samples')}"
