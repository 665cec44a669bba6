"""Transforms: their geometry and light by hand, their ranges, and where their random numbers come from."""

from __future__ import annotations

import subprocess
import sys

import dotexp_vision
import numpy as np
import pytest
import torch
from dotexp import Use
from dotexp_vision import transforms as t
from dotexp_vision.transform_params import (
    CropParams,
    FlipParams,
    LightingParams,
    RotateParams,
    StandardParams,
    WarpParams,
    ZoomParams,
)
from torch import Tensor

OFFERED = {c.name: c for c in dotexp_vision.dotexp_components() if c.kind == "transform"}


def picture(side: int = 16) -> Tensor:
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_every_transform_keeps_shape_and_range_and_follows_the_seed(name: str) -> None:
    transform = Use(component=OFFERED[name], params=OFFERED[name].params()).build()
    image = picture()
    original = image.clone()
    seen = []
    for seed in range(6):
        torch.manual_seed(seed)
        varied = transform(image)
        torch.manual_seed(seed)
        assert torch.equal(transform(image), varied)
        assert varied.shape == image.shape and varied.dtype == torch.float32
        assert float(varied.min()) >= -1e-6 and float(varied.max()) <= 1 + 1e-6
        seen.append(varied)
    assert torch.equal(image, original)
    assert any(not torch.equal(varied, seen[0]) for varied in seen[1:])


def test_flips() -> None:
    image = picture()
    assert torch.equal(t.flip(FlipParams(p=1.0))(image), image.flip(2))
    assert torch.equal(t.flip(FlipParams(p=1.0, vertical=True))(image), image.flip(1))
    assert torch.equal(t.flip(FlipParams(p=0.0))(image), image)


def test_a_quarter_turn_is_exact() -> None:
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    image = picture()
    torch.testing.assert_close(t.resample(image, quarter), torch.rot90(image, 1, (1, 2)))


def test_zoom_by_two_around_the_middle_is_bilinear() -> None:
    image = torch.arange(16.0).reshape(1, 4, 4)
    zoomed = t.resample(image, torch.diag(torch.tensor([0.5, 0.5, 1.0])))
    # output centres -.75, -.25, .25, .75 see -.375, -.125, .125, .375: pixels .75, 1.25, 1.75, 2.25 on each axis
    at = np.array([0.75, 1.25, 1.75, 2.25])
    np.testing.assert_allclose(zoomed[0].numpy(), 4 * at[:, None] + at[None, :], atol=1e-5)


def test_what_comes_into_view_is_reflected() -> None:
    image = picture(8)
    shifted = t.resample(image, torch.tensor([[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]]))
    torch.testing.assert_close(shifted[:, :, :6], image[:, :, 2:])
    torch.testing.assert_close(shifted[:, :, 6:], image[:, :, 6:].flip(2))


def test_homography_maps_the_corners() -> None:
    corners = [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
    targets = [(-1.1, -0.9), (-0.9, 1.2), (1.0, -1.0), (0.8, 1.1)]
    matrix = t.homography(corners, targets).double()
    for corner, target in zip(corners, targets, strict=True):
        x, y, w = matrix @ torch.tensor([*corner, 1.0], dtype=torch.float64)
        assert (float(x / w), float(y / w)) == pytest.approx(target, abs=1e-5)


def test_lighting_follows_the_formula() -> None:
    image = torch.full((3, 2, 2), 0.3)
    values = []
    torch.manual_seed(0)
    for _ in range(300):
        values.append(float(t.lighting(LightingParams(max=0.2, p=1.0))(image)[0, 0, 0]))
    logit = np.log(0.3 / 0.7)
    shift = np.log(0.6 / 0.4)  # the logit of 0.5 * (1 + 0.2)
    ends = [(logit + s) * f for s in (-shift, shift) for f in (0.8, 1 / 0.8)]
    lowest, highest = (1 / (1 + np.exp(-end)) for end in (min(ends), max(ends)))
    assert lowest - 1e-6 <= min(values) < lowest + 0.03
    assert highest - 0.03 < max(values) <= highest + 1e-6


def test_nothing_happens_with_probability_zero() -> None:
    image = picture()
    still = [
        t.rotate(RotateParams(p=0.0)),
        t.zoom(ZoomParams(p=0.0)),
        t.warp(WarpParams(p=0.0)),
        t.lighting(LightingParams(p=0.0)),
        t.crop(CropParams(p=0.0)),
        t.standard(StandardParams(flip=False, p_affine=0.0, p_lighting=0.0)),
    ]
    assert all(torch.equal(transform(image), image) for transform in still)


def test_how_often_and_how_far_rotation_goes() -> None:
    torch.manual_seed(0)
    matrices = [t._rotation(10, 0.75) for _ in range(2000)]
    angles = np.array([np.degrees(np.arctan2(float(m[1, 0]), float(m[0, 0]))) for m in matrices])
    turned = angles[angles != 0]
    assert len(turned) / 2000 == pytest.approx(0.75, abs=0.04)
    assert 9.5 < np.abs(turned).max() <= 10
    assert turned.std() == pytest.approx(20 / np.sqrt(12), rel=0.05)


def test_zoom_never_looks_outside() -> None:
    torch.manual_seed(0)
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    reach = max(float((t._zoom(1.5, 1.0) @ corners.T)[:2].abs().max()) for _ in range(500))
    assert 0.99 < reach <= 1 + 1e-6


def test_the_face_imports_nothing_heavy() -> None:
    code = (
        "import sys, dotexp_vision; parts = dotexp_vision.dotexp_components(); "
        "[c.facts_for(c.params()) for c in parts if c.kind == 'body']; "
        "print(sorted({'torch', 'torchvision', 'sklearn', 'PIL', 'polars'} & set(sys.modules)), len(parts))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "15"]
