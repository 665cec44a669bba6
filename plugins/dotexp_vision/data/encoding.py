"""Images for prediction: files, folders of them, and the bytes of a file, prepared as the validation set's are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import torch
from dotexp import RunError, UsageError
from dotexp.sdk.data import Encoded, Piece
from dotexp.sdk.seeds import Draw
from torch import Tensor

from dotexp_vision.augment.pipeline import Augmentation
from dotexp_vision.data.cache import FileReader, ImageStore, threads
from dotexp_vision.data.dataset import GIB
from dotexp_vision.data.decode import UnreadableImageError, load_pixels, to_floats, without_warnings
from dotexp_vision.data.files import SUFFIXES, Search
from dotexp_vision.data.levels import Levels, levels_from
from dotexp_vision.data.params import ImageParams
from dotexp_vision.data.subset import ImagePart, Images, Sizes

Source = Path | bytes | str
"""An image file, what is in one, or the name of an image that a data set has."""


def encoder(params: ImageParams, vocabulary: Mapping[str, Any]) -> Callable[[Sequence[str | bytes]], Encoded]:
    """Return the function that encodes inputs of `predict` for a run whose data had this vocabulary."""
    return partial(encode, params, levels_from(params.levels, vocabulary))


def encode(params: ImageParams, levels: Levels, inputs: Sequence[str | bytes]) -> Encoded:
    """Encode image files, those in folders and below, and images given as bytes: floats (B, 3, size, size).

    `augmented` is for files, as in training. Raises UsageError naming an input that does not exist or holds no images,
    and, from the batches, one that cannot be read.
    """
    sources = [source for given in inputs for source in image_sources(given)]

    def read(source: Source) -> Tensor:
        assert not isinstance(source, str)
        return load_pixels(source, params.size, params.resize, levels)

    def pieces(start: int) -> Iterator[Piece]:
        return image_pieces(sources[start:], read, to_floats, params.batch_size)

    files = all(isinstance(source, Path) for source in sources)
    augmented = _augmented(params, levels, [str(source) for source in sources]) if files else None
    return Encoded(named(sources), readable(pieces), augmented, pieces, lambda: len(sources), errors_as_rows=True)


def image_pieces(
    sources: Sequence[Any], read: Callable[[Any], Tensor], finish: Callable[[Tensor], Tensor], batch_size: int
) -> Iterator[Piece]:
    """Read images on threads, `batch_size` at a time; one that cannot be read is a row with its error."""

    def attempt(source: Any) -> Tensor | str:
        try:
            return read(source)
        except UnreadableImageError as error:
            return str(error)

    if len(sources) == 1:
        yield _piece(sources, [attempt(sources[0])], finish)
        return
    batches = [sources[first : first + batch_size] for first in range(0, len(sources), batch_size)]
    with threads() as pool, without_warnings():
        ahead: deque[list[Future[Tensor | str]]] = deque()
        for number, some in enumerate(batches):
            for other in batches[number + len(ahead) : number + 2]:  # threads read the next while this one is in use
                ahead.append([pool.submit(attempt, source) for source in other])
            found = [one.result() for one in ahead.popleft()]
            yield _piece(some, found, finish)


def _piece(sources: Sequence[Any], found: Sequence[Tensor | str], finish: Callable[[Tensor], Tensor]) -> Piece:
    rows = [
        {**row, "error": image} if isinstance(image, str) else row
        for row, image in zip(named(sources), found, strict=True)
    ]
    images = [image for image in found if not isinstance(image, str)]
    return Piece(rows, (finish(torch.stack(images)),) if images else ())


def readable(pieces: Callable[[int], Iterator[Piece]]) -> Iterator[tuple[Tensor, ...]]:
    """Yield the batches of pieces. Raises UsageError with the first error of an input."""
    for piece in pieces(0):
        for row in piece.rows:
            if "error" in row:
                raise UsageError(str(row["error"]))
        yield piece.inputs


def named(sources: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a row that names each input; bytes have no name."""
    return [{"input": "" if isinstance(source, bytes) else str(source)} for source in sources]


def _augmented(
    params: ImageParams, levels: Levels, paths: Sequence[str]
) -> Callable[[Draw], Iterator[tuple[Tensor, ...]]] | None:
    if not params.transforms:
        return None
    augmentation = Augmentation([use.build() for use in params.transforms])
    sizes = Sizes(params.size, params.presize or params.size, params.resize)
    held = Images(
        FileReader(Path(), levels), ImageStore(), {}, int(params.memory * GIB)
    )  # for all of the augmented passes
    part = ImagePart(held, paths, torch.zeros(len(paths)), sizes, augmentation)

    def augmented(draw: Draw) -> Iterator[tuple[Tensor, ...]]:
        try:
            for batch in part.batches(torch.arange(len(part)), params.batch_size, draw, torch.device("cpu")):
                yield batch.inputs
        except RunError as error:
            raise UsageError(str(error)) from error

    return augmented


def image_sources(given: str | bytes, hint: str = "") -> Sequence[Source]:
    """Return the images of an input: itself, or those in the folder that it names and below.

    Raises UsageError, with `hint`, where it does not exist, and where a folder holds no image.
    """
    if isinstance(given, bytes):
        return [given]
    path = Path(given)
    if not path.exists():
        raise UsageError(f"no such image or folder: {given}{hint}")
    found = Search().images(path) if path.is_dir() else [path]
    if not found:
        raise UsageError(f"no images in the folder {given}: they end in {', '.join(sorted(SUFFIXES))}")
    return found
