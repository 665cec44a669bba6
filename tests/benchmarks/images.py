"""How many images a second an epoch takes in, against torchvision's ImageFolder and DataLoader doing the same work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from dotexp import DataContext, Use
from dotexp.sdk.seeds import Draw
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.folder import build
from dotexp_vision.data.params import ImageFolderParams
from offered import offered
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2

from tests.benchmarks import argument_parser

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = 224
BATCH = 64
ROUNDS = 3
WORKERS = (0, 1, 2)
BILINEAR = InterpolationMode.BILINEAR
GENERATED = 240


def augmentation() -> list[v2.Transform]:
    """fastai's usual set, of torchvision's parts."""
    return [
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.RandomRotation(10, BILINEAR)], 0.75),
        v2.RandomApply([v2.RandomAffine(0, scale=(1, 1.1), interpolation=BILINEAR)], 0.75),
        v2.RandomPerspective(0.2, 0.75, BILINEAR),
        v2.RandomApply([v2.ColorJitter(brightness=0.2)], 0.75),
        v2.RandomApply([v2.ColorJitter(contrast=0.2)], 0.75),
    ]


def plain_transforms(on_tensors: bool) -> v2.Compose:
    """Square, augment, and turn into floats; the augmentation on bytes in a tensor, or on Pillow's images."""
    square: list[v2.Transform] = [v2.Resize(SIZE, BILINEAR, antialias=True), v2.CenterCrop(SIZE)]
    middle = [v2.PILToTensor(), *augmentation()] if on_tensors else [*augmentation(), v2.PILToTensor()]
    return v2.Compose([*square, *middle, v2.ToDtype(torch.float32, scale=True)])


def plain_loader(folder: Path, workers: int, on_tensors: bool) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """A DataLoader whose workers stay from epoch to epoch."""
    return DataLoader(
        ImageFolder(str(folder), plain_transforms(on_tensors)),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def own_data(folder: Path, memory: float) -> ImageData:
    """The same images, all but one to train with."""
    standard = next(c for c in offered("vision") if (c.kind, c.name) == ("transform", "standard"))
    params = ImageFolderParams(
        path=folder, valid=1, size=SIZE, augment=Use(component=standard, params=standard.params()), memory=memory
    )
    return build(params, DataContext(42))


def own_epoch(data: ImageData, workers: int, epoch: int) -> int:
    """Take one epoch in and count its images."""
    part = data.part("train")
    order = torch.randperm(len(part))
    batches = part.batches(order, BATCH, Draw(42, "stage", epoch), torch.device("cpu"), workers)
    return sum(len(batch.targets) for batch in batches)


def rate(take: Callable[[], int]) -> float:
    """Images a second."""
    start = perf_counter()
    return take() / (perf_counter() - start)


def own_rates(folder: Path, workers: int, memory: float) -> tuple[float, float]:
    """Images a second of the first epoch, with opening the data, and of the one after."""
    opened: list[ImageData] = []

    def first() -> int:
        opened.append(own_data(folder, memory))
        return own_epoch(opened[0], workers, 0)

    return rate(first), rate(lambda: own_epoch(opened[0], workers, 1))


def plain_rates(folder: Path, workers: int, on_tensors: bool) -> tuple[float, float]:
    """Images a second of the first epoch and of the one after."""
    loaders: list[DataLoader[tuple[torch.Tensor, torch.Tensor]]] = []

    def epoch() -> int:
        if not loaders:
            loaders.append(plain_loader(folder, workers, on_tensors))
        return sum(len(targets) for _, targets in loaders[0])

    return rate(epoch), rate(epoch)


@contextmanager
def photographs() -> Iterator[Path]:
    """Yield a folder of real photographs, in a folder for each class, or of as many generated ones."""
    named = os.environ.get("DOTEXP_TEST_DATA")
    real = (Path(named) if named else REPOSITORY.parent / "shared" / "data") / "hymenoptera" / "train"
    if real.is_dir():
        yield real
        return
    with tempfile.TemporaryDirectory() as folder:
        generator = np.random.default_rng(0)
        for number in range(GENERATED):
            place = Path(folder, "ab"[number % 2])
            place.mkdir(exist_ok=True)
            rough = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            rough.resize((500, 375), Image.Resampling.BICUBIC).save(place / f"{number}.jpg", quality=92)
        yield Path(folder)


def measure(arguments: Sequence[str] = ()) -> None:
    """Print images a second of each, in turn, and the ratios."""
    argument_parser("images", __doc__).parse_args(arguments)
    with photographs() as folder:
        probes = {on_tensors: plain_rates(folder, 0, on_tensors)[1] for on_tensors in (False, True)}
        on_tensors = probes[True] > probes[False]
        said = "tensors" if on_tensors else "Pillow's images"
        print(
            f"images a second at {SIZE} px with `standard` (not to fall below 1 times the plain loader's, on {said}):"
        )
        for workers in WORKERS:
            rounds = [
                (*own_rates(folder, workers, 2.0), *own_rates(folder, workers, 0.0),
                 *plain_rates(folder, workers, on_tensors))
                for _ in range(ROUNDS)
            ]  # fmt: skip
            first, later, anew_first, anew_later, *plain = (median(column) for column in zip(*rounds, strict=True))
            print(f"  {workers} workers     first epoch         later")
            print(f"    plain          {plain[0]:6.0f}        {plain[1]:6.0f}")
            for name, one, other in (("held in memory", first, later), ("decoded anew  ", anew_first, anew_later)):
                print(f"    {name} {one:6.0f} ({one / plain[0]:4.2f}) {other:6.0f} ({other / plain[1]:4.2f})")
        opened = median(rate(lambda: own_data(folder, 0.0).facts.train) for _ in range(ROUNDS))
        print(f"  looked through for what cannot be read: {opened:.0f}")


if __name__ == "__main__":
    measure()
