"""Which image files there are, their classes, and which part each belongs to. Opens no image and needs no torch."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from dotexp import ComponentError
from dotexp.splits import random_split

from dotexp_vision.data_params import ImageFolderParams

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
TRAIN = "train"
USUAL_PARTS = ("valid", "val", "test")


@dataclass(frozen=True)
class Listing:
    """Files of each part (`train`, `valid`, perhaps `test`) with their class numbers, and the classes' names."""

    classes: tuple[str, ...]
    files: Mapping[str, tuple[Path, ...]]
    labels: Mapping[str, tuple[int, ...]]
    fingerprint: str
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Labelled:
    """An image file, its path within the data's folder, which identifies it, and its class."""

    path: Path
    identity: str
    label: str


def list_images(params: ImageFolderParams, seed: int) -> Listing:
    """Find the images and split them. Raises ComponentError: E401 for no such folder, E402 for what is in it."""
    root = params.path
    if not root.is_dir():
        state = "is a file, and the folder of images is wanted" if root.exists() else "does not exist"
        raise ComponentError(f"{root} {state}", field="path", code="E401")
    named = {part: name for part, name in (("valid", params.valid), ("test", params.test)) if isinstance(name, str)}
    train = root / TRAIN if _holds_folders(root / TRAIN) else root
    skipped = tuple(named.values()) if train == root else ()
    pool = _labelled(params, train, "path", skipped)
    parts = {part: _labelled(params, _part_folder(root, name, part), part) for part, name in named.items()}
    classes = _classes(pool, train)
    for part in named:
        _refuse_unknown(parts[part], classes, part)
    for part, held_out in (("test", params.test), ("valid", params.valid)):
        if held_out is not None and not isinstance(held_out, str):
            purpose = "split" if part == "valid" else part
            kept, held = random_split([e.identity for e in pool], held_out, seed, purpose, field=part)
            parts[part] = [pool[i] for i in held]
            pool = [pool[i] for i in kept]
    notes = tuple(_notes(params, train, pool, classes))
    return _listing({TRAIN: pool, **{p: parts[p] for p in ("valid", "test") if p in parts}}, classes, notes)


def image_files(folder: Path) -> list[Path]:
    """Find the image files in a folder and below, hidden ones aside, sorted by path."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, n) for n in names if not n.startswith(".") and Path(n).suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


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


def _labelled(params: ImageFolderParams, folder: Path, field: str, skipped: tuple[str, ...] = ()) -> list[Labelled]:
    if params.label is not None:
        found = list(_by_pattern(params.label, folder, params.path, skipped, field))
    else:
        found = list(_by_folder(folder, params.path, skipped, field))
    if not found:
        wanted = "in a folder for each class" if params.label is None else "there or below"
        raise ComponentError(f"{folder} has no images {wanted}", field, f"images end in {', '.join(sorted(SUFFIXES))}")
    return sorted(found, key=lambda example: example.identity)


def _by_folder(folder: Path, root: Path, skipped: tuple[str, ...], field: str) -> Iterator[Labelled]:
    for place in _folders(folder):
        if place.name in skipped:
            continue
        files = image_files(place)
        if not files and field == "path":
            raise ComponentError(f"the class `{place.name}` has no images: {place}", field)
        for path in files:
            yield Labelled(path, path.relative_to(root).as_posix(), place.name)


def _by_pattern(pattern: str, folder: Path, root: Path, skipped: tuple[str, ...], field: str) -> Iterator[Labelled]:
    for path in image_files(folder):
        if path.relative_to(folder).parts[0] in skipped:
            continue
        match = re.search(pattern, path.name)
        if match is None or not match[1]:
            raise ComponentError(f"the pattern finds no class in `{path.name}` (in {path.parent})", "label")
        yield Labelled(path, path.relative_to(root).as_posix(), match[1])


def _classes(pool: list[Labelled], folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted({example.label for example in pool}))
    if len(classes) < 2:
        raise ComponentError(f"{folder} has one class only, `{classes[0]}`: there is nothing to tell apart", "path")
    return classes


def _refuse_unknown(examples: list[Labelled], classes: tuple[str, ...], part: str) -> None:
    unknown = sorted({example.label for example in examples} - set(classes))
    if unknown:
        raise ComponentError(
            f"the {part} part has classes that the training part lacks: {', '.join(unknown)}",
            field=part,
            help=f"classes of the training part: {', '.join(classes)}",
        )


def _notes(params: ImageFolderParams, train: Path, pool: list[Labelled], classes: tuple[str, ...]) -> Iterator[str]:
    seen = Counter(example.label for example in pool)
    for label in classes:
        if not seen[label]:
            yield f"no image of the class `{label}` is left to train with"
    used = {name for name in (params.valid, params.test) if isinstance(name, str)}
    if train != params.path:
        for name in USUAL_PARTS:
            if name not in used and (params.path / name).is_dir():
                yield f'the folder `{name}` is not used: valid = "{name}" or test = "{name}" would'


def _ends(path: Path, size: int) -> bytes:
    """Start and end of a file: enough to tell another image of the same size, and quick for many."""
    with path.open("rb") as file:
        start = file.read(_END)
        file.seek(max(0, size - _END))
        return start + file.read(_END)


_END = 4096


def _listing(parts: Mapping[str, list[Labelled]], classes: tuple[str, ...], notes: tuple[str, ...]) -> Listing:
    numbers = {label: number for number, label in enumerate(classes)}
    digest = sha256()
    for part, examples in parts.items():
        for example in examples:
            size = example.path.stat().st_size
            if size == 0:
                raise ComponentError(f"the image {example.path} is an empty file", "path")
            digest.update(f"{part}\0{example.identity}\0{example.label}\0{size}\n".encode(errors="surrogateescape"))
            digest.update(_ends(example.path, size))
    return Listing(
        classes,
        {part: tuple(e.path for e in examples) for part, examples in parts.items()},
        {part: tuple(numbers[e.label] for e in examples) for part, examples in parts.items()},
        digest.hexdigest(),
        notes,
    )
