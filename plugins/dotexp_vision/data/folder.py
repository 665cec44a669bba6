"""Images in folders, as data: which folder is a class and which a set, and where the class stands otherwise.

Opens no image.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dotexp import ComponentError, DataContext
from dotexp.sdk.names import composed, is_text, name_notes, printable
from dotexp.sdk.set_names import TITLES, is_unlabelled, role_of

from dotexp_vision.data.cache import FileReader
from dotexp_vision.data.dataset import Found, ImageData, assemble
from dotexp_vision.data.files import SUFFIXES, Search, is_hidden, is_system_folder, some
from dotexp_vision.data.params import ImageFolderParams
from dotexp_vision.data.set_folders import (
    folders_in,
    refuse_inner_sets,
    refuse_level_above,
    refuse_sets,
    refuse_sets_in_class,
)
from dotexp_vision.data.targets import Example

TRAIN = "train"
_FROM_NAMES = (r"^(.+)[_-]\d+\.\w+$", r"^([A-Za-z]+)\.\d+\.\w+$", r"^(.+?)[ _.-]*\(?\d+\)?\.\w+$")
"""Patterns that find the class in the names of well-known data sets of one folder."""


def build(params: ImageFolderParams, context: DataContext) -> ImageData:
    """Find the images, split them and read them. Raises ComponentError (E401, E402) for what is not as it should be."""
    return assemble(params, _Folder(params).found(), context)


class _Folder:
    """A folder of images as its parameters describe it."""

    def __init__(self, params: ImageFolderParams) -> None:
        self.params = params
        self.root = params.path
        self.search = Search()
        self.notes: list[str] = []
        self.guesses: dict[str, str] = {}
        self.named = {part: name for part in ("valid", "test") if isinstance(name := getattr(params, part), str)}

    def found(self) -> Found:
        """Find the images to train with or draw from, and those of the folders that `valid` and `test` name."""
        if not self.root.is_dir():
            state = "is a file, not a folder of images" if self.root.exists() else "does not exist"
            raise ComponentError(f"{self.root} {state}", field="path", code="E401")
        train = self._training_folder()
        beside = set(self.named.values()) if train == self.root else set()
        pool = self._examples(train, "path", beside)
        parts = {part: self._examples(self._part_folder(name, part, train), part) for part, name in self.named.items()}
        classes = sorted({str(example.label) for examples in (pool, *parts.values()) for example in examples})
        names = [example.identity for examples in (pool, *parts.values()) for example in examples]
        notes = (*self.notes, *name_notes(classes, "classes"), *_twins(names), *self.search.left_out.notes())
        reader = FileReader(self.root)
        return Found("classification", pool, parts, reader, str(self.root), "path", notes, guesses=self.guesses)

    def _training_folder(self) -> Path:
        """Return the folder `train` where there is one that holds what training needs, else the whole folder."""
        folders = list(folders_in(self.root))
        others = [one for one in folders if one.name not in self.named.values()]
        train = self.root / TRAIN
        wanted, there = self.params.classes, {composed(one.name) for one in others}
        if wanted is not None and self.params.label is None and there.issuperset(map(composed, wanted)):
            return self.root
        if train in folders:
            one_of_several = bool(self.named) or any(role_of(one.name) for one in others if one != train)
            if any(True for _ in folders_in(train)) or (self.params.label is not None and one_of_several):
                self.guesses["training set"] = f'"{TRAIN}" (the folder of that name)'
                self._note_unused([one for one in others if one != train])
                return train
        refuse_sets(self.root, others, self.params.label is not None, self.named)
        return self.root

    def _note_unused(self, folders: Sequence[Path]) -> None:
        self._note_loose(self.root)
        for folder in folders:
            if count := len(Search().images(folder)):
                name = printable(folder.name)
                use = f': valid = "{name}" or test = "{name}" would use it' if role_of(folder.name) else ""
                self.notes.append(f"the folder `{name}` beside `{TRAIN}` is not used ({_images(count)}){use}")

    def _part_folder(self, name: str, part: str, train: Path) -> Path:
        folder = self.root / name
        if not folder.is_dir():
            there = ", ".join(printable(entry.name) for entry in folders_in(self.root)) or "none"
            raise ComponentError(f"{self.root} has no folder `{name}`", part, f"folders there: {there}", code="E401")
        if folder.samefile(train):
            raise ComponentError(f"{folder} is the training set, and cannot be the {TITLES[part]}, too", part)
        return folder

    def _examples(self, folder: Path, field: str, beside: set[str] | None = None) -> tuple[Example, ...]:
        if self.params.label is not None:
            found = list(self._by_pattern(self.params.label, folder, beside or set()))
            if field == "path":
                names = [os.path.relpath(self.root / example.identity, folder) for example in found]
                refuse_inner_sets(folder, names, field, whole=False)
        else:
            found = list(self._by_folder(folder, beside or set(), field))
        if not found:
            wanted = "in a folder for each class" if self.params.label is None else "there or below"
            raise ComponentError(f"{folder} has no images {wanted}", field, self._cure(folder))
        return tuple(sorted(found, key=lambda example: example.identity))

    def _by_folder(self, folder: Path, beside: set[str], field: str) -> Iterator[Example]:
        wanted = self.params.classes
        places = [one for one in folders_in(folder) if one.name not in beside]
        for place in sorted(places, key=Path.is_symlink):
            self.search.reserve(place)
        _require_text(places, field)
        lacking = [name for name in wanted or () if composed(name) not in {composed(one.name) for one in places}]
        if lacking and field == "path":
            raise ComponentError(
                f"{folder} has no folder {some(lacking)}", "classes", f"folders there: {_names(places)}"
            )
        self._note_loose(folder)
        chosen = [one for one in places if wanted is None or composed(one.name) in map(composed, wanted)]
        for other in (one for one in places if one not in chosen):
            self._note_other_class(other)
        files = {one: self.search.images(one) for one in chosen}
        for place, paths in files.items():
            below = {part for path in paths for part in path.relative_to(place).parts[:-1]}
            refuse_sets_in_class(place, field, below, alone=sum(map(bool, files.values())) == 1)
        if wanted is None:
            self.notes += refuse_level_above(folder, places, field)
            unlabelled = [one.name for one in places if is_unlabelled(one.name)]
            self.notes += [f"the folder `{printable(name)}` is taken for a class" for name in unlabelled]
        spellings: dict[str, str] = {}
        for place, paths in files.items():
            label = composed(place.name)
            if spellings.setdefault(label, place.name) != place.name:
                self.notes.append(
                    f"two folders of {folder} are called `{label}`, in two Unicode forms: they are one class"
                )
            if not paths and field == "path":
                raise ComponentError(f"the class `{label}` has no images: {place}", field, self._cure(place))
            for path in paths:
                yield Example(path.relative_to(self.root).as_posix(), label)

    def _note_loose(self, folder: Path) -> None:
        """Note images outside the folders of classes, and those in folders that are hidden or a system's."""
        loose = self.search.images(folder, below=False)
        self.search.left_out.loose += [path.relative_to(self.root).as_posix() for path in loose]
        for entry in folder.iterdir():
            if entry.is_dir() and (is_hidden(entry.name) or is_system_folder(entry.name)):
                self.search.left_out.pass_over(entry)

    def _note_other_class(self, place: Path) -> None:
        if count := len(Search().images(place)):
            self.notes.append(f"the folder `{printable(place.name)}` is none of the classes ({_images(count)})")

    def _by_pattern(self, pattern: str, folder: Path, beside: set[str]) -> Iterator[Example]:
        nameless: list[str] = []
        undecodable: list[str] = []
        others: Counter[str] = Counter()
        wanted = None if self.params.classes is None else set(map(composed, self.params.classes))
        for path in self.search.images(folder):
            if path.relative_to(folder).parts[0] in beside:
                continue
            label = label_in(path.name, pattern)
            if label is None:
                nameless.append(path.relative_to(self.root).as_posix())
            elif not is_text(label):
                undecodable.append(path.relative_to(self.root).as_posix())
            elif wanted is not None and label not in wanted:
                others[label] += 1
            else:
                yield Example(path.relative_to(self.root).as_posix(), label)
        if nameless:
            raise ComponentError(f"the pattern finds no class in {some(nameless)} (in {folder})", "label")
        refuse_undecodable(undecodable)
        if others:
            listed = some(sorted(others), 5)
            self.notes.append(f"{others.total()} images of other classes than those wanted are left out: {listed}")

    def _cure(self, folder: Path) -> str:
        """Say what a folder without images holds, and how its classes may be found."""
        loose = [path.name for path in Search().images(folder, below=False)]
        for pattern in _FROM_NAMES if self.params.label is None else ():
            classes = {label for name in loose if (label := label_in(name, pattern)) is not None}
            if 1 < len(classes) < len(loose) and all(label_in(name, pattern) for name in loose):
                some_of = ", ".join(sorted(classes)[:3]) + (", …" if len(classes) > 3 else "")
                return (
                    f'the names of its images may hold the class: label = r"{pattern}" finds {len(classes)} ({some_of})'
                )
        if loose and self.params.label is None:
            return rf'it holds {_images(len(loose))} itself: label = r"(.+)_\d+\.jpg$" finds the class in dog_1.jpg'
        search = Search()
        search.images(folder)
        return "; ".join([*search.left_out.notes(), f"images end in {', '.join(sorted(SUFFIXES))}"])


