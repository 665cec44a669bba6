"""Images of more than 8 bits: black and white are decided once for a data set, and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dotexp
import numpy as np
import pytest
import torch
from dotexp import DataContext, UsageError
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.decode import UnreadableImageError, read_image
from dotexp_vision.data.encoding import encoder
from dotexp_vision.data.folder import build
from dotexp_vision.data.params import ImageFolderParams
from numpy.typing import NDArray
from PIL import Image
from raw_images import png, tiff
from torch import Tensor

from specs import IMAGES, faults, resolved

GREYS = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)


def write(folder: Path, images: Sequence[bytes], suffix: str = ".png") -> Path:
    """Images of two classes by turns."""
    for number, image in enumerate(images):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}{suffix}").write_bytes(image)
    return folder


def load(folder: Path, **more: object) -> ImageData:
    given = {"path": folder, "size": 8, "valid": 1, **more}
    return build(ImageFolderParams.model_validate(given), DataContext(1))


def shown(data: ImageData) -> Tensor:
    """Images of the training set as bytes, one channel."""
    part = data.part("train")
    batches = part.batches(torch.arange(len(part)), 99, None, torch.device("cpu"))
    return (torch.cat([batch.inputs[0] for batch in batches]) * 255).round().to(torch.uint8)[:, 0]


def guess(data: ImageData) -> str:
    return data.facts.guesses["levels"]


WRITERS = {
    "grey png": (lambda levels: png(levels), ".png"),
    "colour png": (lambda levels: png(np.stack([levels] * 3, -1)), ".png"),
    "png with alpha": (lambda levels: png(np.stack([levels] * 3 + [np.full_like(levels, 65535)], -1)), ".png"),
    "grey tiff": (lambda levels: tiff(levels, 16), ".tif"),
    "big-endian tiff": (lambda levels: tiff(levels, 16, order=">"), ".tif"),
    "packed colour tiff": (lambda levels: tiff(np.stack([levels] * 3, -1), 16, packed=True), ".tif"),
    "big-endian colour tiff": (lambda levels: tiff(np.stack([levels] * 3, -1), 16, order=">"), ".tif"),
    "signed tiff": (lambda levels: tiff(levels.astype(np.int32), 32, 2), ".tif"),
}


@pytest.mark.parametrize(("highest", "white"), [(255, 255), (1000, 1023), (3071, 4095), (65535, 65535)])
@pytest.mark.parametrize("form", WRITERS)
def test_the_highest_level_of_all_images_says_which_is_white(
    tmp_path: Path, form: str, highest: int, white: int
) -> None:
    writer, suffix = WRITERS[form]
    levels = np.linspace(0, highest, 64).astype(np.uint16).reshape(8, 8)
    images = [levels, levels // 2, levels, levels // 3, levels]
    data = load(write(tmp_path, [writer(image) for image in images], suffix))
    assert guess(data) == f"0..{white} (of 5 images of more than 8 bits, whose highest level is {highest})"
    seen = {tuple(image.flatten().tolist()) for image in shown(data)}
    expected = [(image.astype(int) * 255 // white).astype(np.uint8) for image in images]
    assert seen <= {tuple(image.flatten().tolist()) for image in expected} and len(seen) >= 2
    assert data.facts.vocabulary["levels"] == {"integers": [0, white]}


def test_eight_bits_stored_in_sixteen_are_the_eight_bits(tmp_path: Path) -> None:
    """Two classes, dark and bright: black for the model, both of them, where the file's type counts."""
    dark, bright = GREYS // 8, GREYS
    wide = load(write(tmp_path / "wide", [png(image.astype(np.uint16)) for image in (dark, bright) * 3]))
    for number, image in enumerate((dark, bright) * 3):
        (tmp_path / "plain" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "plain" / "ab"[number % 2] / f"{number}.png")
    plain = load(tmp_path / "plain")
    assert torch.equal(shown(wide), shown(plain))
    assert "levels" not in plain.facts.guesses and "levels" not in plain.facts.vocabulary


