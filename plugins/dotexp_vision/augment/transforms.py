"""Transforms: each augments one image (3, H, W) of floats in 0..1, by random numbers of torch's default generator.

`Geometry` and `Lighting` are sampled before they are applied, so that neighbours become one resampling and one table of
levels (`pipeline`). The others are torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from dotexp_vision.augment import geometry
from dotexp_vision.augment import params as p
from dotexp_vision.augment.geometry import Matrix

Transform = Callable[[Tensor], Tensor]
_EPS = 1e-7
_MAGNITUDES = 31
"""RandAugment's bins: magnitudes 0 to 30."""


@dataclass(frozen=True)
class Contrast:
    """Brightness and contrast on the logits of the pixels, as in fastai: sigmoid((logit(x) + shift) * factor)."""

    shift: float = 0.0
    factor: float = 1.0

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the changed values; all are in 0..1."""
        inside = np.clip(values, _EPS, 1 - _EPS)
        return 1 / (1 + np.exp(-(np.log(inside / (1 - inside)) + self.shift) * self.factor))


@dataclass(frozen=True)
class Geometry:
    """Samples a homography; called with an image, resamples it."""

    draw: Callable[[], Matrix]

    def __call__(self, image: Tensor) -> Tensor:
        """Augment one image (3, H, W)."""
        return geometry.resample(image[None], [self.draw()])[0]


@dataclass(frozen=True)
class Lighting:
    """Samples a change of brightness and contrast, or None; called with an image, applies it."""

    draw: Callable[[], Contrast | None]

    def __call__(self, image: Tensor) -> Tensor:
        """Augment one image (3, H, W)."""
        contrast = self.draw()
        if contrast is None:
            return image
        return torch.from_numpy(contrast.apply(image.double().numpy())).to(image.dtype)


@dataclass(frozen=True)
class Compose:
    """Geometry and lighting, one after the other."""

    transforms: tuple[Geometry | Lighting, ...]

    def __call__(self, image: Tensor) -> Tensor:
        """Augment one image (3, H, W)."""
        for transform in self.transforms:
            image = transform(image)
        return image


def flip(params: p.FlipParams) -> Geometry:
    """Flip with probability p."""
    return Geometry(lambda: geometry.mirror(1 if params.vertical else 0, params.p))


def dihedral(params: p.DihedralParams) -> Geometry:
    """Apply one of the eight symmetries of a square, with probability p."""
    return Geometry(lambda: geometry.symmetry(params.p))


def rotate(params: p.RotateParams) -> Geometry:
    """Rotate by a uniform angle within ±degrees, with probability p."""
    return Geometry(lambda: geometry.rotation(params.degrees, params.p))


def zoom(params: p.ZoomParams) -> Geometry:
    """Zoom in by a uniform factor from 1 to max around a uniform point, with probability p."""
    return Geometry(lambda: geometry.enlargement(params.max, params.p))


def warp(params: p.WarpParams) -> Geometry:
    """Warp the perspective with probability p: corners move by up to ±max on each axis."""
    return Geometry(lambda: geometry.perspective(params.max, params.p))


def crop(params: p.CropParams) -> Geometry:
    """Crop a random area and resize it to the whole image, with probability p."""
    return Geometry(lambda: geometry.random_resized_crop(params.min_scale, params.ratio, params.p))


def lighting(params: p.LightingParams) -> Lighting:
    """Change brightness and contrast, each with probability p."""
    return Lighting(lambda: _sample_contrast(params.max, params.p))


def standard(params: p.StandardParams) -> Compose:
    """Flip, rotate, zoom and warp, then change brightness and contrast."""

    def draw() -> Matrix:
        matrix = geometry.mirror(0, 0.5 if params.flip else 0.0)
        matrix = matrix @ geometry.mirror(1, 0.5 if params.flip_vertical else 0.0)
        matrix = matrix @ geometry.rotation(params.rotate, params.p_affine)
        matrix = matrix @ geometry.enlargement(params.zoom, params.p_affine)
        return matrix @ geometry.perspective(params.warp, params.p_affine)

    return Compose((Geometry(draw), Lighting(lambda: _sample_contrast(params.lighting, params.p_lighting))))


def colour(params: p.ColourParams) -> Transform:
    """Change saturation and hue, with probability p: torchvision's ColorJitter."""
    return _with_probability(v2.ColorJitter(saturation=params.saturation, hue=params.hue), params.p)


def grey(params: p.GreyParams) -> Transform:
    """Convert to greyscale with probability p: torchvision's RandomGrayscale."""
    made: Transform = v2.RandomGrayscale(params.p)
    return made


def blur(params: p.BlurParams) -> Transform:
    """Blur with a Gaussian whose standard deviation is uniform, with probability p: torchvision's GaussianBlur.

    The kernel reaches three of the largest standard deviations, or as far as the image allows reflection.
    """
    radius, deviations = max(1, round(3 * params.max)), (min(0.1, params.max), params.max)

    def apply(image: Tensor) -> Tensor:
        reach = min(radius, min(image.shape[-2:]) - 1)
        blurred: Tensor = v2.GaussianBlur(2 * reach + 1, deviations)(image)
        return blurred

    return _with_probability(apply, params.p)


def random_erasing(params: p.RandomErasingParams) -> Transform:
    """Erase a rectangle with probability p: torchvision's RandomErasing, for images in 0..1."""
    area, ratio = (params.min_area, params.max_area), (1 / params.ratio, params.ratio)
    noise = params.fill is p.Fill.noise
    drawing = v2.RandomErasing(params.p, area, ratio, value="random" if noise else _FILLS[params.fill])

    def apply(image: Tensor) -> Tensor:
        if not geometry.chance(params.p):
            return image
        drawn = drawing.make_params([image])
        if drawn["v"] is None:  # no rectangle of this size and shape was found to fit
            return image
        top, left, height, width = (drawn[name] for name in ("i", "j", "h", "w"))
        erased = image.clone()
        erased[:, top : top + height, left : left + width] = drawn["v"] * _NOISE_STD + 0.5 if noise else drawn["v"]
        return erased.clamp_(0, 1)

    return apply


def trivial_augment(params: p.TrivialAugmentParams) -> Transform:
    """Apply one of fourteen operations, of random magnitude: torchvision's TrivialAugmentWide."""
    made: Transform = v2.TrivialAugmentWide(params.bins, InterpolationMode.BILINEAR)
    return made


def rand_augment(params: p.RandAugmentParams) -> Transform:
    """Apply `num_ops` of fourteen operations, of one magnitude: torchvision's RandAugment."""
    made: Transform = v2.RandAugment(params.num_ops, params.magnitude, _MAGNITUDES, InterpolationMode.BILINEAR)
    return made


_FILLS = {p.Fill.grey: 0.5, p.Fill.black: 0.0}
_NOISE_STD = 0.25
"""Standard deviation of the noise, about that of photographs."""


def _with_probability(transform: Transform, probability: float) -> Transform:
    return lambda image: transform(image) if geometry.chance(probability) else image


def _sample_contrast(largest: float, probability: float) -> Contrast | None:
    """Sample as fastai does: a shift up to the logit of 0.5·(1 ± largest), a factor from 1 - largest to its inverse."""
    if largest == 0:
        return None
    shift, factor = 0.0, 1.0
    if geometry.chance(probability):
        change = geometry.uniform(0.5 * (1 - largest), 0.5 * (1 + largest))
        shift = log(change / (1 - change))
    if geometry.chance(probability):
        factor = exp(geometry.uniform(log(1 - largest), -log(1 - largest)))
    return None if shift == 0 and factor == 1 else Contrast(shift, factor)
