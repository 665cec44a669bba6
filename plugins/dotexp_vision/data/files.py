"""Image files in a folder and below, and what was left out. Opens only files whose suffix is no image's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dotexp import ComponentError
from dotexp.sdk import sniffing
from dotexp.sdk.names import printable

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm"),
        *(".tif", ".tiff", ".webp", ".avif", ".avifs"),
    }
)
"""Suffixes of the files that are read, in small letters: what the decoder reads, but for GIF."""

_IMAGES = (sniffing.JPEG, sniffing.PNG, sniffing.BMP, sniffing.NETPBM, sniffing.TIFF, sniffing.WEBP, sniffing.AVIF)
_SYSTEM_FOLDERS = frozenset(
    {
        *(
            "__macosx",
            "lost+found",
            "@eadir",
            "#recycle",
            "@recycle",
            "#snapshot",
            "@recently-snapshot",
            "$recycle.bin",
        ),
        *("system volume information", "found.000", "__pycache__", "recycler", "_gsdata_"),
    }
)
"""Folders that archives, file servers and systems leave behind, in small letters."""

_SHOWN = 5


def is_system_folder(name: str) -> bool:
    """Return whether a folder is one that archives, file servers or systems leave behind."""
    return name.lower() in _SYSTEM_FOLDERS


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden."""
    return name.startswith(".")


def some(names: Sequence[str], shown: int = 10) -> str:
    """List the first of many names, and count the others."""
    listed = ", ".join(f"`{printable(name)}`" for name in names[:shown])
    return f"{listed} and {len(names) - shown} more" if len(names) > shown else listed


@dataclass
class LeftOut:
    """What a search for images passed over, counted for one note of each kind."""

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    system: Counter[str] = field(default_factory=Counter)
    loose: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    sniffed: Counter[str] = field(default_factory=Counter)
    _passed: set[Path] = field(default_factory=set)

    def pass_over(self, folder: Path) -> None:
        """Count the images in a hidden or a system's folder, once."""
        count = sum(has_image_suffix(name) for _, _, names in os.walk(folder) for name in names)
        if count and folder not in self._passed:
            self._passed.add(folder)
            (self.hidden if is_hidden(folder.name) else self.system)[f"{folder.name}/"] += count

    def notes(self) -> Iterator[str]:
        """Say what was left out, and what was read against its suffix."""
        if self.suffixes:
            yield f"left out by suffix: {_counts(self.suffixes)}"
        if self.loose:
            yield f"left out: {_images(len(self.loose))} outside the folders of the classes: {some(self.loose, _SHOWN)}"
        if self.hidden:
            yield f"left out: {_images(self.hidden.total())} in hidden files and folders: {_counts(self.hidden)}"
        if self.system:
            yield f"left out: {_images(self.system.total())} in folders of the system: {_counts(self.system)}"
        if self.links:
            yield f"left out: {some(self.links, _SHOWN)}, by links that lead to folders read already"
        if self.sniffed:
            yield f"read, since their first bytes are an image's: {_counts(self.sniffed)}"


class Search:
    """A search for image files in several folders: each folder is read once, whatever links lead to it.

    `field` is the parameter to blame for a folder that cannot be read.
    """

    def __init__(self, field: str = "path") -> None:
        self.left_out = LeftOut()
        self._field = field
        self._owners: dict[tuple[int, int], str] = {}

    def reserve(self, folder: Path) -> None:
        """Have a folder read under this path and no other."""
        state = folder.stat()
        self._owners.setdefault((state.st_dev, state.st_ino), os.fspath(folder))

    def images(self, folder: Path, below: bool = True) -> list[Path]:
        """Find the image files in a folder, and below it, sorted by path; links to folders are followed.

        Files with a suffix that is no image's are read if their first bytes are one's. Raises ComponentError (E401)
        for a folder that cannot be read.
        """
        found = [Path(path) for path in self._walk(os.fspath(folder), below)]
        return sorted(found, key=lambda path: path.relative_to(folder).as_posix())

    def _walk(self, folder: str, below: bool) -> Iterator[str]:
        try:
            state = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            message = f"the folder {printable(folder)} cannot be read: {error.strerror}"
            raise ComponentError(message, self._field, code="E401") from error
        if below and self._owners.setdefault((state.st_dev, state.st_ino), folder) != folder:
            self.left_out.links.append(os.path.basename(folder))
            return
        for entry in entries:
            if entry.is_dir():
                if below and not self._passed_over(entry):
                    yield from self._walk(entry.path, below)
            elif self._taken(entry):
                yield entry.path

    def _passed_over(self, entry: os.DirEntry[str]) -> bool:
        if not is_hidden(entry.name) and not is_system_folder(entry.name):
            return False
        self.left_out.pass_over(Path(entry.path))
        return True

    def _taken(self, entry: os.DirEntry[str]) -> bool:
        if is_hidden(entry.name):
            if has_image_suffix(entry.name):
                self.left_out.hidden["other"] += 1
            return False
        if has_image_suffix(entry.name):
            return True
        suffix = os.path.splitext(entry.name)[1].lower() or "no suffix"
        if suffix != ".gif" and sniffing.sniff_file(Path(entry.path)) in _IMAGES:
            self.left_out.sniffed[suffix] += 1
            return True
        self.left_out.suffixes[suffix] += 1
        return False


def has_images(folder: Path) -> bool:
    """Return whether there is an image in a folder or below."""
    return any(True for _ in Search()._walk(os.fspath(folder), True))


def has_image_suffix(name: str) -> bool:
    """Return whether a file's name ends as an image's that is read."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _images(count: int) -> str:
    return f"{count} image{'s' * (count > 1)}"


def _counts(counts: Counter[str]) -> str:
    listed = [f"{count} {printable(name)}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    others = len(listed) - _SHOWN
    more = [f"{others} more kind{'s' * (others > 1)}"] if others > 0 else []
    return ", ".join([*listed[:_SHOWN], *more])
