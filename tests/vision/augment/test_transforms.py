"""Transforms: their geometry and light by hand, their ranges, and where their random numbers come from."""

from __future__ import annotations

import subprocess
import sys
from colorsys import rgb_to_hsv

import numpy as np
import pytest
import torch
from dotexp import Use
from dotexp_vision.augment import geometry as g
from dotexp_vision.augment import transforms as t
from dotexp_vision.augment.params import (
    BlurParams,
    ColourParams,
    CropParams,
    FlipParams,
    LightingParams,
    RandAugmentParams,
    RandomErasingParams,
    RotateParams,
    StandardParams,
    TrivialAugmentParams,
    WarpParams,
    ZoomParams,
)
from offered import offered
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

OFFERED = {c.name: c for c in offered("vision") if c.kind == "transform"}


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
        augmented = transform(image)
        torch.manual_seed(seed)
        assert torch.equal(transform(image), augmented)
        assert augmented.shape == image.shape and augmented.dtype == torch.float32
        assert float(augmented.min()) >= -1e-6 and float(augmented.max()) <= 1 + 1e-6
        seen.append(augmented)
    assert torch.equal(image, original)
    assert any(not torch.equal(augmented, seen[0]) for augmented in seen[1:])


def test_flips() -> None:
    image = picture()
    assert torch.equal(t.flip(FlipParams(p=1.0))(image), image.flip(2))
    assert torch.equal(t.flip(FlipParams(p=1.0, vertical=True))(image), image.flip(1))
    assert torch.equal(t.flip(FlipParams(p=0.0))(image), image)


def through(image: Tensor, rows: list[list[float]]) -> Tensor:
    return g.resample(image[None], [np.array(rows)])[0]


def test_symmetries_of_the_square_move_pixels_and_change_none() -> None:
    image = picture()
    assert torch.equal(through(image, [[0, -1, 0], [1, 0, 0], [0, 0, 1]]), torch.rot90(image, 1, (1, 2)))
    assert torch.equal(through(image, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]), torch.rot90(image, -1, (1, 2)))
    assert torch.equal(through(image, [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]), torch.rot90(image, 2, (1, 2)))
    assert torch.equal(through(image, [[0, 1, 0], [1, 0, 0], [0, 0, 1]]), image.transpose(1, 2))
    torch.manual_seed(0)
    seen = {tuple(map(tuple, g.symmetry(1.0).tolist())) for _ in range(200)}
    assert len({through(image, [list(row) for row in rows]).numpy().tobytes() for rows in seen}) == len(seen) == 8


