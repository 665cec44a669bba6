"""Augment a batch of images, each by its own seed: the result depends neither on the batch nor on the process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dotexp_vision.augment.geometry import Matrix, identity, resample
from dotexp_vision.augment.transforms import Compose, Contrast, Geometry, Lighting, Transform
from dotexp_vision.data.decode import to_bytes, to_floats

_CHUNK = 4
"""Images augmented at a time: intermediate results stay in the processor's cache."""
_LEVELS = np.arange(256) / 255


@dataclass(frozen=True)
class Sample:
    """The sampled augmentation of one image: changes of brightness and contrast, then one resampling."""

    matrix: Matrix
    contrasts: tuple[Contrast, ...]


class Augmentation:
    """Transforms in order. `Geometry` and `Lighting` that come first are applied to several images at once.

    Lighting acts on the pixels as they are held and geometry after it, whatever their order.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        count = next(
            (i for i, one in enumerate(transforms) if not isinstance(one, (Geometry, Lighting, Compose))),
            len(transforms),
        )
        self._first = tuple(_simple(transforms[:count]))
        self._others = tuple(transforms[count:])

    def __call__(self, images: Sequence[Tensor], seeds: Sequence[int], side: int) -> Tensor:
        """Augment uint8 images (3, H, H) to uint8 (B, 3, side, side), rounded to the nearest.

        The state of torch's generator is restored.
        """
        result = torch.empty((len(images), 3, side, side), dtype=torch.uint8)
        step = max(_CHUNK, torch.get_num_threads())
        with _own_state() as generator:
            for start in range(0, len(images), step):
                chunk = slice(start, start + step)
                result[chunk] = self._chunk(images[chunk], seeds[chunk], side, generator)
        return result

    def _chunk(self, images: Sequence[Tensor], seeds: Sequence[int], side: int, generator: torch.Generator) -> Tensor:
        states, drawn = [], []
        for seed in seeds:
            generator.manual_seed(seed)
            drawn.append(self._draw())
            if self._others:
                states.append(generator.get_state())
        augmented = _with_lighting(images, drawn)
        if any(isinstance(one, Geometry) for one in self._first):
            augmented = resample(augmented, [one.matrix for one in drawn])
        if not self._others:
            return _of_side(augmented.add_(0.5).to(torch.uint8), side)
        finished = []
        for image, state in zip(to_floats(augmented), states, strict=True):
            generator.set_state(state)
            for transform in self._others:
                image = transform(image)
            finished.append(to_bytes(image))
        return _of_side(torch.stack(finished), side)

    def _draw(self) -> Sample:
        matrix = identity()
        contrasts = []
        for one in self._first:
            if isinstance(one, Geometry):
                matrix = matrix @ one.draw()
            elif (contrast := one.draw()) is not None:
                contrasts.append(contrast)
        return Sample(matrix, tuple(contrasts))


def _simple(transforms: Sequence[Transform]) -> Iterator[Geometry | Lighting]:
    for transform in transforms:
        if isinstance(transform, Compose):
            yield from transform.transforms
        elif isinstance(transform, (Geometry, Lighting)):
            yield transform


@contextmanager
def _own_state() -> Iterator[torch.Generator]:
    generator = torch.default_generator
    state = generator.get_state()
    try:
        yield generator
    finally:
        generator.set_state(state)


def _with_lighting(images: Sequence[Tensor], drawn: Sequence[Sample]) -> Tensor:
    """Convert bytes to floats 0..255, with each image's brightness and contrast changed."""
    lit = torch.empty((len(images), *images[0].shape))
    for into, image, one in zip(lit, images, drawn, strict=True):
        if not one.contrasts:
            into.copy_(image)
            continue
        levels = _LEVELS
        for contrast in one.contrasts:
            levels = contrast.apply(levels)
        np.take((255 * levels).astype(np.float32), image.numpy(), out=into.numpy(), mode="clip")
    return lit


def _of_side(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return interpolate(images, (side, side), mode="bilinear", antialias=True)
