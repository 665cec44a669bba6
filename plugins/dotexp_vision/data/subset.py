"""A part of an image data set: batches out of what is held in memory, of what is decoded for them, and of workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from dotexp import RunError
from dotexp.sdk.data import Batch, read_in_workers
from dotexp.sdk.seeds import Draw
from torch import Tensor
from torch.utils.data import Dataset

from dotexp_vision.augment.pipeline import Variation
from dotexp_vision.data.cache import ImageStore, Reader, threads
from dotexp_vision.data.decode import UnreadableImageError, to_floats, without_warnings
from dotexp_vision.data.params import Resize

Chunk = tuple[tuple[int, ...], Draw | None]


@dataclass(frozen=True)
class Sizes:
    """Side that the model sees, side before augmentation, and how an image becomes a square."""

    final: int
    before: int
    resize: Resize


class ImagePart:
    """Images with targets (N,) or (N, …), in the order of their identities. They are bytes until on the device.

    Augmentation of example i in an epoch depends on `draw.example(i)` alone: whatever the number of workers, the
    batch and the order.
    """

    def __init__(
        self,
        reader: Reader,
        store: ImageStore,
        names: Sequence[str],
        targets: Tensor,
        sizes: Sizes,
        variation: Variation | None = None,
    ) -> None:
        self._targets = targets
        self._images = _Images(reader, store, tuple(names), sizes, variation)

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def names(self) -> Sequence[str]:
        """Each image's path within the data's folder."""
        return self._images.names

    @property
    def augmentable(self) -> bool:
        """Whether a draw varies the images."""
        return self._images.variation is not None

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Yield batches of images, floats (B, 3, size, size) in 0..1, and targets.

        Raises RunError naming the file where an image cannot be read.
        """
        pieces = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        varied = draw if self._images.variation is not None else None
        chunks = [(tuple(piece.tolist()), varied) for piece in pieces]
        for piece, images in zip(pieces, self._read(chunks, workers), strict=True):
            moved = to_floats(images.to(device, non_blocking=True))
            yield Batch((moved,), self._targets[piece].to(device, non_blocking=True))

    def _read(self, chunks: list[Chunk], workers: int) -> Iterator[Tensor]:
        images = self._images
        plain = not chunks or chunks[0][1] is None
        if workers == 0 or (plain and images.all_held(varied=False)):
            read = images.read_here(chunks)
        else:
            read = read_in_workers(images, chunks, workers)
        for batch in read:
            if isinstance(batch, str):
                raise RunError(batch)
            yield batch


class _Images(Dataset[Tensor | str]):
    """Batches of images by their indices; a message where one cannot be read, since errors from workers lose theirs."""

    def __init__(
        self, reader: Reader, store: ImageStore, names: tuple[str, ...], sizes: Sizes, variation: Variation | None
    ) -> None:
        self._reader = reader
        self._sizes = sizes
        self.names = names
        self.variation = variation
        self._blocks = store.blocks
        self._places = {
            side: [store.place(name, side, sizes.resize) for name in names] for side in {sizes.final, sizes.before}
        }

    def all_held(self, varied: bool) -> bool:
        """Whether every image is in memory."""
        return None not in self._places[self._side(varied)]

    def __getitem__(self, chunk: Chunk) -> Tensor | str:
        """Make a batch in this process alone."""
        indices, draw = chunk
        side = self._side(draw is not None)
        try:
            with without_warnings():
                return self._finish(chunk, [self._pixels(i, side) for i in indices])
        except UnreadableImageError as error:
            return str(error)

    def read_here(self, chunks: Sequence[Chunk]) -> Iterator[Tensor | str]:
        """Make batches in this process; threads decode what is not held while the batch before is in use."""
        with threads() as pool:
            ahead: deque[list[Tensor | Future[Tensor]]] = deque()
            for number in range(len(chunks)):
                for indices, draw in chunks[number + len(ahead) : number + 2]:
                    side = self._side(draw is not None)
                    ahead.append([self._begun(pool, i, side) for i in indices])
                try:
                    images = [one.result() if isinstance(one, Future) else one for one in ahead.popleft()]
                except UnreadableImageError as error:
                    yield str(error)
                    return
                yield self._finish(chunks[number], images)

    def _finish(self, chunk: Chunk, images: list[Tensor]) -> Tensor:
        indices, draw = chunk
        if draw is None or self.variation is None:
            return torch.stack(images)
        return self.variation(images, [draw.example(i) for i in indices], self._sizes.final)

    def _side(self, varied: bool) -> int:
        return self._sizes.before if varied else self._sizes.final

    def _begun(self, pool: ThreadPoolExecutor, index: int, side: int) -> Tensor | Future[Tensor]:
        held = self._place(index, side) is not None
        return self._pixels(index, side) if held else pool.submit(self._pixels, index, side)

    def _place(self, index: int, side: int) -> tuple[int, int] | None:
        return self._places[side][index]

    def _pixels(self, index: int, side: int) -> Tensor:
        place = self._place(index, side)
        if place is None:
            return self._reader.pixels(self.names[index], side, self._sizes.resize)
        return self._blocks[place[0]][place[1]]
