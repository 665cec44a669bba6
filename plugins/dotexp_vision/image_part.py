"""A part of an image data set: held in memory once decoded where it fits, else decoded for each batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from dotexp import RunError
from dotexp.parts import Batch, read_in_workers
from dotexp.seeds import Draw
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

from dotexp_vision.data_params import Resize
from dotexp_vision.pixels import UnreadableImageError, load_pixels, to_floats

Transform = Callable[[Tensor], Tensor]
Chunk = tuple[tuple[int, ...], Draw | None]


@dataclass(frozen=True)
class Sizes:
    """Side that the model sees, side before augmentation, and how an image becomes a square."""

    final: int
    before: int
    resize: Resize


class ImagePart:
    """Image files with class numbers. Images are bytes until they are on the device, or augmented.

    `hold` keeps every decoded image in memory. Augmentation of example i in an epoch depends on `draw.example(i)`
    alone: whatever the number of workers, the batch and the order.
    """

    def __init__(
        self, files: Sequence[Path], labels: Sequence[int], sizes: Sizes, transforms: Sequence[Transform], hold: bool
    ) -> None:
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self._hold = hold
        self._images = _Images(tuple(files), sizes, tuple(transforms))

    def __len__(self) -> int:
        return len(self._labels)

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Yield batches of images, floats (B, 3, size, size) in 0..1, and class numbers, int64 (B,).

        Raises RunError naming the file where an image cannot be read.
        """
        augmented = draw is not None and bool(self._images.transforms)
        if self._hold:
            self._images.hold(augmented)
        pieces = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        chunks = [(tuple(piece.tolist()), draw if augmented else None) for piece in pieces]
        in_memory = self._hold and not augmented
        for piece, images in zip(pieces, self._read(chunks, 0 if in_memory else workers), strict=True):
            moved = images.to(device, non_blocking=True)
            yield Batch(
                (moved if moved.is_floating_point() else to_floats(moved),),
                self._labels[piece].to(device, non_blocking=True),
            )

    def _read(self, chunks: list[Chunk], workers: int) -> Iterator[Tensor]:
        if workers == 0:
            read: Iterator[Tensor | str] = map(self._images.__getitem__, chunks)
        else:
            read = read_in_workers(self._images, chunks, workers)
        for images in read:
            if isinstance(images, str):
                raise RunError(images)
            yield images


class _Images(Dataset[Tensor | str]):
    """Batches of images by their indices; a message where one cannot be read, since errors from workers lose theirs."""

    def __init__(self, files: tuple[Path, ...], sizes: Sizes, transforms: tuple[Transform, ...]) -> None:
        self._files = files
        self._sizes = sizes
        self.transforms = transforms
        self._held: dict[int, Tensor] = {}

    def hold(self, augmented: bool) -> None:
        """Decode every image into memory, once, at the side that is wanted; raises RunError."""
        side = self._side(augmented)
        if side in self._held:
            return
        held = torch.empty((len(self._files), 3, side, side), dtype=torch.uint8)

        def decode(index: int) -> None:
            held[index] = load_pixels(self._files[index], side, self._sizes.resize)

        try:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for _ in pool.map(decode, range(len(self._files))):
                    pass
        except UnreadableImageError as error:
            raise RunError(str(error)) from error
        self._held[side] = held

    def __getitem__(self, chunk: Chunk) -> Tensor | str:
        indices, draw = chunk
        side = self._side(draw is not None)
        if draw is None and side in self._held:
            return self._held[side][list(indices)]
        try:
            images = [self._image(index, side) for index in indices]
        except UnreadableImageError as error:
            return str(error)
        if draw is None:
            return torch.stack(images)
        return torch.stack([self._vary(image, draw.example(i)) for i, image in zip(indices, images, strict=True)])

    def _side(self, augmented: bool) -> int:
        return self._sizes.before if augmented else self._sizes.final

    def _image(self, index: int, side: int) -> Tensor:
        if side in self._held:
            return self._held[side][index]
        return load_pixels(self._files[index], side, self._sizes.resize)

    def _vary(self, image: Tensor, seed: int) -> Tensor:
        generator = torch.default_generator
        state = generator.get_state()
        try:
            generator.manual_seed(seed)
            varied = to_floats(image)
            for transform in self.transforms:
                varied = transform(varied)
        finally:
            generator.set_state(state)
        if varied.shape[-1] == self._sizes.final and varied.shape[-2] == self._sizes.final:
            return varied
        return interpolate(varied[None], (self._sizes.final,) * 2, mode="bilinear", antialias=True)[0]