def label_in(name: str, pattern: str) -> str | None:
    """Find a class in a file's name by a pattern with one group, both in NFC; None where there is none."""
    match = re.search(composed(pattern), composed(name))
    return match[1] or None if match is not None else None


def _twins(names: Sequence[str]) -> Iterator[str]:
    """Yield a note about files whose names are equal in Unicode normal form."""
    places = (name.rpartition("/") for name in names if not name.isascii())
    counts = Counter((folder, composed(name)) for folder, _, name in places)
    if twins := sorted(name for (_, name), count in counts.items() if count > 1):
        yield f"several files have one name in different Unicode forms, and all are taken: {some(twins, 3)}"


def _images(count: int) -> str:
    return f"{count} image{'s' * (count > 1)}"


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(printable(one.name) for one in folders) or "none"


def _require_text(folders: Sequence[Path], field: str) -> None:
    for folder in folders:
        if not is_text(folder.name):
            message = (
                f"a folder's name is the class, and `{printable(folder.name)}` in {folder.parent} is not UTF-8 text"
            )
            raise ComponentError(message, field, "rename the folder")


def refuse_undecodable(names: Sequence[str]) -> None:
    """Raise ComponentError where there are names of files whose class is not UTF-8 text."""
    if names:
        is_or_are = "in 1 name it is" if len(names) == 1 else f"in {len(names)} names it is"
        message = f"the class is in the files' names, and {is_or_are} not UTF-8 text: {some(names, 5)}"
        raise ComponentError(message, "label", "rename the file" + "s" * (len(names) > 1))
