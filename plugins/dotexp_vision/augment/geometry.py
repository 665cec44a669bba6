"""Random homographies, and bilinear resampling of images through them.

A homography is a 3 x 3 matrix that maps the output's coordinates, -1..1 on both axes, to the input's. The product of
several is one homography, so that an image is resampled once. Images are square. Random numbers come from torch's
default generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms import v2

Matrix = NDArray[np.float64]
CORNERS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))
_FINE = 4096


def chance(p: float) -> bool:
    """Return True with probability p."""
    return torch.rand(()).item() < p


def uniform(low: float, high: float) -> float:
    """Draw from the uniform distribution over low..high."""
    return low + (high - low) * torch.rand(()).item()


def identity() -> Matrix:
    """Return the identity matrix."""
    return np.eye(3)


def mirror(axis: int, p: float) -> Matrix:
    """Mirror left to right (axis 0) or top to bottom (axis 1), with probability p."""
    matrix = identity()
    if chance(p):
        matrix[axis, axis] = -1
    return matrix


def symmetry(p: float) -> Matrix:
    """Draw one of the eight symmetries of a square uniformly, with probability p."""
    if not chance(p):
        return identity()
    number = int(torch.randint(8, ()))
    matrix = np.diag([1.0 - 2 * (number & 1), 1.0 - (number & 2), 1.0])
    return matrix[[1, 0, 2]] if number & 4 else matrix


def rotation(degrees: float, p: float) -> Matrix:
    """Rotate by a uniform angle within ±degrees, with probability p."""
    if not chance(p):
        return identity()
    angle = radians(uniform(-degrees, degrees))
    return np.array([[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0], [0, 0, 1]])


def enlargement(largest: float, p: float) -> Matrix:
    """Zoom in by a uniform factor from 1 to `largest` around a uniform point, with probability p."""
    if not chance(p):
        return identity()
    scale = 1 / uniform(1, largest)
    x, y = (uniform(-1, 1) * (1 - scale) for _ in range(2))
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def perspective(largest: float, p: float) -> Matrix:
    """Warp the perspective with probability p: corners move by up to ±largest on each axis."""
    if not chance(p):
        return identity()
    x, y = uniform(-largest, largest), uniform(-largest, largest)
    return homography(CORNERS, ((-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x), (1 - y, 1 - x)))


def random_resized_crop(min_scale: float, ratio: float, p: float) -> Matrix:
    """Crop `min_scale` to 1 of the area at an aspect ratio from 1/ratio to ratio, with probability p, and resize it."""
    if not chance(p):
        return identity()
    drawing = v2.RandomResizedCrop(_FINE, (min_scale, 1.0), (1 / ratio, ratio))
    drawn = drawing.make_params([torch.empty(3, _FINE, _FINE, device="meta")])
    (x, width), (y, height) = (
        (drawn[start], drawn[length]) for start, length in (("left", "width"), ("top", "height"))
    )
    return np.array(
        [
            [width / _FINE, 0, (2 * x + width) / _FINE - 1],
            [0, height / _FINE, (2 * y + height) / _FINE - 1],
            [0, 0, 1],
        ]
    )


def homography(sources: Sequence[tuple[float, float]], targets: Sequence[tuple[float, float]]) -> Matrix:
    """Solve for the homography that maps four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(sources, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


def resample(images: Tensor, matrices: Sequence[Matrix]) -> Tensor:
    """Resample float images (B, C, H, W), each through its homography: bilinear, reflection padding.

    Flips and quarter turns move pixels without interpolation. An image's result does not depend on the others.
    """
    exact = [_moves_whole_pixels(matrix) for matrix in matrices]
    if all(exact):
        return torch.stack([_moved(image, matrix) for image, matrix in zip(images, matrices, strict=True)])
    grid = _grid(np.stack(matrices), *images.shape[-2:]).to(images.dtype)
    result = grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    for number in (number for number, whole in enumerate(exact) if whole):
        result[number] = _moved(images[number], matrices[number])
    return result


def _moves_whole_pixels(matrix: Matrix) -> bool:
    sizes = np.abs(matrix)
    return bool((sizes.sum(0) == 1).all() and (sizes.max(0) == 1).all() and matrix[2, 2] == 1)


def _moved(image: Tensor, matrix: Matrix) -> Tensor:
    if matrix[0, 0] == 0:  # the output's columns are the input's rows
        image, matrix = image.transpose(-1, -2), matrix[[1, 0, 2]]
    return image.flip([axis for axis, sign in ((-1, matrix[0, 0]), (-2, matrix[1, 1])) if sign < 0])


def _grid(matrices: Matrix, height: int, width: int) -> Tensor:
    """Return the sampling grid (B, H, W, 2) of input coordinates.

    Sums of a term by row and a term by column, each correctly rounded, so that the bits do not depend on the chunking.
    """
    m = torch.from_numpy(matrices).float()[..., None]
    x, y = (((torch.arange(length) * 2 + 1) / length - 1)[None] for length in (width, height))
    by_column = [(m[:, row, 0] * x)[:, None, :] for row in range(3)]
    by_row = [(m[:, row, 1] * y + m[:, row, 2])[:, :, None] for row in range(3)]
    grid = torch.empty(len(matrices), height, width, 2)
    depth = by_column[2] + by_row[2]
    for axis in range(2):
        torch.div(by_column[axis] + by_row[axis], depth, out=grid[..., axis])
    return grid
