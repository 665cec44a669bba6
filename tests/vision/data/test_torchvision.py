"""torchvision's data sets: small ones written here in their own formats, and what is said where there is none."""

from __future__ import annotations

import struct
from pathlib import Path

import dotexp as api
import numpy as np
import pytest
import torch
from dotexp import ComponentError, DataContext
from dotexp.sdk.data import Named
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.dataset_names import DATASETS
from dotexp_vision.data.list_params import TorchvisionDatasetParams
from dotexp_vision.data.params import OnBad
from dotexp_vision.data.torchvision import build
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torch import Tensor
from torchvision import datasets

from specs import faults, resolved

SPEC = """
experiment small
data torchvision_dataset({arguments}, batch_size = 8)
model {{ body squeezenet1_1(weights = none) head linear }}
loss cross_entropy
stage all {{ fit flat(epochs = 1, lr = 1e-3) }}
"""


def mnist(root: Path, train: int = 30, test: int = 10) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Write MNIST's four files, as few images as are asked for, and return what is in them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator, written = np.random.default_rng(0), {}
    for part, prefix, n in (("train", "train", train), ("test", "t10k", test)):
        images = generator.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, n, 28, 28) + images.tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, n) + labels.tobytes())
        written[part] = images, labels
    return written


def load(name: str, root: Path | None = None, seed: int = 42, **more: object) -> ImageData:
    given = {"name": name, "root": root, "size": 28, **more}
    return build(TorchvisionDatasetParams.model_validate(given), DataContext(seed))


def whole(data: ImageData, part: str) -> tuple[Tensor, Tensor]:
    taken = data.part(part)
    (batch,) = taken.batches(torch.arange(len(taken)), len(taken), None, torch.device("cpu"))
    return batch.inputs[0], batch.targets


def test_mnist_from_its_files(tmp_path: Path) -> None:
    written = mnist(tmp_path)
    data = load("MNIST", tmp_path, valid=0.2, test="test")
    facts = data.facts
    assert (facts.train, facts.valid, facts.test) == (24, 6, 10)
    assert facts.classes == tuple(datasets.MNIST.classes) and facts.outputs == 10
    images, targets = whole(data, "test")
    np.testing.assert_array_equal((images[:, 1] * 255).round().byte().numpy(), written["test"][0])
    np.testing.assert_array_equal(targets.numpy(), written["test"][1])
    train = data.part("train")
    assert isinstance(train, Named)
    rows = [int(name.removeprefix("train/")) for name in train.names]
    np.testing.assert_array_equal(whole(data, "train")[1].numpy(), written["train"][1][rows])
    assert facts.counts == tuple(np.bincount(written["train"][1][rows], minlength=10))


def test_a_part_of_its_own_to_validate_with(tmp_path: Path) -> None:
    mnist(tmp_path)
    data = load("MNIST", tmp_path, valid="test")
    assert (data.facts.train, data.facts.valid, data.facts.test) == (30, 10, 0)


def test_stratified(tmp_path: Path) -> None:
    mnist(tmp_path, train=100)
    data = load("MNIST", tmp_path, valid=0.3, stratify=True)
    assert torch.bincount(whole(data, "valid")[1]).tolist() == [3] * 10


@pytest.mark.run
def test_fake_data_needs_nothing() -> None:
    data = load("FakeData", valid="test", size=32)
    assert (data.facts.train, data.facts.valid) == (1000, 200)
    torch.manual_seed(5)
    images, targets = whole(data, "valid")
    again, _ = whole(load("FakeData", valid="test", size=32), "valid")
    assert torch.equal(images, again)
    fake = datasets.FakeData(200, (3, 32, 32), 10, random_offset=1000)
    image, label = fake[7]
    np.testing.assert_array_equal((images[7] * 255).round().byte().permute(1, 2, 0).numpy(), np.asarray(image))
    assert int(targets[7]) == int(label)