def test_a_quarter_turn_resampled_is_the_quarter_turn() -> None:
    image = picture()
    angle = np.pi / 2 + 1e-7  # not quite: pixels are interpolated
    nearly = through(image, [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    torch.testing.assert_close(nearly, torch.rot90(image, 1, (1, 2)), atol=1e-4, rtol=0)


def test_zoom_by_two_around_the_middle_is_bilinear() -> None:
    image = torch.arange(16.0).reshape(1, 4, 4)
    zoomed = through(image, [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]])
    # output centres -.75, -.25, .25, .75 see -.375, -.125, .125, .375: pixels .75, 1.25, 1.75, 2.25 on each axis
    at = np.array([0.75, 1.25, 1.75, 2.25])
    np.testing.assert_allclose(zoomed[0].numpy(), 4 * at[:, None] + at[None, :], atol=1e-5)


def test_a_perspective_is_what_pillow_makes_of_it() -> None:
    image = picture(64)
    matrix = np.array([[0.8, 0.1, 0.02], [-0.05, 0.7, 0.03], [0.08, -0.06, 1]])  # it looks at nothing outside
    # Pillow maps pixels, whose centres are 64 * (x + 1) / 2
    pixels = np.array([[32.0, 0, 32], [0, 32, 32], [0, 0, 1]])
    by_pixels = pixels @ matrix @ np.linalg.inv(pixels)
    coefficients = (by_pixels / by_pixels[2, 2]).reshape(9)[:8].tolist()
    for channel, seen in zip(image, through(image, matrix.tolist()), strict=True):
        expected = Image.fromarray(channel.numpy()).transform(
            (64, 64), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
        )
        np.testing.assert_allclose(seen.numpy(), np.asarray(expected), atol=1e-4)


def test_what_comes_into_view_is_reflected() -> None:
    image = picture(8)
    shifted = through(image, [[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(shifted[:, :, :6], image[:, :, 2:])
    torch.testing.assert_close(shifted[:, :, 6:], image[:, :, 6:].flip(2))


def test_homography_maps_the_corners() -> None:
    corners = [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
    targets = [(-1.1, -0.9), (-0.9, 1.2), (1.0, -1.0), (0.8, 1.1)]
    matrix = g.homography(corners, targets)
    for corner, target in zip(corners, targets, strict=True):
        x, y, w = matrix @ np.array([*corner, 1.0])
        assert (float(x / w), float(y / w)) == pytest.approx(target, abs=1e-9)


def test_the_image_seen_from_aside_has_the_corners_of_fastais_warp() -> None:
    torch.manual_seed(0)
    for _ in range(50):
        matrix = g.perspective(0.2, 1.0)
        seen = [matrix @ np.array([*corner, 1.0]) for corner in g.CORNERS]
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = ((x / w, y / w) for x, y, w in seen)
        across, along = -1 - ax, -1 - ay
        assert max(abs(across), abs(along)) <= 0.2
        assert (bx, by, cx, cy) == pytest.approx((-1 + across, 1 + along, 1 + across, -1 + along))
        assert (dx, dy) == pytest.approx((1 - across, 1 - along))


def test_a_part_of_the_image_has_the_area_and_shape_asked_for() -> None:
    torch.manual_seed(0)
    parts = [g.random_resized_crop(0.3, 1.5, 1.0) for _ in range(300)]
    areas = [matrix[0, 0] * matrix[1, 1] for matrix in parts]
    shapes = [matrix[0, 0] / matrix[1, 1] for matrix in parts]
    assert 0.29 < min(areas) < 0.35 and 0.9 < max(areas) <= 1
    assert 1 / 1.51 < min(shapes) < 0.75 and 1.35 < max(shapes) < 1.51
    corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    assert max(np.abs(corners @ matrix.T)[:, :2].max() for matrix in parts) <= 1 + 1e-9


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
    matrices = [g.rotation(10, 0.75) for _ in range(2000)]
    angles = np.array([np.degrees(np.arctan2(float(m[1, 0]), float(m[0, 0]))) for m in matrices])
    turned = angles[angles != 0]
    assert len(turned) / 2000 == pytest.approx(0.75, abs=0.04)
    assert 9.5 < np.abs(turned).max() <= 10
    assert turned.std() == pytest.approx(20 / np.sqrt(12), rel=0.05)


def test_zoom_never_looks_outside() -> None:
    torch.manual_seed(0)
    corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    reach = max(float(np.abs(g.enlargement(1.5, 1.0) @ corners.T)[:2].max()) for _ in range(500))
    assert 0.99 < reach <= 1 + 1e-6


def same_draws(seen: t.Transform, expected: t.Transform, count: int = 40) -> bool:
    image = through(picture(24), [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]])
    for seed in range(count):
        torch.manual_seed(seed)
        augmented = seen(image)
        torch.manual_seed(seed)
        if not torch.equal(augmented, expected(image)):
            return False
    return True


def test_rand_augment_is_torchvisions_with_the_arguments_given() -> None:
    made = t.rand_augment(RandAugmentParams.model_validate({"num_ops": 3, "magnitude": 20}))
    arguments = {"num_ops": 3, "magnitude": 20, "num_magnitude_bins": 31}
    bilinear = {"interpolation": InterpolationMode.BILINEAR}
    assert same_draws(made, v2.RandAugment(**arguments, **bilinear))
    others = ({"num_ops": 2}, {"magnitude": 19}, {"num_magnitude_bins": 30})
    assert not any(same_draws(made, v2.RandAugment(**{**arguments, **other}, **bilinear)) for other in others)
    assert not same_draws(made, v2.RandAugment(**arguments))


def test_the_strongest_rand_augment_is_the_last_of_its_bins() -> None:
    strongest = t.rand_augment(RandAugmentParams.model_validate({"num_ops": 1, "magnitude": 30}))
    assert same_draws(strongest, v2.RandAugment(1, 30, 31, InterpolationMode.BILINEAR))


def test_trivial_augment_is_torchvisions_with_the_arguments_given() -> None:
    made = t.trivial_augment(TrivialAugmentParams(bins=7))
    assert same_draws(made, v2.TrivialAugmentWide(7, InterpolationMode.BILINEAR))
    assert not same_draws(made, v2.TrivialAugmentWide(8, InterpolationMode.BILINEAR))
    assert not same_draws(made, v2.TrivialAugmentWide(7))


@pytest.mark.parametrize("largest", [0.5, 1.5, 5.0])
def test_blur_is_a_whole_gaussian_of_up_to_the_largest_width(largest: float) -> None:
    """Of a blurred point: the centre and its neighbour give the deviation, the second moment that nothing is cut."""
    point = torch.zeros(3, 65, 65)
    point[:, 32, 32] = 1
    blur = t.blur(BlurParams(max=largest, p=1.0))
    torch.manual_seed(0)
    drawn = []
    for _ in range(200):
        profile = blur(point)[0].double().sum(0)
        near = float(profile[33] / profile[32])
        deviation = (-0.5 / np.log(near)) ** 0.5 if near > 0 else 0.0
        drawn.append(deviation)
        if deviation > 0:
            squares = (torch.arange(65) - 32).double() ** 2
            whole = torch.exp(-squares / (2 * deviation**2))
            assert float((profile * squares).sum()) == pytest.approx(
                float((whole * squares).sum() / whole.sum()), rel=0.05
            )
    assert 0.97 * largest < max(drawn) <= largest * (1 + 1e-3)
    assert min(drawn) < 0.1 + 0.05 * largest


def test_blur_of_an_image_narrower_than_its_gaussian() -> None:
    for side in (1, 2, 8, 15):
        blurred = t.blur(BlurParams(max=5.0, p=1.0))(picture(side))
        assert blurred.shape == (3, side, side) and float(blurred.std()) <= float(picture(side).std())


def test_how_often_blur_and_colour_act() -> None:
    image = picture(8)
    for transform in (t.blur(BlurParams(p=0.3)), t.colour(ColourParams(p=0.3))):
        torch.manual_seed(0)
        acted = sum(not torch.equal(transform(image), image) for _ in range(1000))
        assert acted / 1000 == pytest.approx(0.3, abs=0.05)


def test_colour_changes_saturation_and_hue_within_their_ranges() -> None:
    colour = (0.4, 0.5, 0.6)
    image = torch.tensor(colour).reshape(3, 1, 1).expand(3, 2, 2).contiguous()
    grey = float(torch.tensor([0.2989, 0.587, 0.114]) @ torch.tensor(colour))
    saturate, turn = (t.colour(ColourParams(saturation=s, hue=h, p=1.0)) for s, h in ((0.7, 0.0), (0.0, 0.3)))
    torch.manual_seed(0)
    factors = [(float(saturate(image)[0, 0, 0]) - grey) / (colour[0] - grey) for _ in range(400)]
    assert 0.3 - 1e-5 <= min(factors) < 0.33 and 1.67 < max(factors) <= 1.7 + 1e-5
    before = rgb_to_hsv(*colour)[0]
    turned = [rgb_to_hsv(*turn(image)[:, 0, 0].tolist())[0] - before for _ in range(400)]
    turns = [(by + 0.5) % 1 - 0.5 for by in turned]
    assert -0.3 - 1e-5 <= min(turns) < -0.28 and 0.28 < max(turns) <= 0.3 + 1e-5


def test_noise_that_erases_is_about_mid_grey_and_as_wide_as_photographs() -> None:
    erase = t.random_erasing(RandomErasingParams(p=1.0, min_area=0.3, max_area=0.4))
    torch.manual_seed(0)
    image = torch.full((3, 64, 64), 2.0)  # beyond what any noise is clamped to, before it is
    covered = torch.cat([erased[:, (erased[0] != 1)].flatten() for erased in (erase(image) for _ in range(20))])
    expected = np.random.default_rng(0).normal(0.5, 0.25, 200_000).clip(0, 1)
    assert float(covered.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(covered.std()) == pytest.approx(expected.std(), rel=0.03)


def test_rectangles_that_erase_are_as_often_wide_as_high() -> None:
    erase = t.random_erasing(RandomErasingParams(p=1.0, min_area=0.2, max_area=0.2, ratio=3.0))
    torch.manual_seed(0)
    ratios = []
    for covered in ((erase(torch.full((3, 64, 64), 2.0))[0] != 1) for _ in range(200)):
        ratios.append(float(np.log(int(covered.any(1).sum()) / int(covered.any(0).sum()))))
    assert 0.8 * np.log(3) < max(ratios) <= 1.1 * np.log(3) and -1.1 * np.log(3) <= min(ratios) < -0.8 * np.log(3)
    assert sum(ratio > 0 for ratio in ratios) / 200 == pytest.approx(0.5, abs=0.1)


@pytest.mark.process
def test_the_face_imports_nothing_heavy() -> None:
    code = (
        "import sys; from dotexp.components.registry import load_registry; "
        "parts = [c for c in load_registry().components if c.provider == 'dotexp_vision']; "
        "[c.facts_for(c.params()) for c in parts if c.name in ('resnet34', 'squeezenet1_1', 'digits', 'standard')]; "
        "print(sorted({'torch', 'torchvision', 'sklearn', 'PIL', 'polars'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
