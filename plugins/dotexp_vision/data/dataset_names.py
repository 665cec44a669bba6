"""Which of torchvision's classification data sets there are, the parts each comes in, and where it looks for its files.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Reading(StrEnum):
    """How a data set gives its images: as `arrays` it holds, as `files` that its `loader` is given, or by `samples`."""

    arrays = "arrays"
    files = "files"
    samples = "samples"


@dataclass(frozen=True)
class Known:
    """A data set: the arguments for each of its parts, the one to train with first; its files; how it is read."""

    parts: Mapping[str, Mapping[str, Any]]
    files: str
    reading: Reading = Reading.files
    downloads: bool = True


def _by_train(files: str) -> Known:
    return Known({"train": {"train": True}, "test": {"train": False}}, files, Reading.arrays)


def _by_split(*splits: str, files: str, reading: Reading = Reading.files, downloads: bool = True) -> Known:
    return Known({split: {"split": split} for split in splits}, files, reading, downloads)


def _idx(folder: str) -> Known:
    names = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    return _by_train(f"{names} in {folder}/raw")


DATASETS: Mapping[str, Known] = MappingProxyType(
    {
        "CIFAR10": _by_train("the unpacked folder cifar-10-batches-py"),
        "CIFAR100": _by_train("the unpacked folder cifar-100-python"),
        "Country211": _by_split("train", "valid", "test", files="the unpacked folder country211"),
        "DTD": _by_split("train", "val", "test", files="the unpacked archive's folder dtd in a folder dtd"),
        "EuroSAT": Known({"train": {}}, "the unpacked folder 2750 in a folder eurosat"),
        "FER2013": _by_split(
            "train", files="train.csv, icml_face_data.csv or fer2013.csv in a folder fer2013",
            reading=Reading.arrays, downloads=False,
        ),
        "FGVCAircraft": _by_split(
            "trainval", "train", "val", "test", files="the unpacked folder fgvc-aircraft-2013b"
        ),
        "FakeData": Known(
            {"train": {"size": 1000}, "test": {"size": 200, "random_offset": 1000}}, "nothing", Reading.arrays, False
        ),
        "FashionMNIST": _idx("FashionMNIST"),
        "Flowers102": _by_split(
            "train", "val", "test", files="the folder jpg, imagelabels.mat and setid.mat in a folder flowers-102"
        ),
        "Food101": _by_split("train", "test", files="the unpacked folder food-101"),
        "GTSRB": _by_split(
            "train", "test", files="the unpacked folder GTSRB in a folder gtsrb", reading=Reading.samples
        ),
        "Imagenette": _by_split("train", "val", files="the unpacked folder imagenette2"),
        "KMNIST": _idx("KMNIST"),
        "MNIST": _idx("MNIST"),
        "OxfordIIITPet": _by_split(
            "trainval", "test", files="the unpacked folders images and annotations in a folder oxford-iiit-pet",
            reading=Reading.samples,
        ),
        "QMNIST": _by_train("the packed files of qmnist in QMNIST/raw"),
        "RenderedSST2": _by_split("train", "val", "test", files="the unpacked folder rendered-sst2"),
        "SEMEION": Known({"train": {}}, "semeion.data", Reading.arrays),
        "STL10": _by_split("train", "test", files="the unpacked folder stl10_binary", reading=Reading.arrays),
        "SUN397": Known({"train": {}}, "the unpacked folder SUN397"),
        "SVHN": _by_split(
            "train", "test", "extra", files="train_32x32.mat and test_32x32.mat", reading=Reading.arrays
        ),
        "StanfordCars": _by_split(
            "train", "test", files="cars_train, cars_test, devkit and the labels in a folder stanford_cars",
            downloads=False,
        ),
        "USPS": _by_train("usps.bz2 and usps.t.bz2"),
    }
)  # fmt: skip
