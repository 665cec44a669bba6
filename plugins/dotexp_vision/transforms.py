"""Transforms: a random variation of one image (3, H, W) of floats in 0..1; what is random comes from torch's generator.

Geometry is a 3 by 3 homography that maps the output's coordinates, -1..1 on both axes, to the input's; several become
one by multiplication, so that the image is resampled once.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, exp, log, radians, sin

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms import v2

from dotexp_vision import transform_params as p

Transform = Callable[[Tensor], Tensor]


def flip(params: p.FlipParams) -> Transform:
    """Mirror with probability p."""
    transform: Transform = v2.RandomVerticalFlip(params.p) if params.vertical else v2.RandomHorizontalFlip(params.p)
    return transform


def rotate(params: p.RotateParams) -> Transform:
    """Turn by an angle drawn evenly from ±degrees, with probability p."""
    return lambda image: resample(image, _rotation(params.degrees, params.p))


def zoom(params: p.ZoomParams) -> Transform:
    """Enlarge by a factor drawn evenly from 1 to max, with probability p, around a point of the image."""
    return lambda image: resample(image, _zoom(params.max, params.p))


def warp(params: p.WarpParams) -> Transform:
    """Move the corners apart on one side and together on the other, by up to ±max on each axis, with probability p."""
    return lambda image: resample(image, _warp(params.max, params.p))


def lighting(params: p.LightingParams) -> Transform:
    """Change brightness, then contrast, each with probability p."""
    return lambda image: _lighting(image, params.max, params.p)


def crop(params: p.CropParams) -> Transform:
    """Take a random part of the area and resize it to the image's own height and width, with probability p."""

    def apply(image: Tensor) -> Tensor:
        if not _chance(params.p):
            return image
        ratio = (1 / params.stretch, params.stretch)
        size = tuple(image.shape[-2:])
        taken: Tensor = v2.RandomResizedCrop(size, (params.min_scale, 1.0), ratio, antialias=True)(image)
        return taken

    return apply


def standard(params: p.StandardParams) -> Transform:
    """Flip, rotate, zoom and warp in one resampling, then change brightness and contrast."""

    def apply(image: Tensor) -> Tensor:
        matrix = _mirror(0, 0.5 if params.flip else 0.0) @ _mirror(1, 0.5 if params.flip_vertical else 0.0)
        matrix = matrix @ _rotation(params.rotate, params.p_affine) @ _zoom(params.zoom, params.p_affine)
        matrix = matrix @ _warp(params.warp, params.p_affine)
        return _lighting(resample(image, matrix), params.lighting, params.p_lighting)

    return apply


def resample(image: Tensor, matrix: Tensor) -> Tensor:
    """Resample an image (C, H, W) through a homography (3, 3), bilinearly; what lies outside is reflected."""
    if torch.equal(matrix, _identity()):
        return image
    height, width = image.shape[-2:]
    points = torch.stack([*_centres(height, width), torch.ones(height, width)], -1) @ matrix.T
    # homographies of angles are square to the eye only where a unit is as many pixels on both axes: images are squares
    grid = points[..., :2] / points[..., 2:]
    return grid_sample(image[None], grid[None], padding_mode="reflection", align_corners=False)[0]


def _centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    rows = (torch.arange(height) * 2 + 1) / height - 1
    columns = (torch.arange(width) * 2 + 1) / width - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return x, y


def _identity() -> Tensor:
    return torch.eye(3)


def _chance(p: float) -> bool:
    return bool(torch.rand(()) < p)


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _mirror(axis: int, p: float) -> Tensor:
    matrix = _identity()
    if _chance(p):
        matrix[axis, axis] = -1
    return matrix


def _rotation(degrees: float, p: float) -> Tensor:
    if not _chance(p):
        return _identity()
    angle = radians(_uniform(-degrees, degrees))
    return torch.tensor([[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0], [0, 0, 1]])


def _zoom(largest: float, p: float) -> Tensor:
    if not _chance(p):
        return _identity()
    scale = 1 / _uniform(1, largest)
    x, y = (_uniform(-1, 1) * (1 - scale) for _ in range(2))
    return torch.tensor([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def _warp(largest: float, p: float) -> Tensor:
    if not _chance(p):
        return _identity()
    x, y = _uniform(-largest, largest), _uniform(-largest, largest)
    corners = [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
    targets = [(-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x), (1 - y, 1 - x)]
    return homography(corners, targets)


def homography(sources: list[tuple[float, float]], targets: list[tuple[float, float]]) -> Tensor:
    """Solve for the homography (3, 3) that maps four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(sources, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solution = torch.linalg.solve(torch.tensor(rows, dtype=torch.float64), torch.tensor(values, dtype=torch.float64))
    return torch.cat([solution, torch.ones(1, dtype=torch.float64)]).reshape(3, 3).float()


def _lighting(image: Tensor, largest: float, p: float) -> Tensor:
    """fastai's: logits shifted by the logit of 0.5·(1 ± largest), then multiplied by up to 1/(1 - largest)."""
    if largest == 0:
        return image
    if _chance(p):
        shift = _uniform(0.5 * (1 - largest), 0.5 * (1 + largest))
        image = torch.sigmoid(_logit(image) + log(shift / (1 - shift)))
    if _chance(p):
        factor = exp(_uniform(log(1 - largest), -log(1 - largest)))
        image = torch.sigmoid(_logit(image) * factor)
    return image


def _logit(image: Tensor) -> Tensor:
    return torch.logit(image, eps=1e-3)
