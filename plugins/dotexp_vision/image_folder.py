"""Images in folders, as data, and image files for prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from dotexp import DataContext, DataFacts, Task, UsageError
from dotexp.parts import Encoded, Part
from torch import Tensor

from dotexp_vision.data_params import ImageFolderParams
from dotexp_vision.image_part import ImagePart, Sizes
from dotexp_vision.listing import Listing, image_files, list_images
from dotexp_vision.pixels import UnreadableImageError, load_pixels, to_floats

HELD_BYTES = 1 << 30
"""Decoded images that are held in memory, at most."""


@dataclass(frozen=True)
class ImageData:
    """The facts and the parts."""

    facts: DataFacts
    parts: Mapping[str, Part]

    def part(self, name: str) -> Part:
        """Return a part; raises KeyError where there is none of this name."""
        return self.parts[name]


def build(params: ImageFolderParams, context: DataContext) -> ImageData:
    """Find the images and split them; they are decoded when the first batch is wanted."""
    seed = context.seed if params.split_seed is None else params.split_seed
    listing = list_images(params, seed)
    hold = _bytes(params, listing) <= HELD_BYTES
    sizes = Sizes(params.size, params.presize or params.size, params.resize)
    transforms = {"train": [use.build() for use in params.transforms]}
    parts = {
        name: ImagePart(files, listing.labels[name], sizes, transforms.get(name, ()), hold)
        for name, files in listing.files.items()
    }
    return ImageData(_facts(listing), parts)


def encode(params: ImageFolderParams, vocabulary: Mapping[str, Any], inputs: Sequence[str]) -> Encoded:
    """Read image files, and those in folders and below, in the validation part's way: floats (B, 3, size, size).

    Raises UsageError naming an input that does not exist, holds no images, or cannot be read.
    """
    paths = [path for text in inputs for path in _paths(text)]
    return Encoded([{"input": str(path)} for path in paths], _batches(params, paths))


def _paths(text: str) -> Sequence[Path]:
    path = Path(text)
    if not path.exists():
        raise UsageError(f"no such image or folder: {text}")
    found = image_files(path) if path.is_dir() else [path]
    if not found:
        raise UsageError(f"no images in the folder {text}")
    return found


def _batches(params: ImageFolderParams, paths: Sequence[Path]) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, len(paths), params.batch_size):
        try:
            images = [load_pixels(p, params.size, params.resize) for p in paths[start : start + params.batch_size]]
        except UnreadableImageError as error:
            raise UsageError(str(error)) from error
        yield (to_floats(torch.stack(images)),)


def _bytes(params: ImageFolderParams, listing: Listing) -> int:
    total = 3 * params.size**2 * sum(len(files) for files in listing.files.values())
    if params.presize and params.presize != params.size:
        total += 3 * params.presize**2 * len(listing.files["train"])
    return total


def _facts(listing: Listing) -> DataFacts:
    return DataFacts(
        task=Task.classification,
        train=len(listing.files["train"]),
        valid=len(listing.files["valid"]),
        test=len(listing.files.get("test", ())),
        classes=listing.classes,
        outputs=len(listing.classes),
        fingerprint=listing.fingerprint,
        notes=listing.notes,
        vocabulary={"classes": list(listing.classes)},
    )
