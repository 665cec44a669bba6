"""Which image files there are in a folder, their classes, and which part each belongs to. Opens no image."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dotexp import ComponentError

from dotexp_vision.data.params import ImageFolderParams
from dotexp_vision.data.targets import Example

SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
TRAIN = "train"
USUAL_PARTS = ("valid", "val", "test")


Examples = tuple[Example, ...]


def list_images(params: ImageFolderParams) -> tuple[Examples, dict[str, Examples], tuple[str, ...]]:
    """Find the images to train with or draw from, those of the named parts, and what is worth a note.

    Each is sorted by its path within the data's folder, which is its identity. Raises ComponentError: E401 for no
    such folder, E402 for what is in it.
    """
    root = params.path
    if not root.is_dir():
        state = "is a file, and the folder of images is wanted" if root.exists() else "does not exist"
        raise ComponentError(f"{root} {state}", field="path", code="E401")
    named = {part: name for part, name in (("valid", params.valid), ("test", params.test)) if isinstance(name, str)}
    train = root / TRAIN if _holds_folders(root / TRAIN) else root
    skipped = tuple(named.values()) if train == root else ()
    pool = _labelled(params, train, "path", skipped)
    parts = {part: _labelled(params, _part_folder(root, name, part), part) for part, name in named.items()}
    return pool, parts, (*_unused(params, train), *_left_out(root))


def image_files(folder: Path) -> list[Path]:
    """Find the image files in a folder and below, hidden ones aside, sorted by path."""
    found = (path for path in walk(folder) if path.suffix.lower() in SUFFIXES)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, hidden ones aside."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _holds_folders(folder: Path) -> bool:
    return folder.is_dir() and any(True for _ in _folders(folder))


def _folders(folder: Path) -> Iterator[Path]:
    return (entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.startswith("."))


def _part_folder(root: Path, name: str, part: str) -> Path:
    folder = root / name
    if not folder.is_dir():
        there = ", ".join(entry.name for entry in _folders(root)) or "none"
        raise ComponentError(f"{root} has no folder `{name}`", part, f"folders there: {there}", code="E401")
    return folder


def _labelled(params: ImageFolderParams, folder: Path, field: str, skipped: tuple[str, ...] = ()) -> Examples:
    if params.label is not None:
        found = list(_by_pattern(params.label, folder, params.path, skipped, field))
    else:
        found = list(_by_folder(folder, params.path, skipped, field))
    if not found:
        wanted = "in a folder for each class" if params.label is None else "there or below"
        raise ComponentError(f"{folder} has no images {wanted}", field, f"images end in {', '.join(sorted(SUFFIXES))}")
    return tuple(sorted(found, key=lambda example: example.identity))


def _by_folder(folder: Path, root: Path, skipped: tuple[str, ...], field: str) -> Iterator[Example]:
    for place in _folders(folder):
        if place.name in skipped:
            continue
        files = image_files(place)
        if not files and field == "path":
            raise ComponentError(f"the class `{place.name}` has no images: {place}", field)
        for path in files:
            yield Example(path.relative_to(root).as_posix(), place.name)


def _by_pattern(pattern: str, folder: Path, root: Path, skipped: tuple[str, ...], field: str) -> Iterator[Example]:
    nameless = []
    for path in image_files(folder):
        if path.relative_to(folder).parts[0] in skipped:
            continue
        label = label_in(path.name, pattern)
        if label is None:
            nameless.append(path.relative_to(root).as_posix())
        else:
            yield Example(path.relative_to(root).as_posix(), label)
    if nameless:
        raise ComponentError(f"the pattern finds no class in {some(nameless)} (in {folder})", "label")


def label_in(name: str, pattern: str) -> str | None:
    """Find a class in a file's name by a pattern with one group; None where there is none."""
    match = re.search(pattern, name)
    return match[1] or None if match is not None else None


def some(names: list[str]) -> str:
    """List a few of many names."""
    listed = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return f"{listed} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else listed


_SHOWN = 10


def _unused(params: ImageFolderParams, train: Path) -> Iterator[str]:
    used = {name for name in (params.valid, params.test) if isinstance(name, str)}
    if train != params.path:
        for name in USUAL_PARTS:
            if name not in used and (params.path / name).is_dir():
                yield f'the folder `{name}` is not used: valid = "{name}" or test = "{name}" would'


def _left_out(root: Path) -> Iterator[str]:
    gifs = [path for path in walk(root) if path.suffix.lower() == ".gif"]
    if gifs:
        count = f"{len(gifs)} GIFs are" if len(gifs) > 1 else "1 GIF is"
        yield f"{count} left out, being seldom a photograph: {some([path.name for path in gifs])}"
