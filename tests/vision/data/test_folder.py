"""Images in folders: what is found, how it is split, and what the model gets to see."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from dotexp import ComponentError, DataContext, RunError, UsageError, Use
from dotexp.sdk.data import Batch, Named
from dotexp.sdk.seeds import Draw
from dotexp.sdk.splits import random_split, random_split_rows
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.encoding import encoder
from dotexp_vision.data.folder import build
from dotexp_vision.data.params import ImageFolderParams, OnBad, Resize
from offered import offered
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

CPU = torch.device("cpu")
COLOURS = {"ants": (250, 10, 20), "bees": (20, 10, 250)}
TRANSFORMS = {c.name: c for c in offered("vision") if c.kind == "transform"}


def fill(folder: Path, counts: dict[str, int], size: tuple[int, int] = (12, 10)) -> Path:
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", size, COLOURS.get(label, (9, 9, 9))).save(folder / label / f"{i:02d}.png")
    return folder


def noisy(folder: Path, count: int = 6) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 20, 20, 3), dtype=np.uint8)
    for i in range(count):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i]).save(folder / "ab"[i % 2] / f"{i}.png")
    return folder


def load(folder: Path, seed: int = 42, **more: object) -> ImageData:
    return build(ImageFolderParams.model_validate({"path": folder, "size": 8, **more}), DataContext(seed))


def names(data: ImageData, part: str) -> list[str]:
    found = data.part(part)
    assert isinstance(found, Named) and len(found.names) == len(found)
    return list(found.names)


def batches(data: ImageData, part: str, draw: Draw | None = None, workers: int = 0, size: int = 4) -> list[Batch]:
    whole = data.part(part)
    return list(whole.batches(torch.arange(len(whole)), size, draw, CPU, workers))


def images(data: ImageData, draw: Draw | None = None, workers: int = 0, size: int = 4) -> Tensor:
    return torch.cat([batch.inputs[0] for batch in batches(data, "train", draw, workers, size)])


def refusal(folder: Path, code: str, field: str, **more: object) -> str:
    with pytest.raises(ComponentError) as caught:
        load(folder, **more)
    assert (caught.value.problem.code, caught.value.problem.field) == (code, field)
    return f"{caught.value} ({caught.value.problem.help})"


def test_class_folders_are_split_by_a_fraction(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"bees": 6, "ants": 5}), valid=0.2)
    facts = data.facts
    assert (facts.train, facts.valid, facts.test) == (9, 2, 0)
    assert facts.classes == ("ants", "bees") and facts.outputs == 2
    assert facts.vocabulary == {"classes": ["ants", "bees"]}
    assert len({*names(data, "train"), *names(data, "valid")}) == 11


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    (batch,) = batches(load(fill(tmp_path, {"bees": 3, "ants": 3}), valid=2), "train")
    expected = torch.tensor([COLOURS[("ants", "bees")[int(t)]] for t in batch.targets]) / 255
    assert batch.targets.dtype == torch.int64
    torch.testing.assert_close(batch.inputs[0], expected[:, :, None, None].expand(4, 3, 8, 8))


def test_train_and_another_folder(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"ants": 4, "bees": 3})
    fill(tmp_path / "val", {"bees": 2, "ants": 1})
    fill(tmp_path / "test", {"ants": 1})
    data = load(tmp_path, valid="val", test="test")
    assert (data.facts.train, data.facts.valid, data.facts.test) == (7, 3, 1)
    assert torch.cat([b.targets for b in batches(data, "valid")]).tolist() == [0, 1, 1]
    assert data.facts.notes == ()
    with pytest.raises(KeyError):
        load(tmp_path, valid="val").part("test")


def test_a_fraction_is_taken_from_the_train_folder_and_unused_folders_are_noted(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"ants": 5, "bees": 5})
    fill(tmp_path / "val", {"bees": 2, "ants": 1})
    data = load(tmp_path, valid=0.3)
    assert (data.facts.train, data.facts.valid) == (7, 3)
    assert all(name.startswith("train/") for name in names(data, "valid"))
    (note,) = data.facts.notes
    assert note == (
        'the folder `val` beside `train` is not used (3 images): valid = "val" or test = "val" would use it'
    )


def test_a_valid_folder_beside_the_classes_is_no_class(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 4, "bees": 3})
    fill(tmp_path / "held", {"bees": 2})
    data = load(tmp_path, valid="held")
    assert data.facts.classes == ("ants", "bees") and (data.facts.train, data.facts.valid) == (7, 2)


def test_class_from_the_file_name(tmp_path: Path) -> None:
    for name in ("great_dane_1.png", "great_dane_22.png", "pug_1.png", "pug_2.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    data = load(tmp_path, label=r"(.+)_\d+\.png$", valid=1)
    assert data.facts.classes == ("great_dane", "pug")
    assert "`cat.png`" in refusal(_with(tmp_path, "cat.png"), "E402", "label", label=r"(.+)_\d+\.png$")
    with pytest.raises(ValidationError, match="one pair of parentheses, and this one has 0"):
        ImageFolderParams(path=tmp_path, label="x")


def _with(folder: Path, name: str) -> Path:
    Image.new("RGB", (4, 4)).save(folder / name)
    return folder


def test_a_stratified_split_takes_of_each_class_its_share(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 12, "bees": 30, "wasps": 9})
    for seed in range(5):
        data = load(tmp_path, seed, valid=0.25, stratify=True)
        assert (data.facts.train, data.facts.valid) == (39, 12)  # floor(51 / 4), as without
        # shares of 12: 2.82, 7.06 and 2.12; the largest remainder is the ants'
        assert Counter(name.split("/")[0] for name in names(data, "valid")) == {"ants": 3, "bees": 7, "wasps": 2}
        assert data.facts.counts == (9, 23, 7)
    assert names(load(tmp_path, 1, stratify=True), "valid") != names(load(tmp_path, 2, stratify=True), "valid")
    assert load(tmp_path).facts.valid == load(tmp_path, stratify=True).facts.valid == 10


def test_counts_are_the_training_images_of_each_class(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"ants": 7, "bees": 5}), valid=3)
    assert data.facts.counts == tuple(torch.bincount(batches(data, "train", size=12)[0].targets).tolist())


def test_split_depends_on_seed_and_files_alone(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 10, "bees": 10})
    valid = names(load(tmp_path), "valid")
    assert names(load(tmp_path, size=16, batch_size=2, resize=Resize.squish), "valid") == valid
    assert names(load(tmp_path, seed=1, split_seed=42), "valid") == valid
    assert names(load(tmp_path, seed=43), "valid") != valid
    assert load(tmp_path).facts.fingerprint == load(tmp_path, batch_size=2).facts.fingerprint


def test_fingerprint_sees_other_files(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 3, "bees": 3})
    before = load(tmp_path).facts.fingerprint
    Image.new("RGB", (64, 64), (1, 2, 3)).save(tmp_path / "ants" / "00.png")
    assert load(tmp_path).facts.fingerprint != before


def test_test_part_is_apart_from_the_others_and_does_not_change_with_valid(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 10, "bees": 10})
    one, two = load(tmp_path, test=4, valid=0.25), load(tmp_path, test=4, valid=2)
    assert (one.facts.train, one.facts.valid, one.facts.test) == (12, 4, 4)
    assert names(one, "test") == names(two, "test")
    parts = [set(names(one, part)) for part in ("train", "valid", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 20


def test_faults_of_the_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none", "E401", "path")
    good = fill(tmp_path / "good", {"ants": 2, "bees": 2})
    assert "is a file" in refusal(good / "ants" / "00.png", "E401", "path")
    assert "no folder `val`" in refusal(good, "E401", "valid", valid="val")
    assert "folders there: ants, bees" in refusal(good, "E401", "valid", valid="val")
    assert "one class only" in refusal(fill(tmp_path / "one", {"ants": 2}), "E402", "path")
    assert "leaves 0" in refusal(good, "E402", "valid", valid=4)
    fill(good / "held", {"wasps": 1})
    assert "lacks: wasps" in refusal(good, "E402", "valid", valid="held")
    (good / "held" / "wasps" / "00.png").unlink()
    assert "no images in a folder for each class" in refusal(good, "E402", "valid", valid="held")
    (tmp_path / "empty").mkdir()
    assert "has no images" in refusal(tmp_path / "empty", "E402", "path")
    fill(tmp_path / "gap", {"ants": 2, "bees": 2, "wasps": 0})
    assert "`wasps` has no images" in refusal(tmp_path / "gap", "E402", "path")


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 2, "bees": 2, ".cache": 3})
    (tmp_path / "ants" / ".hidden.png").touch()
    (tmp_path / "ants" / "notes.txt").touch()
    facts = load(tmp_path, valid=1).facts
    assert (facts.classes, facts.train + facts.valid) == (("ants", "bees"), 4)


def broken(folder: Path) -> Path:
    """Three good images of each class, and one bad one of each kind."""
    noisy(folder)
    good = (folder / "a" / "0.png").read_bytes()
    (folder / "a" / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "b" / "empty.jpg").touch()
    (folder / "b" / "text.jpg").write_text("GIF? no, text")
    return folder


def test_unreadable_images_are_all_listed_before_training(tmp_path: Path) -> None:
    for memory in (1.0, 0.0):
        said = refusal(broken(tmp_path), "E402", "path", memory=memory)
        assert said.startswith(f"3 of 9 images in {tmp_path} cannot be read")
        assert (
            "\n  a/cut.png: image file is truncated\n  b/empty.jpg: it is an empty file\n  b/text.jpg: it is no" in said
        )
        assert "on_bad = skip" in said


def test_unreadable_images_are_left_out_as_if_they_were_not_there(tmp_path: Path) -> None:
    whole = load(noisy(tmp_path / "whole"), valid=2)
    for memory in (1.0, 0.0):
        data = load(broken(tmp_path / "broken"), valid=2, on_bad=OnBad.skip, memory=memory)
        assert [names(data, part) for part in ("train", "valid")] == [names(whole, part) for part in ("train", "valid")]
        assert torch.equal(images(data), images(whole))
        assert data.facts.notes == ("3 images cannot be read and left out: a/cut.png, b/empty.jpg, b/text.jpg",)
        assert data.facts.fingerprint == whole.facts.fingerprint


def test_a_class_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    fill(tmp_path, {"ants": 3, "bees": 3})
    for path in (tmp_path / "ants").iterdir():
        path.write_bytes(b"no image")
    assert "one class only, `bees`" in refusal(tmp_path, "E402", "path", on_bad=OnBad.skip)
    for path in (tmp_path / "bees").iterdir():
        path.write_bytes(b"no image")
    assert "6 of 6 images" in refusal(tmp_path, "E402", "path", on_bad=OnBad.skip)


def test_a_part_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    noisy(tmp_path)
    (tmp_path / "held" / "a").mkdir(parents=True)
    (tmp_path / "held" / "a" / "x.png").write_bytes(b"no image")
    assert "no image of the valid part" in refusal(tmp_path, "E402", "valid", valid="held", on_bad=OnBad.skip)


@pytest.mark.process
def test_an_image_that_is_gone_later_fails_by_name(tmp_path: Path) -> None:
    for workers in (0, 1):
        data = load(noisy(tmp_path), memory=0.0)
        for path in (tmp_path / "a").iterdir():
            path.write_bytes(path.read_bytes()[:45])
        with pytest.raises(RunError, match=r"^the image .*a.\d\.png cannot be read: "):
            batches(data, "train", workers=workers)


@pytest.mark.process
def test_held_and_read_anew_are_the_same(tmp_path: Path) -> None:
    noisy(tmp_path)
    held = images(load(tmp_path, valid=1))
    two = 2 * 3 * 8 * 8 / (1 << 30)  # room for two images of six
    for memory in (0.0, two):
        assert torch.equal(images(load(tmp_path, valid=1, memory=memory)), held)
        assert torch.equal(images(load(tmp_path, valid=1, memory=memory), workers=1), held)


def test_batches_follow_the_order(tmp_path: Path) -> None:
    data = load(noisy(tmp_path), valid=1)
    order = torch.tensor([4, 0, 3])
    one, two = data.part("train").batches(order, 2, None, CPU)
    assert torch.equal(torch.cat([one.inputs[0], two.inputs[0]]), images(data)[order])
    assert one.inputs[0].shape == (2, 3, 8, 8) and one.inputs[0].dtype == torch.float32


def test_crop_squish_and_pad(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 255  # the middle third is white
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.fromarray(pixels).save(tmp_path / label / "x.png")
    shown = {r: images(load(tmp_path, size=10, valid=1, resize=r))[0] for r in Resize}
    assert [float(shown[r].mean()) for r in ("crop", "squish")] == pytest.approx([1, 1 / 3], abs=0.02)
    assert float(shown["pad"].mean()) == pytest.approx(1 / 9, abs=0.02)


def augmented(folder: Path, **more: object) -> ImageData:
    component = TRANSFORMS["standard"]
    return load(folder, valid=1, augment=Use(component=component, params=component.params()), **more)


@pytest.mark.process
def test_augmentation_depends_on_the_example_alone(tmp_path: Path) -> None:
    data = augmented(noisy(tmp_path))
    draw = Draw(1, "stage", 0)
    varied = images(data, draw)
    assert not torch.equal(varied, images(data))
    assert torch.equal(images(data, draw, size=1), varied)
    assert torch.equal(images(data, draw, workers=2, size=2), varied)
    (backwards,) = data.part("train").batches(torch.tensor([4, 1]), 2, draw, CPU)
    assert torch.equal(backwards.inputs[0], varied[[4, 1]])
    assert not torch.equal(images(data, Draw(1, "stage", 1)), varied)
    for workers in (0, 1):
        assert torch.equal(images(augmented(tmp_path, memory=0.0), draw, workers=workers), varied)


@pytest.mark.process
def test_augmentation_leaves_the_random_numbers_of_the_run_alone(tmp_path: Path) -> None:
    data = augmented(noisy(tmp_path))
    for workers in (0, 1):
        torch.manual_seed(5)
        images(data, Draw(1, "stage", 0), workers=workers)
        after = torch.rand(3)
        torch.manual_seed(5)
        assert torch.equal(after, torch.rand(3))


def test_presize_is_the_side_before_augmentation(tmp_path: Path) -> None:
    noisy(tmp_path)
    data = augmented(tmp_path, presize=16)
    assert images(data, Draw(1, "stage", 0)).shape == images(data).shape == (5, 3, 8, 8)
    with pytest.raises(ValidationError, match="augment is none"):
        load(tmp_path, presize=16)
    with pytest.raises(ValidationError, match="smaller than size"):
        augmented(tmp_path, presize=4)


def test_prediction_sees_what_validation_sees(tmp_path: Path) -> None:
    noisy(tmp_path)
    params = ImageFolderParams(path=Path("nowhere"), size=8, batch_size=4)
    encoded = encoder(params, {"classes": ["a", "b"]})([str(tmp_path), str(tmp_path / "b" / "1.png")])
    expected = [f"{label}/{i}.png" for label, i in (("a", 0), ("a", 2), ("a", 4), ("b", 1), ("b", 3), ("b", 5))]
    inputs = [row["input"] for row in encoded.rows]
    assert inputs == [str(tmp_path / name) for name in (*expected, "b/1.png")]
    seen = torch.cat([inputs[0] for inputs in encoded.batches])
    data = load(tmp_path, valid=1)
    positions = [inputs.index(str(tmp_path / name)) for name in names(data, "train")]
    assert torch.equal(seen[positions], images(data))


def test_prediction_names_what_it_cannot_use(tmp_path: Path) -> None:
    params = ImageFolderParams(path=Path("nowhere"), size=8)
    with pytest.raises(UsageError, match=r"no such image or folder: .*gone\.png"):
        encoder(params, {})([str(tmp_path / "gone.png")])
    with pytest.raises(UsageError, match="no images in the folder"):
        encoder(params, {})([str(tmp_path)])
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"bad\.png cannot be read"):
        list(encoder(params, {})([str(tmp_path / "bad.png")]).batches)


def test_real_photographs(real_data: Path) -> None:
    data = load(real_data / "hymenoptera", valid="val", size=32)
    assert data.facts.notes == ("left out by suffix: 1 .gif, 1 .txt",)
    assert data.facts.guesses == {"training set": '"train" (the folder of that name)'}
    assert data.facts.counts == (123, 121)
    assert data.facts.classes == ("ants", "bees")
    assert (data.facts.train, data.facts.valid) == (244, 153)
    first = batches(data, "valid", size=153)[0]
    assert first.inputs[0].shape == (153, 3, 32, 32)
    assert torch.bincount(first.targets).tolist() == [70, 83]
    assert 0.3 < float(first.inputs[0].mean()) < 0.7


def test_random_split_rules() -> None:
    identities = [f"{i:03d}" for i in range(100)]
    kept, held = random_split(identities, 0.29, 7)
    assert len(held) == 29 and sorted([*kept, *held]) == list(range(100))
    shuffled = identities[::-1]
    assert {shuffled[i] for i in random_split(shuffled, 0.29, 7)[1]} == {identities[i] for i in held}
    assert np.array_equal(random_split_rows(100, 29, 7)[1], held)
    assert not np.array_equal(random_split_rows(100, 29, 8)[1], held)
    for impossible in (0, 100, 0.001):
        with pytest.raises(ComponentError):
            random_split_rows(100, impossible, 7)


def test_fingerprint_sees_another_image_of_the_same_size(tmp_path: Path) -> None:
    for name in ("a/1.ppm", "a/2.ppm", "b/1.ppm", "b/2.ppm", "b/3.ppm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"P6 60 50 255 " + b"one" * 3000)
    before = load(tmp_path).facts.fingerprint
    (tmp_path / "a/1.ppm").write_bytes(b"P6 60 50 255 " + b"one" * 2999 + b"two")
    assert load(tmp_path).facts.fingerprint != before
