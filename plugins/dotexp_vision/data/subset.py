"""A part of an image data set: batches out of what is held in memory, of what is decoded for them, and of workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from dotexp import RunError
from dotexp.sdk.data import Batch, read_in_workers
from dotexp.sdk.seeds import Draw
from torch import Tensor
from torch.utils.data import Dataset

from dotexp_vision.augment.pipeline import Augmentation
from dotexp_vision.data.cache import ImageStore, Place, Places, Reader, threads
from dotexp_vision.data.decode import UnreadableImageError, to_floats, without_warnings
from dotexp_vision.data.params import Resize

Chunk = tuple[tuple[int, ...], Draw | None]


@dataclass(frozen=True)
class Sizes:
    """Side that the model sees, side before augmentation, and how an image becomes a square."""

    final: int
    before: int
    resize: Resize


@dataclass(frozen=True)
class Images:
    """Where a data set's images come from: files, or `places` in memory, of which all data may hold `most` bytes."""

    reader: Reader
    store: ImageStore
    places: Places
    most: int

    def hold(self, names: Sequence[str], side: int, resize: Resize) -> Mapping[str, Place]:
        """Decode what is not held yet and fits into memory: other data may have left it since this was opened."""
        held = self.places.setdefault(side, {})
        missing = [name for name in names if name not in held]
        if missing and self.most - self.store.nbytes >= 3 * side * side:
            held |= self.store.take(self.reader, missing, side, resize, self.most).places
        return held


class ImagePart:
    """Images with targets (N,) or (N, …), in the order of their identities. They are bytes until on the device.

    Augmentation of example i in an epoch depends on `draw.example(i)` alone: whatever the number of workers, the
    batch and the order.
    """

    def __init__(
        self,
        images: Images,
        names: Sequence[str],
        targets: Tensor,
        sizes: Sizes,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._targets = targets
        self._images = images
        self._names = tuple(names)
        self._sizes = sizes
        self._augmentation = augmentation

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def names(self) -> Sequence[str]:
        """Each image's path within the data's folder."""
        return self._names

    @property
    def augmentable(self) -> bool:
        """Whether a draw augments the images."""
        return self._augmentation is not None

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Yield batches of images, floats (B, 3, size, size) in 0..1, and targets.

        Raises RunError naming the file where an image cannot be read.
        """
        pieces = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        augmented = draw if self._augmentation is not None else None
        chunks = [(tuple(piece.tolist()), augmented) for piece in pieces]
        for piece, images in zip(pieces, self._read(chunks, augmented is not None, workers), strict=True):
            moved = to_floats(images.to(device, non_blocking=True))
            yield Batch((moved,), self._targets[piece].to(device, non_blocking=True))

    def _read(self, chunks: list[Chunk], augmented: bool, workers: int) -> Iterator[Tensor]:
        side = self._sizes.before if augmented else self._sizes.final
        held = self._images.hold(self._names, side, self._sizes.resize)
        images = _Batches(
            self._images.reader,
            self._names,
            [held.get(name) for name in self._names],
            replace(self._sizes, before=side),
            self._augmentation,
        )
        if workers == 0 or (not augmented and images.all_held):
            read = images.read_here(chunks)
        else:
            read = read_in_workers(images, chunks, workers)
        for batch in read:
            if isinstance(batch, str):
                raise RunError(batch)
            yield batch


@dataclass(frozen=True)
class _Batches(Dataset[Tensor | str]):
    """An epoch's batches of images by their indices, all read at the side `sizes.before`.

    A batch is a message where an image of it cannot be read, since errors from workers lose theirs.
    """

    reader: Reader
    names: Sequence[str]
    places: Sequence[Place | None]
    sizes: Sizes
    augmentation: Augmentation | None

    @property
    def all_held(self) -> bool:
        """Whether every image is in memory."""
        return None not in self.places

    def __getitem__(self, chunk: Chunk) -> Tensor | str:
        """Make a batch in this process alone."""
        try:
            with without_warnings():
                return self._finish(chunk, [self._pixels(i) for i in chunk[0]])
        except UnreadableImageError as error:
            return str(error)

    def read_here(self, chunks: Sequence[Chunk]) -> Iterator[Tensor | str]:
        """Make batches in this process; threads decode what is not held while the batch before is in use."""
        with threads() as pool:
            ahead: deque[list[Tensor | Future[Tensor]]] = deque()
            for number in range(len(chunks)):
                for indices, _ in chunks[number + len(ahead) : number + 2]:
                    ahead.append([self._start(pool, i) for i in indices])
                try:
                    images = [one.result() if isinstance(one, Future) else one for one in ahead.popleft()]
                except UnreadableImageError as error:
                    yield str(error)
                    return
                yield self._finish(chunks[number], images)

    def _finish(self, chunk: Chunk, images: list[Tensor]) -> Tensor:
        indices, draw = chunk
        if draw is None or self.augmentation is None:
            return torch.stack(images)
        return self.augmentation(images, [draw.example(i) for i in indices], self.sizes.final)

    def _start(self, pool: ThreadPoolExecutor, index: int) -> Tensor | Future[Tensor]:
        return self._pixels(index) if self.places[index] is not None else pool.submit(self._pixels, index)

    def _pixels(self, index: int) -> Tensor:
        place = self.places[index]
        if place is None:
            return self.reader.pixels(self.names[index], self.sizes.before, self.sizes.resize)
        return place.pixels
