"""How a batch of images is varied: each as its own seed says, whatever stands beside it and whoever does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dotexp_vision.augment.geometry import Matrix, identity, resample
from dotexp_vision.augment.transforms import Curve, Geometry, Light, Several, Transform
from dotexp_vision.data.decode import to_bytes, to_floats

_CHUNK = 4
"""Images varied at a time: what is in between stays in the processor's cache."""
_LEVELS = np.arange(256) / 255


@dataclass(frozen=True)
class Drawn:
    """What happens to one image: light on the levels of its pixels, then one resampling."""

    matrix: Matrix
    curves: tuple[Curve, ...]


class Variation:
    """Transforms in order. Geometry and light that come first are done to several images at once.

    Light acts on the pixels as they are held and geometry after it, in whichever order they stand.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        count = next(
            (i for i, one in enumerate(transforms) if not isinstance(one, (Geometry, Light, Several))), len(transforms)
        )
        self._first = tuple(_simple(transforms[:count]))
        self._others = tuple(transforms[count:])

    def __call__(self, images: Sequence[Tensor], seeds: Sequence[int], side: int) -> Tensor:
        """Vary images, bytes (3, H, H): bytes (B, 3, side, side), the nearest to what comes out.

        The state of torch's generator is left as it was.
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
        varied = _lit(images, drawn)
        if any(isinstance(one, Geometry) for one in self._first):
            varied = resample(varied, [one.matrix for one in drawn])
        if not self._others:
            return _of_side(varied.add_(0.5).to(torch.uint8), side)
        finished = []
        for image, state in zip(to_floats(varied), states, strict=True):
            generator.set_state(state)
            for transform in self._others:
                image = transform(image)
            finished.append(to_bytes(image))
        return _of_side(torch.stack(finished), side)

    def _draw(self) -> Drawn:
        matrix = identity()
        curves = []
        for one in self._first:
            if isinstance(one, Geometry):
                matrix = matrix @ one.draw()
            elif (curve := one.draw()) is not None:
                curves.append(curve)
        return Drawn(matrix, tuple(curves))


def _simple(transforms: Sequence[Transform]) -> Iterator[Geometry | Light]:
    for one in transforms:
        if isinstance(one, Several):
            yield from one.parts
        elif isinstance(one, (Geometry, Light)):
            yield one


@contextmanager
def _own_state() -> Iterator[torch.Generator]:
    generator = torch.default_generator
    state = generator.get_state()
    try:
        yield generator
    finally:
        generator.set_state(state)


def _lit(images: Sequence[Tensor], drawn: Sequence[Drawn]) -> Tensor:
    """Bytes to floats 0..255, each image's levels changed by its curves."""
    lit = torch.empty((len(images), *images[0].shape))
    for into, image, one in zip(lit, images, drawn, strict=True):
        if not one.curves:
            into.copy_(image)
            continue
        levels = _LEVELS
        for curve in one.curves:
            levels = curve.of(levels)
        np.take((255 * levels).astype(np.float32), image.numpy(), out=into.numpy(), mode="clip")
    return lit


def _of_side(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return interpolate(images, (side, side), mode="bilinear", antialias=True)
