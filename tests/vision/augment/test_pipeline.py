"""Batches of images augmented: each as its seed says, whatever stands beside it, and as its transforms one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from dotexp import Use
from dotexp_vision.augment import transforms as t
from dotexp_vision.augment.geometry import resample
from dotexp_vision.augment.params import (
    Fill,
    FlipParams,
    LightingParams,
    RandomErasingParams,
    RotateParams,
    StandardParams,
    ZoomParams,
)
from dotexp_vision.augment.pipeline import Augmentation
from offered import offered
from torch import Tensor
from torch.nn.functional import interpolate

OFFERED = {c.name: c for c in offered("vision") if c.kind == "transform"}
SETS = {
    "standard": ("standard",),
    "some of each": ("crop", "flip", "lighting", "rotate", "random_erasing"),
    "torchvision's first": ("grey", "colour", "standard"),
    "one of many": ("trivial_augment",),
}


def made(names: Sequence[str]) -> list[t.Transform]:
    return [Use(component=OFFERED[name], params=OFFERED[name].params()).build() for name in names]


def pictures(count: int = 11, side: int = 20) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(count, 3, 5, 5, generator=generator)
    return list((interpolate(rough, (side, side), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8))


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_an_image_does_not_depend_on_its_neighbours_nor_on_threads(names: Sequence[str]) -> None:
    images, seeds, augment = pictures(), list(range(100, 111)), Augmentation(made(names))
    together = augment(images, seeds, 20)
    assert together.shape == (11, 3, 20, 20) and together.dtype == torch.uint8
    assert torch.equal(
        torch.cat([augment([one], [seed], 20) for one, seed in zip(images, seeds, strict=True)]), together
    )
    assert torch.equal(augment(images[::-1], seeds[::-1], 20), together.flip(0))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(augment(images, seeds, 20), together)
    finally:
        torch.set_num_threads(threads)
    assert not torch.equal(augment(images, list(range(11)), 20), together)


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_the_random_state_outside_neither_matters_nor_changes(names: Sequence[str]) -> None:
    images, seeds, augment = pictures(3), [1, 2, 3], Augmentation(made(names))
    torch.manual_seed(1)
    first = augment(images, seeds, 20)
    after = torch.rand(3)
    torch.manual_seed(2)
    assert torch.equal(augment(images, seeds, 20), first)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)


def test_it_is_what_the_transforms_do_one_by_one() -> None:
    """Lighting on the bytes and one resampling, against each transform on floats: equal up to rounding."""
    standard, turn = t.standard(StandardParams(warp=0.1)), t.rotate(RotateParams(degrees=20.0))
    images, seeds = pictures(), list(range(11))
    augmented = Augmentation([standard, turn])(images, seeds, 20).double()
    geometry, lighting = standard.transforms
    assert isinstance(geometry, t.Geometry) and isinstance(lighting, t.Lighting)
    for image, seed, seen in zip(images, seeds, augmented, strict=True):
        torch.manual_seed(seed)
        first, contrast, second = geometry.draw(), lighting.draw(), turn.draw()
        expected = resample((image.double() / 255)[None], [first @ second])[0].numpy()
        expected = 255 * (expected if contrast is None else contrast.apply(expected))
        assert float(np.abs(seen.numpy() - expected).mean()) < 0.7
        assert float(np.abs(seen.numpy() - expected).max()) < 5


def test_light_alone_is_exact_to_the_byte() -> None:
    images = [torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16).contiguous()]
    torch.manual_seed(3)
    contrast = t.lighting(LightingParams(max=0.5, p=1.0)).draw()
    assert contrast is not None
    levels = np.clip(np.arange(256) / 255, 1e-7, 1 - 1e-7)
    expected = 1 / (1 + np.exp(-(np.log(levels / (1 - levels)) + contrast.shift) * contrast.factor))
    seen = Augmentation([t.lighting(LightingParams(max=0.5, p=1.0))])(images, [3], 16)[0, 0].flatten()
    np.testing.assert_array_equal(seen.numpy(), np.floor(255 * expected + 0.5))


def test_mirroring_moves_bytes_and_changes_none() -> None:
    images = pictures(2)
    for vertical, axis in ((False, 2), (True, 1)):
        seen = Augmentation([t.flip(FlipParams(p=1.0, vertical=vertical))])(images, [1, 2], 20)
        assert torch.equal(seen, torch.stack(images).flip(axis + 1))


def test_one_resampling_is_sharper_than_two() -> None:
    """Turned there and back again: as one homography nothing is lost."""
    images = pictures(1)
    there, back = (
        np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]),
        np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]]),
    )
    once = Augmentation([t.Geometry(lambda: there), t.Geometry(lambda: back)])(images, [0], 20)
    assert int((once[0].int() - images[0].int()).abs().max()) <= 1


def test_to_another_side() -> None:
    images = [torch.full((3, 32, 32), 100, dtype=torch.uint8)] * 2
    seen = Augmentation([t.zoom(ZoomParams(max=1.5))])(images, [0, 1], 20)
    assert torch.equal(seen, torch.full((2, 3, 20, 20), 100, dtype=torch.uint8))


@pytest.mark.parametrize(("fill", "level"), [("grey", 128), ("black", 0), ("noise", None)])
def test_erasing_covers_a_rectangle_of_the_area_asked_for(fill: str, level: int | None) -> None:
    params = RandomErasingParams(p=1.0, min_area=0.1, max_area=0.3, ratio=2.0, fill=Fill(fill))
    images = [torch.full((3, 40, 40), 200, dtype=torch.uint8)] * 30
    seen = Augmentation([t.random_erasing(params)])(images, list(range(30)), 40)
    for image in seen:
        covered = (image != 200).any(0)
        rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert 0.08 * 1600 <= height * width <= 0.32 * 1600
        assert 0.45 <= height / width <= 2.2
        if level is not None:
            assert int(covered.sum()) == height * width
            assert torch.equal(image[:, covered], torch.full((3, height * width), level, dtype=torch.uint8))
        else:
            assert float(image[:, covered].float().mean()) == pytest.approx(127, abs=15)
