"""Transforms: a random variation of one image (3, H, W) of floats in 0..1; what is random comes from torch's generator.

Geometry and light say what they would do before they do it, so that what stands one after the other in a spec
becomes one resampling and one table of brightnesses (`varying`). The others are torchvision's.
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
_LEAST = 1e-7
_MAGNITUDES = 31
"""RandAugment's bins: magnitudes 0 to 30."""


@dataclass(frozen=True)
class Curve:
    """A change of light on the logits of the pixels, as fastai has it: sigmoid((logit(x) + shift) * factor)."""

    shift: float = 0.0
    factor: float = 1.0

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Change values in 0..1."""
        inside = np.clip(values, _LEAST, 1 - _LEAST)
        return 1 / (1 + np.exp(-(np.log(inside / (1 - inside)) + self.shift) * self.factor))


@dataclass(frozen=True)
class Geometry:
    """Draws a homography; called with an image, it resamples it."""

    draw: Callable[[], Matrix]

    def __call__(self, image: Tensor) -> Tensor:
        """Vary one image (3, H, W)."""
        return geometry.resample(image[None], [self.draw()])[0]


@dataclass(frozen=True)
class Light:
    """Draws a curve, or none; called with an image, it changes its pixels."""

    draw: Callable[[], Curve | None]

    def __call__(self, image: Tensor) -> Tensor:
        """Vary one image (3, H, W)."""
        curve = self.draw()
        return image if curve is None else torch.from_numpy(curve.of(image.double().numpy())).to(image.dtype)


@dataclass(frozen=True)
class Several:
    """Geometry and light, one after the other."""

    parts: tuple[Geometry | Light, ...]

    def __call__(self, image: Tensor) -> Tensor:
        """Vary one image (3, H, W)."""
        for vary in self.parts:
            image = vary(image)
        return image


def flip(params: p.FlipParams) -> Geometry:
    """Mirror with probability p."""
    return Geometry(lambda: geometry.mirror(1 if params.vertical else 0, params.p))


def dihedral(params: p.DihedralParams) -> Geometry:
    """Take one of the eight symmetries of a square, with probability p."""
    return Geometry(lambda: geometry.symmetry(params.p))


def rotate(params: p.RotateParams) -> Geometry:
    """Turn by an angle drawn evenly from ±degrees, with probability p."""
    return Geometry(lambda: geometry.rotation(params.degrees, params.p))


def zoom(params: p.ZoomParams) -> Geometry:
    """Enlarge by a factor drawn evenly from 1 to max, with probability p, around a point of the image."""
    return Geometry(lambda: geometry.enlargement(params.max, params.p))


def warp(params: p.WarpParams) -> Geometry:
    """Move the corners apart on one side and together on the other, by up to ±max on each axis, with probability p."""
    return Geometry(lambda: geometry.perspective(params.max, params.p))


def crop(params: p.CropParams) -> Geometry:
    """Take a random part of the area and enlarge it to the whole, with probability p."""
    return Geometry(lambda: geometry.part(params.min_scale, params.stretch, params.p))


def lighting(params: p.LightingParams) -> Light:
    """Change brightness and contrast, each with probability p."""
    return Light(lambda: _curve(params.max, params.p))


def standard(params: p.StandardParams) -> Several:
    """Flip, rotate, zoom and warp, then change brightness and contrast."""

    def draw() -> Matrix:
        matrix = geometry.mirror(0, 0.5 if params.flip else 0.0)
        matrix = matrix @ geometry.mirror(1, 0.5 if params.flip_vertical else 0.0)
        matrix = matrix @ geometry.rotation(params.rotate, params.p_affine)
        matrix = matrix @ geometry.enlargement(params.zoom, params.p_affine)
        return matrix @ geometry.perspective(params.warp, params.p_affine)

    return Several((Geometry(draw), Light(lambda: _curve(params.lighting, params.p_lighting))))


def colour(params: p.ColourParams) -> Transform:
    """Change saturation and hue, with probability p: torchvision's ColorJitter."""
    return _sometimes(v2.ColorJitter(saturation=params.saturation, hue=params.hue), params.p)


def grey(params: p.GreyParams) -> Transform:
    """Take the colours away with probability p: torchvision's RandomGrayscale."""
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

    return _sometimes(apply, params.p)


def random_erasing(params: p.RandomErasingParams) -> Transform:
    """Cover a rectangle, with probability p: torchvision's RandomErasing, over images in 0..1."""
    area, ratio = (params.min_area, params.max_area), (1 / params.stretch, params.stretch)
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
        erased[:, top : top + height, left : left + width] = drawn["v"] * _SPREAD + 0.5 if noise else drawn["v"]
        return erased.clamp_(0, 1)

    return apply


def trivial_augment(params: p.TrivialAugmentParams) -> Transform:
    """Take one of fourteen changes, of any strength: torchvision's TrivialAugmentWide."""
    made: Transform = v2.TrivialAugmentWide(params.bins, InterpolationMode.BILINEAR)
    return made


def rand_augment(params: p.RandAugmentParams) -> Transform:
    """Take several of fourteen changes, one after the other, of a strength: torchvision's RandAugment."""
    made: Transform = v2.RandAugment(params.changes, params.strength, _MAGNITUDES, InterpolationMode.BILINEAR)
    return made


_FILLS = {p.Fill.grey: 0.5, p.Fill.black: 0.0}
_SPREAD = 0.25
"""Standard deviation of the noise, about that of photographs."""


def _sometimes(transform: Transform, probability: float) -> Transform:
    return lambda image: transform(image) if geometry.chance(probability) else image


def _curve(largest: float, probability: float) -> Curve | None:
    """fastai's: a shift by up to the logit of 0.5·(1 ± largest), and a factor from 1 - largest to its inverse."""
    if largest == 0:
        return None
    shift, factor = 0.0, 1.0
    if geometry.chance(probability):
        change = geometry.uniform(0.5 * (1 - largest), 0.5 * (1 + largest))
        shift = log(change / (1 - change))
    if geometry.chance(probability):
        factor = exp(geometry.uniform(log(1 - largest), -log(1 - largest)))
    return None if shift == 0 and factor == 1 else Curve(shift, factor)
