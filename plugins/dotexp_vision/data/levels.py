"""Images of more than 8 bits: their levels, and which level is black and which white, decided once for a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Source = Path | bytes
"""An image file, or what is in one."""

Ends = tuple[float, float]
"""The level that is black and the one that is white."""

_BITS = (1, 255, 1023, 4095, 16383, 65535)
"""White of images of 1, 8, 10, 12, 14 and 16 bits."""
_LITTLE = 1 / 16
_BYTE_ORDER = {"B": "L", "L": "B", "N": "B"}
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


class Depth(StrEnum):
    """What the levels of an image of more than 8 bits are."""

    integers = "integers"
    floats = "floats"


@dataclass(frozen=True)
class Levels:
    """Black and white of the images of a data set.

    `all` is what the spec says, and holds for every image; the others are for images of more than 8 bits.
    """

    all: Ends | None = None
    integers: Ends | None = None
    floats: Ends | None = None

    def of(self, depth: Depth) -> Ends | None:
        """Return black and white of a depth; None: as its file's type says."""
        return self.all or (self.integers if depth is Depth.integers else self.floats)

    def as_json(self) -> dict[str, list[float]]:
        """Return what prediction needs to scale images as the training set was."""
        named = {"integers": self.integers, "floats": self.floats}
        return {name: list(ends) for name, ends in named.items() if ends is not None}


def levels_from(given: Any, vocabulary: Mapping[str, Any]) -> Levels:
    """Return the levels of a trained model: those that the spec says, or those kept with the vocabulary."""
    if given is not None:
        return Levels(all=(given.low, given.high))
    kept = vocabulary.get("levels", {})
    return Levels(**{name: (float(low), float(high)) for name, (low, high) in kept.items()})


def open_source(source: Source) -> BinaryIO:
    """Open an image file, or its bytes, for reading."""
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")


