"""scikit-learn's handwritten digits, as data and for prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from dotexp import DataContext, DataFacts, UsageError
from dotexp.sdk.data import Encoded, Piece, TensorPart
from dotexp.sdk.splits import Rows, random_split_rows
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate

from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.decode import read_image, square
from dotexp_vision.data.encoding import Source, image_pieces, image_sources, named, readable
from dotexp_vision.data.params import DigitsParams, Resize
from dotexp_vision.data.splitting import stratified_rows

SIDE = 8
LEVELS = 16
"""Side and brightest level of the set's own images."""
PREFIX = "digits:"


def build(params: DigitsParams, context: DataContext) -> ImageData:
    """Take the wanted digits and split them; they stay 8 by 8 bytes until they are on the device."""
    levels, digits = _load()
    taken = np.isin(digits, params.digits)
    levels, labels = levels[taken], np.searchsorted(params.digits, digits[taken]).astype(np.int64)
    seed = context.seed if params.split_seed is None else params.split_seed
    rows = _split(params, labels, seed)
    numbers = np.flatnonzero(taken)
    parts = {name: _Part(levels[part], labels[part], numbers[part], params.size) for name, part in rows.items()}
    counts = np.bincount(labels[rows["train"]], minlength=len(params.digits))
    return ImageData(_facts(params, rows, counts.tolist(), _fingerprint(levels, labels, rows)), parts)


class _Part(TensorPart):
    """Levels (N, 8, 8) with classes (N,), and the numbers of the examples in the whole set."""

    def __init__(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], numbers: NDArray[np.int64], size: int
    ) -> None:
        super().__init__([torch.from_numpy(levels)], torch.from_numpy(labels), enlarger(size))
        self.names: Sequence[str] = [f"{PREFIX}{number}" for number in numbers]


def encoder(params: DigitsParams, vocabulary: Mapping[str, Any]) -> Callable[[Sequence[str | bytes]], Encoded]:
    """Return the function that encodes inputs of `predict`; the vocabulary is not needed."""
    return partial(encode, params)


def encode(params: DigitsParams, inputs: Sequence[str | bytes]) -> Encoded:
    """Encode images, light ink on dark: files, those in folders and below, bytes, or `digits:INDEX` of the set.

    Batches are floats (B, 3, size, size). Raises UsageError naming an input that is none of these.
    """
    known, _ = _load()
    sources = [source for given in inputs for source in _sources(given, known)]
    enlarge = enlarger(params.size)

    def read(source: Source) -> Tensor:
        return _levels(source, known)

    def pieces(start: int) -> Iterator[Piece]:
        return image_pieces(sources[start:], read, lambda levels: enlarge((levels,))[0], params.batch_size)

    return Encoded(named(sources), readable(pieces), None, pieces, lambda: len(sources), errors_as_rows=True)


def enlarger(size: int) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """Make what turns levels 0..16 (B, 8, 8) into images, floats 0..1 (B, 3, size, size), bilinearly."""

    def enlarge(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        images = inputs[0].to(torch.float32)[:, None] / LEVELS
        return (interpolate(images, (size, size), mode="bilinear").expand(-1, 3, -1, -1).contiguous(),)

    return enlarge


@cache
def _load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    bunch = load_digits()
    return bunch.images.astype(np.uint8), bunch.target.astype(np.int64)


def _split(params: DigitsParams, labels: NDArray[np.int64], seed: int) -> dict[str, Rows]:
    def draw(rows: Rows, share: float | int, purpose: str, field: str) -> tuple[Rows, Rows]:
        if params.stratify:
            kept, out = stratified_rows([str(label) for label in labels[rows]], share, seed, purpose, field)
        else:
            kept, out = random_split_rows(len(rows), share, seed, purpose, field)
        return rows[kept], rows[out]

    rows: Rows = np.arange(len(labels))
    held: dict[str, Rows] = {}
    if params.test is not None:
        rows, held["test"] = draw(rows, params.test, "test", "test")
    kept, out = draw(rows, params.valid, "split", "valid")
    return {"train": kept, "valid": out, **held}


def _fingerprint(levels: NDArray[np.uint8], labels: NDArray[np.int64], rows: Mapping[str, Rows]) -> str:
    digest = sha256()
    for name, part in rows.items():
        digest.update(name.encode())
        digest.update(levels[part].tobytes())
        digest.update(labels[part].astype("<i8").tobytes())
    return digest.hexdigest()


def _facts(params: DigitsParams, rows: Mapping[str, Rows], counts: Sequence[int], fingerprint: str) -> DataFacts:
    classes = tuple(str(digit) for digit in params.digits)
    return DataFacts(
        task="classification",
        train=len(rows["train"]),
        valid=len(rows["valid"]),
        test=len(rows.get("test", ())),
        classes=classes,
        counts=tuple(counts),
        outputs=len(classes),
        fingerprint=fingerprint,
        vocabulary={"classes": list(classes)},
    )


def _sources(given: str | bytes, known: NDArray[np.uint8]) -> Sequence[Source]:
    if isinstance(given, bytes) or not given.startswith(PREFIX):
        return image_sources(given, f" ({PREFIX}17 names example number 17 of the digits)")
    number = given.removeprefix(PREFIX)
    if not (number.isascii() and number.isdigit() and int(number) < len(known)):
        raise UsageError(f"{given} is no example of the digits: they are numbered from 0 to {len(known) - 1}")
    return [given]


def _levels(source: Source, known: NDArray[np.uint8]) -> Tensor:
    if isinstance(source, str):
        return torch.from_numpy(known[int(source.removeprefix(PREFIX))]).float()
    grey = read_image(source).convert("L").convert("RGB")
    return square(grey, SIDE, Resize.pad)[0].float() / 255 * LEVELS
