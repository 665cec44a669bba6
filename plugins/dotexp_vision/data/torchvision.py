"""torchvision's data sets for classification, as data."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from dotexp import ComponentError, DataContext
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import datasets

from dotexp_vision.data.cache import FileReader, Reader
from dotexp_vision.data.dataset import Found, ImageData, assemble
from dotexp_vision.data.dataset_names import Reading
from dotexp_vision.data.decode import square
from dotexp_vision.data.levels import LevelRange, Levels
from dotexp_vision.data.list_params import TorchvisionDatasetParams
from dotexp_vision.data.params import Resize
from dotexp_vision.data.targets import Example

Pixels = NDArray[np.uint8]
Sample = tuple[Any, int]
_FAKE = {"image_size": (3, 32, 32), "num_classes": 10}


class ArrayReader:
    """Images that are in memory already, as arrays (H, W, 3), by their identities."""

    def __init__(self, name: str, images: Mapping[str, Pixels]) -> None:
        self._name = name
        self._images = images

    def pixels(self, identity: str, side: int, resize: Resize) -> Tensor:
        """Make an image a square, uint8 (3, side, side)."""
        return square(Image.fromarray(self._images[identity]), side, resize)

    def check(self, identity: str) -> None:
        """Do nothing: it was read."""

    def level_range(self, identity: str) -> LevelRange | None:
        """Return None: the arrays are of 8 bits."""
        return None

    def at_levels(self, levels: Levels) -> ArrayReader:
        """Return the reader itself."""
        return self

    def place(self, identity: str) -> str:
        """Return the data set's name and the image's number there."""
        return f"{self._name}:{identity}"

    def stamp(self, identity: str) -> bytes:
        """Return the image's bytes."""
        return self._images[identity].tobytes()


def build(params: TorchvisionDatasetParams, context: DataContext) -> ImageData:
    """Open the parts that are wanted, and split the first. Raises ComponentError (E401) for files that are missing."""
    first = next(iter(params.known.parts))
    wanted = {"train": first}
    wanted |= {part: name for part, name in (("valid", params.valid), ("test", params.test)) if isinstance(name, str)}
    opened = {part: _open(params, name) for part, name in wanted.items()}
    classes = _classes(opened)
    reader: Reader
    if params.known.reading is Reading.arrays:
        images: dict[str, Pixels] = {}
        examples = {part: tuple(_arrays(opened[part], name, classes, images)) for part, name in wanted.items()}
        reader = ArrayReader(params.name, images)
    else:
        assert params.root is not None
        examples = {part: tuple(_files(params, opened[part], classes)) for part in wanted}
        reader = FileReader(params.root)
    pool = examples.pop("train")
    place = params.name if params.root is None else f"{params.name} in {params.root}"
    return assemble(params, Found("classification", pool, examples, reader, place, "root", classes=classes), context)


def _open(params: TorchvisionDatasetParams, part: str) -> Any:
    known, where = params.known, params.root
    arguments: dict[str, Any] = dict(known.parts[part])
    if params.name == "FakeData":
        return datasets.FakeData(**arguments, **_FAKE)
    if known.reading is Reading.files:
        arguments["loader"] = str  # the path is all that is wanted of a file
    if known.downloads:
        arguments["download"] = params.download
    elif params.download:
        raise ComponentError(f"{params.name} cannot be downloaded", "download", f"put into {where}: {known.files}")
    try:
        with redirect_stdout(sys.stderr):
            return getattr(datasets, params.name)(str(where), **arguments)
    except Exception as error:  # missing and damaged files, no network, a full disk: one way forward for all
        state = "and cannot be downloaded" if params.download else "or is damaged there"
        help = f"put there: {known.files}"
        if known.downloads and not params.download:
            help = f"download = true fetches it; or {help}"
        message = f"{params.name} is not in {where}, {state}: {_first_line(error)}"
        raise ComponentError(message, "root", help, code="E401") from error


def _classes(opened: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in the data set's order; their numbers where it has no names."""
    named = [_joined(name) for name in getattr(opened["train"], "classes", ())]
    if not named:
        named = [str(number) for number in range(1 + max(label for each in opened.values() for _, label in each))]
    return tuple(f"{name} ({i})" if named.count(name) > 1 else name for i, name in enumerate(named))


def _joined(name: str | Sequence[str]) -> str:
    return name if isinstance(name, str) else ", ".join(name)


def _arrays(dataset: Any, part: str, classes: Sequence[str], images: dict[str, Pixels]) -> Iterator[Example]:
    for number in range(len(dataset)):
        image, label = dataset[number]
        identity = f"{part}/{number:07d}"
        images[identity] = np.asarray(image.convert("RGB"))
        yield Example(identity, classes[int(label)])


def _files(params: TorchvisionDatasetParams, dataset: Any, classes: Sequence[str]) -> Iterator[Example]:
    root = params.root or Path()
    found = (Example(Path(path).relative_to(root).as_posix(), classes[int(n)]) for path, n in _samples(params, dataset))
    yield from sorted(found, key=lambda example: example.identity)


def _samples(params: TorchvisionDatasetParams, dataset: Any) -> Iterator[Sample]:
    if params.name == "OxfordIIITPet":  # it opens its images itself; what it holds has no public name
        yield from zip(dataset._images, dataset._labels, strict=True)
    elif params.name == "GTSRB":
        yield from dataset._samples
    else:
        yield from (dataset[number] for number in range(len(dataset)))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