def test_pets_by_their_file(tmp_path: Path) -> None:
    folder = tmp_path / "oxford-iiit-pet"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    lines = {"trainval": [], "test": []}
    for number, name in enumerate(("Abyssinian_1", "Abyssinian_2", "great_dane_1", "great_dane_2", "great_dane_3")):
        Image.new("RGB", (30, 20), (40 * number, 0, 0)).save(folder / "images" / f"{name}.jpg")
        lines["test" if number == 4 else "trainval"].append(f"{name} {1 if name < 'B' else 2} 1 1")
    for part, of_part in lines.items():
        (folder / "annotations" / f"{part}.txt").write_text("\n".join(of_part) + "\n")
    data = load("OxfordIIITPet", tmp_path, valid=2, stratify=True)
    assert data.facts.classes == ("Abyssinian", "Great Dane") and data.facts.counts == (1, 1)
    valid = data.part("valid")
    assert isinstance(valid, Named)
    assert all(name.startswith("oxford-iiit-pet/images/") for name in valid.names)
    (folder / "images" / "great_dane_1.jpg").write_bytes(b"no image")
    with pytest.raises(ComponentError, match=r"images/great_dane_1\.jpg: it is no image"):
        load("OxfordIIITPet", tmp_path, valid=1)
    assert load("OxfordIIITPet", tmp_path, valid=1, on_bad=OnBad.skip).facts.train == 2


def test_folders_of_classes_by_torchvisions_loader(tmp_path: Path) -> None:
    for label in ("Forest", "River"):
        (tmp_path / "eurosat" / "2750" / label).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (64, 64)).save(tmp_path / "eurosat" / "2750" / label / f"{label}_{i}.jpg")
    data = load("EuroSAT", tmp_path, valid=2)
    assert data.facts.classes == ("Forest", "River") and data.facts.train == 4


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"FakeData"}))
def test_without_files_it_says_what_to_put_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as caught:
        load(name, tmp_path)
    problem = caught.value.problem
    assert (problem.code, problem.field) == ("E401", "root")
    assert problem.message.startswith(f"{name} is not in {tmp_path}, or is damaged there")
    assert f"put there: {DATASETS[name].files}" in problem.help
    assert ("download = true" in problem.help) == DATASETS[name].downloads


def test_a_strangers_pickle_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        (folder / name).write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/opened'\ntR.".encode())
    (folder / "batches.meta").write_bytes((folder / "test_batch").read_bytes())
    with pytest.raises(ComponentError, match="is damaged there: Dataset not found or corrupted"):
        load("CIFAR10", tmp_path)
    assert not (tmp_path / "opened").exists()


def test_a_download_that_fails_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object) -> None:
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")

    monkeypatch.setattr(datasets.MNIST, "download", offline)
    with pytest.raises(ComponentError, match=r"and cannot be downloaded: .*name resolution") as caught:
        load("MNIST", tmp_path, download=True)
    assert "put there: train-images-idx3-ubyte" in caught.value.problem.help
    with pytest.raises(ComponentError, match="FER2013 cannot be downloaded"):
        load("FER2013", tmp_path, download=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "Cifar10"}, "did you mean `CIFAR10`"),
        ({"name": "ImageNet22k"}, "no data set is called"),
        ({"name": "MNIST"}, "root says in which folder"),
        ({"name": "MNIST", "root": Path("d"), "valid": "val"}, "no part `val` to hold out: beside `train` it has test"),
        ({"name": "SUN397", "root": Path("d"), "valid": "test"}, "it has one part only"),
        ({"name": "MNIST", "root": Path("d"), "valid": "test", "test": "test"}, "the same"),
    ],
)
def test_wrong_parameters(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TorchvisionDatasetParams.model_validate(given)


@pytest.mark.run
def test_a_spec_trains_on_it(tmp_path: Path) -> None:
    mnist(tmp_path / "data")
    text = SPEC.format(arguments='"MNIST", "data", size = 32, valid = "test"')
    run = api.run(resolved(text, folder=tmp_path), runs=tmp_path / "runs")
    (row,) = run.read_epochs()
    assert row.step == 3 and row.valid_loss is not None
    Image.new("L", (28, 28), 40).save(tmp_path / "seven.png")
    (prediction,) = api.predict(run.path, [str(tmp_path / "seven.png")])
    assert prediction.value in datasets.MNIST.classes


def test_typos_are_told_by_check() -> None:
    assert faults(SPEC.format(arguments='"MNSIT", "data"'))[0] == ("E207", '"MNSIT"')
    assert faults(SPEC.format(arguments='"MNIST", "data", downlaod = true'))[0][1] == "downlaod"
