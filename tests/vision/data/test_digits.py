"""Handwritten digits, against scikit-learn's own arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dotexp import DataContext, Range, UsageError
from dotexp.sdk.data import Named
from dotexp_vision.data.digits import build, encode
from dotexp_vision.data.folder import ImageData
from dotexp_vision.data.params import DigitsParams
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_digits
from torch import Tensor

CPU = torch.device("cpu")


def load(seed: int = 42, **more: object) -> ImageData:
    return build(DigitsParams.model_validate(more), DataContext(seed))


def whole(data: ImageData, part: str) -> tuple[Tensor, Tensor]:
    loaded = data.part(part)
    (batch,) = loaded.batches(torch.arange(len(loaded)), len(loaded), None, CPU)
    return batch.inputs[0], batch.targets


def test_all_ten() -> None:
    facts = load().facts
    assert (facts.train, facts.valid) == (1797 - 359, 359)  # floor(0.2 * 1797) = 359
    assert facts.classes == tuple("0123456789") and facts.outputs == 10


def test_a_range_of_digits_is_numbered_from_zero() -> None:
    data = load(classes=Range(low=5, high=9))
    count = int((load_digits().target >= 5).sum())
    assert data.facts.train + data.facts.valid == count == 896
    assert data.facts.classes == ("5", "6", "7", "8", "9")
    targets = torch.cat([whole(data, part)[1] for part in ("train", "valid")])
    assert targets.dtype == torch.int64
    assert torch.bincount(targets).tolist() == np.bincount(load_digits().target)[5:].tolist()


def test_list_and_range_are_the_same_digits() -> None:
    listed, ranged = load(classes=(2, 0, 1)), load(classes=Range(low=0, high=2))
    assert listed.facts.fingerprint == ranged.facts.fingerprint
    assert listed.facts.classes == ("0", "1", "2")
    assert load(classes=(0, 1)).facts.fingerprint != ranged.facts.fingerprint


@pytest.mark.parametrize("classes", [(1,), (1, 1), (1, 10), Range(low=0.5, high=3), Range(low=0, high=10)])
def test_impossible_digits(classes: object) -> None:
    with pytest.raises(ValidationError):
        DigitsParams.model_validate({"classes": classes})


def test_images_are_the_sets_own_and_belong_to_their_labels() -> None:
    data = load(size=8, valid=100)
    images, targets = whole(data, "train")
    assert images.shape == (1697, 3, 8, 8)
    reference = {}
    for image, target in zip(load_digits().images / 16, load_digits().target, strict=True):
        reference[image.astype(np.float32).tobytes()] = int(target)
    assert [reference[image[0].numpy().tobytes()] for image in images] == targets.tolist()
    assert torch.equal(images[:, 0], images[:, 2])


def test_enlarged_as_pillow_does_it() -> None:
    small, _ = whole(load(size=8), "valid")
    large, _ = whole(load(size=32), "valid")
    expected = Image.fromarray(small[0, 0].numpy()).resize((32, 32), Image.Resampling.BILINEAR)
    assert float(large.min()) >= 0 and float(large.max()) <= 1
    np.testing.assert_allclose(large[0, 0].numpy(), np.asarray(expected), atol=1e-6)


def test_split_depends_on_the_seed_alone() -> None:
    first, _ = whole(load(size=8), "valid")
    assert torch.equal(whole(load(size=8, batch_size=7), "valid")[0], first)
    assert torch.equal(whole(load(seed=1, size=8, split_seed=42), "valid")[0], first)
    assert not torch.equal(whole(load(seed=1, size=8), "valid")[0], first)


def test_test_part_is_drawn_first() -> None:
    one, two = load(size=8, test=100, valid=0.5), load(size=8, test=100, valid=10)
    assert torch.equal(whole(one, "test")[0], whole(two, "test")[0])
    assert (one.facts.train, one.facts.valid, one.facts.test) == (849, 848, 100)


def test_each_class_gives_its_share() -> None:
    data = load(valid=0.2, stratify=True)
    digits = load_digits().target
    assert data.facts.valid == 359
    shares = torch.bincount(whole(data, "valid")[1]) - torch.from_numpy(np.bincount(digits)) * 359 / 1797
    assert float(shares.abs().max()) < 1
    assert data.facts.counts == tuple(torch.bincount(whole(data, "train")[1]).tolist())


def test_examples_are_named_as_prediction_names_them() -> None:
    part = load(classes=(3, 5), size=8).part("valid")
    assert isinstance(part, Named)
    encoded = encode(DigitsParams(size=8, batch_size=1000), part.names)
    (batch,) = part.batches(torch.arange(len(part)), 1000, None, CPU)
    ((inputs,),) = encoded.batches
    assert torch.equal(inputs, batch.inputs[0])


def test_prediction_by_number_and_by_file(tmp_path: Path) -> None:
    image = load_digits().images[3]
    Image.fromarray((image / 16 * 255).round().astype(np.uint8)).save(tmp_path / "three.png")
    encoded = encode(DigitsParams(size=8, batch_size=1), ["digits:3", str(tmp_path / "three.png")])
    assert [row["input"] for row in encoded.rows] == ["digits:3", str(tmp_path / "three.png")]
    (by_number,), (by_file,) = encoded.batches
    np.testing.assert_array_equal(by_number[0, 1].numpy(), (image / 16).astype(np.float32))
    torch.testing.assert_close(by_file, by_number, atol=0.5 / 255 + 1e-6, rtol=0)


def test_prediction_takes_the_images_of_folders_too(tmp_path: Path) -> None:
    for name in ("b.png", "deep/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    encoded = encode(DigitsParams(size=8), [str(tmp_path), "digits:3"])
    assert [row["input"] for row in encoded.rows] == [str(tmp_path / "b.png"), str(tmp_path / "deep/a.png"), "digits:3"]
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no images in the folder"):
        encode(DigitsParams(), [str(empty)])


@pytest.mark.parametrize("text", ["digits:1797", "digits:-1", "digits:", "digits:x", "gone.png"])
def test_prediction_names_what_it_cannot_use(text: str) -> None:
    with pytest.raises(UsageError, match=text):
        encode(DigitsParams(), [text])
