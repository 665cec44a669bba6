"""Decoded images in memory, for all the parts and stages of a run; and which images cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar
from weakref import WeakSet, ref

import torch
from torch import Tensor

from dotexp_vision.data.decode import (
    FORMATS,
    NATURAL,
    UnreadableImageError,
    check_image,
    load_pixels,
    without_warnings,
)
from dotexp_vision.data.levels import LevelRange, Levels, level_range
from dotexp_vision.data.params import Resize

_MOST_THREADS = 8
_SAMPLE = 200
_DARK = 15
_T = TypeVar("_T")
_R = TypeVar("_R")


class Reader(Protocol):
    """Where images come from, by their identities. It may be sent to other processes."""

    def pixels(self, identity: str, side: int, resize: Resize) -> Tensor:
        """Read an image as a square, uint8 (3, side, side); raises UnreadableImageError."""
        ...

    def check(self, identity: str) -> None:
        """Find out cheaply whether an image can be read; raises UnreadableImageError."""
        ...

    def level_range(self, identity: str) -> LevelRange | None:
        """Measure an image of more than 8 bits; None for others, and for those that cannot be read."""
        ...

    def at_levels(self, levels: Levels) -> Reader:
        """Return a reader of the same images that scales those of more than 8 bits by these levels."""
        ...

    def place(self, identity: str) -> str:
        """Return where an image comes from, which is equal for one image in other data."""
        ...

    def stamp(self, identity: str) -> bytes:
        """Return what tells this image from another of the same name."""
        ...


class FileReader:
    """Image files in a folder and below, scaled by `levels`; an identity is the path within the folder."""

    def __init__(self, root: Path, levels: Levels = NATURAL) -> None:
        self._root = root
        self._levels = levels

    def pixels(self, identity: str, side: int, resize: Resize) -> Tensor:
        """Read a file as a square, uint8 (3, side, side); raises UnreadableImageError."""
        return load_pixels(self._root / identity, side, resize, self._levels)

    def level_range(self, identity: str) -> LevelRange | None:
        """Measure an image of more than 8 bits; None for others."""
        return level_range(self._root / identity, FORMATS)

    def at_levels(self, levels: Levels) -> FileReader:
        """Return a reader of the same files that scales them by these levels."""
        return FileReader(self._root, levels)

    def check(self, identity: str) -> None:
        """Decode a file in the cheapest way; raises UnreadableImageError."""
        check_image(self._root / identity)

    def place(self, identity: str) -> str:
        """Return a file's path, links followed."""
        return os.path.realpath(self._root / identity)

    def stamp(self, identity: str) -> bytes:
        """Return the file's size, start and end: quick, and enough to tell another image."""
        path = self._root / identity
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_END)
            file.seek(max(0, size - _END))
            return f"{size}\n".encode() + start + file.read(_END)


_END = 4096


@dataclass(eq=False)
class Block:
    """Decoded images, uint8 (N, 3, side, side), freed with the last place in it."""

    pixels: Tensor


class Place(NamedTuple):
    """A decoded image: a row of a block."""

    block: Block
    row: int

    @property
    def pixels(self) -> Tensor:
        """The image, uint8 (3, side, side)."""
        return self.block.pixels[self.row]


Places = dict[int, dict[str, Place]]
"""Held images by side and identity."""


class ImageStore:
    """Decoded images of a run, each once for a side and a resize mode, and which images were found readable.

    The store holds its blocks weakly: images are freed with the last data that holds a place of them, so that a stage
    whose images have another size can use the memory of the stage before.
    """

    def __init__(self) -> None:
        self._blocks: WeakSet[Block] = WeakSet()
        self._places: dict[tuple[str, int, Resize], tuple[ref[Block], int]] = {}
        self._readable: set[str] = set()

    @property
    def nbytes(self) -> int:
        """Bytes of the images held."""
        return sum(block.pixels.nbytes for block in self._blocks)

    def place(self, identity: str, side: int, resize: Resize) -> Place | None:
        """Find an image; None where it is not held."""
        held = self._places.get((identity, side, resize))
        block = held[0]() if held is not None else None
        return None if held is None or block is None else Place(block, held[1])

    def take(self, reader: Reader, identities: Sequence[str], side: int, resize: Resize, most: int) -> Taken:
        """Decode the images that are not held yet, as long as all that is held stays within `most` bytes.

        The others are checked, once.
        """
        places = {one: self.place(one, side, resize) for one in dict.fromkeys(identities)}
        new = [one for one, place in places.items() if place is None]
        room = max(0, most - self.nbytes) // (3 * side * side)
        decoded, bad = self._decode(reader, new[:room], side, resize)
        unchecked = [one for one in new[room:] if one not in self._readable]
        for identity, error in zip(unchecked, in_threads(lambda one: _error(reader, one), unchecked), strict=True):
            if error is None:
                self._readable.add(identity)
            else:
                bad[identity] = error
        return Taken({one: place for one, place in places.items() if place is not None} | decoded, bad)

    def _decode(
        self, reader: Reader, identities: Sequence[str], side: int, resize: Resize
    ) -> tuple[dict[str, Place], dict[str, UnreadableImageError]]:
        if not identities:
            return {}, {}
        block = Block(torch.empty((len(identities), 3, side, side), dtype=torch.uint8))
        rows = block.pixels.numpy()  # a plain copy of memory: torch would share out even this among its threads

        def decode(row: int) -> UnreadableImageError | None:
            try:
                rows[row] = reader.pixels(identities[row], side, resize).numpy()
            except UnreadableImageError as error:
                return error
            return None

        places, bad = {}, {}
        for row, error in enumerate(in_threads(decode, range(len(identities)))):
            if error is None:
                places[identities[row]] = Place(block, row)
                self._places[identities[row], side, resize] = ref(block), row
                self._readable.add(identities[row])
            else:
                bad[identities[row]] = error
        self._blocks.add(block)
        return places, bad


class Taken(NamedTuple):
    """Places of the images that are held, and the errors of those that cannot be read."""

    places: Mapping[str, Place]
    bad: dict[str, UnreadableImageError]


def dark_notes(places: Places) -> Iterator[str]:
    """Yield a note where most of the images held, of a sample, are nearly black."""
    held = [place for by_name in places.values() for place in by_name.values()]
    sample = held[:: max(1, len(held) // _SAMPLE)]
    highest = [int(place.pixels.max()) for place in sample]
    dark = [level for level in highest if 0 < level <= _DARK]
    if 2 * len(dark) > len(sample):
        yield (
            f"{len(dark)} of {len(sample)} images looked at are nearly black: their highest level is {max(dark)} of "
            f"255; levels = 0..{max(dark)} makes that white"
        )


def in_threads(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Map a function over items, in order, on as many threads as there are processors, up to eight."""
    with threads() as pool, without_warnings():
        yield from pool.map(function, items)


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Make a pool of threads; where an error or a Ctrl-C ends it, what has not begun is left undone."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(_MOST_THREADS, processors), "images")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _error(reader: Reader, identity: str) -> UnreadableImageError | None:
    try:
        reader.check(identity)
    except UnreadableImageError as error:
        return error
    return None