def test_one_bright_image_decides_for_all(tmp_path: Path) -> None:
    levels = (GREYS.astype(np.uint16)) * 16
    data = load(write(tmp_path, [png(image) for image in (levels // 20, levels // 20, levels, levels // 20, levels)]))
    assert guess(data).startswith("0..4095 ")
    assert {int(image.max()) for image in shown(data)} == {(252 * 16 // 20 * 255 // 4095), 252 * 16 * 255 // 4095}


def test_what_the_spec_says_holds_for_all_images(tmp_path: Path) -> None:
    levels = GREYS.astype(np.uint16) * 16
    folder = write(tmp_path, [png(levels)] * 5)
    data = load(folder, levels=dotexp.Range(low=0, high=2016))
    assert torch.equal(
        shown(data)[0], torch.from_numpy((levels.astype(int) * 255 // 2016).clip(0, 255).astype(np.uint8))
    )
    assert "levels" not in data.facts.guesses
    assert data.facts.notes == ("5 images have levels beyond 0..2016, which are clipped",)
    masks = tmp_path / "masks"
    for number in range(4):
        (masks / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray((GREYS > 100).astype(np.uint8)).save(masks / "ab"[number % 2] / f"{number}.png")
    assert shown(load(masks, levels=dotexp.Range(low=0, high=1))).unique().tolist() == [0, 255]
    (note,) = load(masks).facts.notes
    assert "4 of 4 images looked at are nearly black: their highest level is 1 of 255; levels = 0..1" in note


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (0.0, 0.9, "0..1"),
        (0.0, 200.0, "0..255"),
        (-1.0, 1.0, "-1..1"),
        (0.0, 4000.0, "0..4095"),
        (-1000.0, 3000.0, "-1000..3000"),
    ],
)
def test_floats_of_a_data_set_have_one_scale(tmp_path: Path, low: float, high: float, ends: str) -> None:
    levels = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    dim = (low + (levels - low) / 4).astype(np.float32)
    data = load(write(tmp_path, [tiff(image, 32, 3) for image in (levels, dim, dim, levels, dim)], ".tif"))
    assert guess(data).startswith(f"{ends} (of 5 images of floats")
    black, white = map(float, ends.split(".."))
    expected = [((image.astype(float) - black) * 255 / (white - black)).astype(np.uint8) for image in (levels, dim)]
    seen = {tuple(image.flatten().tolist()) for image in shown(data)}
    assert seen == {tuple(image.flatten().tolist()) for image in expected}


def test_images_that_span_little_are_told(tmp_path: Path) -> None:
    narrow = (30_000 + GREYS.astype(np.uint16)).astype(np.uint16)
    data = load(write(tmp_path, [png(narrow)] * 4 + [png(GREYS.astype(np.uint16) * 257)]))
    assert data.facts.notes == (
        "4 of 5 images span less than 1/16 of the levels 0..65535, and look nearly uniform to the model: "
        "levels = LOW..HIGH says which are black and white",
    )
    assert load(tmp_path, levels=dotexp.Range(low=30_000, high=30_252)).facts.notes == (
        "1 image has levels beyond 30000..30252, which are clipped",
    )


@pytest.mark.parametrize("bits", [16, 32])
def test_white_is_zero_is_inverted_at_any_depth(tmp_path: Path, bits: int) -> None:
    """As Pillow inverts 8 bits."""
    (tmp_path / "eight.tif").write_bytes(tiff(GREYS, 8, white_is_zero=True))
    deep: NDArray[Any] = GREYS.astype(np.uint16) * 257 if bits == 16 else (GREYS / 255).astype(np.float32)
    (tmp_path / "deep.tif").write_bytes(tiff(deep, bits, 1 if bits == 16 else 3, white_is_zero=True))
    eight, inverted = (np.asarray(read_image(tmp_path / name)).astype(int) for name in ("eight.tif", "deep.tif"))
    assert eight[0, 0].tolist() == [255, 255, 255]
    assert np.abs(eight - inverted).max() <= 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_a_tiff_is_turned_once_as_its_orientation_says(
    tmp_path: Path, orientation: int, quarters: int, bits: int, packed: bool
) -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    deep = levels.astype(np.uint16) * 257 if bits == 16 else levels
    (tmp_path / "turned.tif").write_bytes(tiff(deep, bits, orientation=orientation, packed=packed))
    seen = np.asarray(read_image(tmp_path / "turned.tif"))[..., 0]
    assert np.array_equal(seen, np.rot90(levels, quarters))


def test_a_transparent_deep_image_is_on_white(tmp_path: Path) -> None:
    levels = np.zeros((2, 2, 4), dtype=np.uint16)
    levels[0, 0] = 65535
    (tmp_path / "clear.png").write_bytes(png(levels))
    assert np.asarray(read_image(tmp_path / "clear.png"))[1, 1].tolist() == [255, 255, 255]


def test_a_damaged_deep_image_is_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path, [png(GREYS.astype(np.uint16))] * 4)
    (folder / "a" / "0.png").write_bytes(png(GREYS.astype(np.uint16))[:60])
    with pytest.raises(dotexp.ComponentError, match=r"1 of 4 images .*\n  a/0.png: "):
        load(folder)
    with pytest.raises(UnreadableImageError):
        read_image(folder / "a" / "0.png")


SPEC = """
experiment deep
data image_folder("photos", size = 32, valid = 2, batch_size = 2)
model { body squeezenet1_1(weights = none) head linear }
loss cross_entropy
stage train { fit flat(epochs = 1, lr = 1e-3) }
runtime(threads = 1)
"""


@pytest.mark.run
def test_prediction_scales_as_training_did(tmp_path: Path) -> None:
    dim = (GREYS.astype(np.uint16) * 4).repeat(4, 0).repeat(4, 1)
    write(tmp_path / "photos", [png(image) for image in (dim * 4, dim) * 4])
    alone = write(tmp_path / "alone", [png(dim)])
    run = dotexp.run(resolved(SPEC, folder=tmp_path), runs=tmp_path / "runs")
    params = ImageFolderParams(path=Path("nowhere"), size=32)
    facts = run.read_facts()
    assert facts.vocabulary["levels"] == {"integers": [0, 4095]}
    for vocabulary, white in ((facts.vocabulary, 4095), ({}, 65535)):
        (batch,) = encoder(params, vocabulary)([str(alone / "a" / "0.png")]).batches
        assert float(batch[0].max()) == pytest.approx(int(dim.max()) * 255 // white / 255)
    write(tmp_path / "other", [png(image) for image in (dim // 4, dim // 8) * 4])
    with pytest.raises(UsageError):
        dotexp.evaluate(run.path, set=[f"data.path={tmp_path / 'other'}"])


def test_levels_are_one_for_all_stages() -> None:
    text = IMAGES.replace("digits(classes = 0..4)", 'image_folder("a", levels = 0..4095)')
    assert faults(text) == []
    assert faults(text.replace("stage everything {", "stage everything { data(levels = 0..255)")) == [
        ("E308", "0..255")
    ]
    assert [code for code, _ in faults(text.replace("0..4095", "4095..0"))] == ["E207"]