@contextmanager
def open_image(source: Source, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Open an image as a stream: a file that is opened by name is mapped into memory, and turned TIFFs wrongly."""
    with open_source(source) as file, Image.open(file, formats=formats) as image:
        yield image


class DeepImage(NamedTuple):
    """Levels of an image of more than 8 bits, (H, W) or (H, W, C), and whether its lowest level is white."""

    levels: NDArray[Any]
    depth: Depth
    inverted: bool = False


def read_deep(image: Image.Image, source: Source) -> DeepImage | None:
    """Read the levels of an opened image file; None for one of 8 bits or less, which is left unread."""
    if image.mode.startswith("I") or image.mode == "F":
        depth = Depth.floats if image.mode == "F" else Depth.integers
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        image.load()
        levels = np.nan_to_num(np.asarray(image)) if depth is Depth.floats else np.asarray(image).astype(np.int64)
        return DeepImage(levels, depth, inverted)
    if image.mode in ("RGB", "RGBA") and any(";16" in _raw_mode(tile) for tile in getattr(image, "tile", ())):
        return DeepImage(_sixteen_bits(image, source), Depth.integers)
    return None


def to_bytes(levels: NDArray[Any], ends: Ends, inverted: bool = False) -> NDArray[np.uint8]:
    """Scale levels so that the ends become 0 and 255, rounded down; what is beyond them is clipped."""
    low, high = ends
    scaled = np.clip((levels.astype(np.float64) - low) * 255 / (high - low), 0, 255).astype(np.uint8)
    return 255 - scaled if inverted else scaled


def natural_ends(deep: DeepImage) -> Ends:
    """Return black and white by the type of a single file: 16 bits, or floats of 0 to 1 or else 0 to 255."""
    if deep.depth is Depth.integers:
        return 0, 65535
    return (0, 1) if deep.levels.max() <= 1 else (0, 255)


class LevelRange(NamedTuple):
    """Lowest and highest level of an image of more than 8 bits."""

    depth: Depth
    low: float
    high: float


def level_range(path: Path, formats: tuple[str, ...]) -> LevelRange | None:
    """Measure an image file of more than 8 bits; None for any other file, and for one that cannot be read."""
    try:
        with path.open("rb") as file:
            if not _may_be_deep(file.read(32)):
                return None
        with open_image(path, formats) as image:
            deep = read_deep(image, path)
            if deep is None:
                return None
            colours = deep.levels[..., :3] if deep.levels.ndim == 3 else deep.levels
            return LevelRange(deep.depth, float(colours.min()), float(colours.max()))
    except Exception:  # what is wrong with it, its reader says
        return None


@dataclass(frozen=True)
class Decision:
    """Levels of a data set, and what `DataFacts` says of them: `guesses` and `notes`."""

    levels: Levels
    guesses: Mapping[str, str]
    notes: tuple[str, ...]


def decide(ranges: Iterable[LevelRange | None], given: Ends | None) -> Decision:
    """Decide black and white of the images of more than 8 bits by their levels, unless the spec says them."""
    found = [one for one in ranges if one is not None]
    by_depth = {depth: [one for one in found if one.depth is depth] for depth in Depth}
    ends = {depth: given or _ends(depth, of) for depth, of in by_depth.items() if of}
    guesses = []
    if given is None:
        for depth, (low, high) in ends.items():
            highest = max(one.high for one in by_depth[depth])
            what = "images of floats" if depth is Depth.floats else "images of more than 8 bits"
            count = len(by_depth[depth])
            guesses.append(f"{low:g}..{high:g} (of {count} {what}, whose highest level is {highest:g})")
    levels = Levels(given, None, None) if given else Levels(None, ends.get(Depth.integers), ends.get(Depth.floats))
    notes = [note for depth, of in by_depth.items() if of for note in _notes(of, ends[depth], given is not None)]
    return Decision(levels, {"levels": "; ".join(guesses)} if guesses else {}, tuple(notes))


def _ends(depth: Depth, ranges: list[LevelRange]) -> Ends:
    low, high = min(one.low for one in ranges), max(one.high for one in ranges)
    if low < 0:
        return (-1, 1) if depth is Depth.floats and low >= -1 and high <= 1 else (low, max(high, low + 1))
    white = _BITS if depth is Depth.integers else (1, 255, *_BITS[2:])
    return 0, next((most for most in white if most >= high), high)


def _notes(ranges: list[LevelRange], ends: Ends, said: bool) -> Iterator[str]:
    low, high = ends
    little = [one for one in ranges if one.high - one.low < _LITTLE * (high - low)]
    if 2 * len(little) > len(ranges):
        yield (
            f"{len(little)} of {len(ranges)} images span less than 1/16 of the levels {low:g}..{high:g}, and look "
            "nearly uniform to the model: levels = LOW..HIGH says which are black and white"
        )
    beyond = sum(one.low < low or one.high > high for one in ranges)
    if said and beyond:
        yield f"{beyond} image{'s have' if beyond > 1 else ' has'} levels beyond {low:g}..{high:g}, which are clipped"


def _sixteen_bits(image: Image.Image, source: Source) -> NDArray[np.int64]:
    """Read 16-bit colours, of which Pillow keeps the high bytes: once more with the bytes swapped, for the low ones."""
    with open_image(source, (str(image.format),)) as again:
        again.tile = [tile._replace(args=_swapped(tile.args)) for tile in again.tile]  # type: ignore[attr-defined]
        low = np.asarray(again)
    both: NDArray[np.int64] = np.asarray(image).astype(np.int64) * 256 + low
    return both


def _raw_mode(tile: Any) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _swapped(arguments: Any) -> Any:
    if isinstance(arguments, tuple):
        return (_swapped(arguments[0]), *arguments[1:])
    return arguments[:-1] + _BYTE_ORDER[arguments[-1]]


def _may_be_deep(start: bytes) -> bool:
    """Whether a file that starts so may have more than 8 bits: a 16-bit PNG, TIFF, PGM."""
    png = start.startswith(b"\x89PNG") and start[24:25] == b"\x10"
    return png or start[:2] in (b"II", b"MM", b"P2", b"P5")
