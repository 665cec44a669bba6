"""Image files to pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dotexp_vision.data_params import Resize

WHITE = (255, 255, 255, 255)
MOST_PIXELS = 170_000_000
"""Pixels of an image file: more than any camera takes, and half a gigabyte once decoded."""


class UnreadableImageError(Exception):
    """An image file that cannot be opened or decoded; the message names it."""


def read_image(path: Path) -> Image.Image:
    """Open an image as a viewer would show it: turned as its EXIF says, in RGB, on white where it is transparent.

    16-bit greys are scaled to 8; of an animation it is the first picture. Raises UnreadableImageError, also for more
    than MOST_PIXELS, of which a small file may hold any number.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width} by {image.height} pixels, more than {MOST_PIXELS:,}")
            image.load()
            return _as_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise UnreadableImageError(f"the image {path} does not exist") from error
    except Exception as error:  # a broken file leads the decoders to raise anything
        raise UnreadableImageError(f"the image {path} cannot be read: {error}") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        return Image.fromarray((levels // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        white = Image.new("RGBA", image.size, WHITE)
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def square(image: Image.Image, side: int, resize: Resize) -> Image.Image:
    """Make an image a square of `side` pixels, bilinearly with antialiasing, always in the same way."""
    method = Image.Resampling.BILINEAR
    if resize is Resize.squish:
        return image.resize((side, side), method)
    if resize is Resize.pad:
        return ImageOps.pad(image, (side, side), method)
    return ImageOps.fit(image, (side, side), method)


def as_tensor(image: Image.Image) -> Tensor:
    """Pixels of an RGB image: uint8 (3, H, W)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def load_pixels(path: Path, side: int, resize: Resize) -> Tensor:
    """Read an image file as a square: uint8 (3, side, side). Raises UnreadableImageError."""
    return as_tensor(square(read_image(path), side, resize))


def to_floats(pixels: Tensor) -> Tensor:
    """Bytes 0..255 to floats 0..1."""
    return pixels.to(torch.float32) / 255
