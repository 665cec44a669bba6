"""Folders that look like sets of the data, or stand above the classes: refused, with what to write instead."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from dotexp import ComponentError
from dotexp.sdk.names import printable
from dotexp.sdk.set_names import TITLES, beside_class, is_numbered_set, is_weak, role_of

from dotexp_vision.data.files import Search, has_images, is_hidden, is_system_folder, some

_FEW = 10
"""Folders that may be sets of the data together; of more, a level above the classes is noted and not refused."""


def folders_in(folder: Path) -> Iterator[Path]:
    """Yield the folders in a folder that may be classes or sets of the data, sorted."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not is_hidden(entry.name) and not is_system_folder(entry.name):
            yield entry


def refuse_sets(root: Path, folders: Sequence[Path], by_pattern: bool, named: Mapping[str, str]) -> None:
    """Raise ComponentError where a folder that would be a class looks like a set of the data.

    `named` are the folders that the spec names, by their set; `by_pattern` says that the files' names hold the class.
    """
    looks = [one for one in folders if role_of(one.name)]
    if not looks:
        return None if by_pattern else _refuse_sets_of_classes(root, folders)
    if len(looks) == 1 and not named and _may_be_class(looks[0]):
        return None
    is_or_are = "looks like a" if len(looks) == 1 else "look like"
    titles = " and ".join(dict.fromkeys(TITLES[str(role_of(one.name))] for one in looks))
    names = " and ".join(f"`{printable(one.name)}`" for one in looks)
    would = "and would be a class" if len(looks) == 1 else "and would be classes"
    if by_pattern:
        would = "and would be trained with the others"
    message = f"in {root}, {names} {is_or_are} {titles}, {would}"
    raise ComponentError(message, "path", _answers(folders, looks, by_pattern, named))


def _answers(folders: Sequence[Path], looks: Sequence[Path], by_pattern: bool, named: Mapping[str, str]) -> str:
    answers = []
    for one in looks:
        role, name = str(role_of(one.name)), printable(one.name)
        if role == "train":
            answers.append(f"call the folder of the training set `{role}`")
        elif role not in named:
            answers.append(f'{role} = "{name}" uses `{name}` as the {TITLES[role]}')
    if by_pattern:
        answers.append("or give the path of one of them")
        return "; ".join(answers)
    classes = [one for one in folders if one not in looks] or looks
    if len(classes) > 1:
        answers.append(f"{_as_classes(classes)} says which folders are classes")
    return "; ".join(answers)


def _refuse_sets_of_classes(root: Path, folders: Sequence[Path]) -> None:
    """Raise ComponentError where folders stand for a set and a class in one: `train_cat` and `test_cat`."""
    by_class: dict[str, dict[str, str]] = {}
    for one in folders:
        if (found := beside_class(one.name)) is not None:
            by_class.setdefault(found[1], {})[found[0]] = one.name
    for sets in by_class.values():
        if len(sets) > 1:
            names = " and ".join(f"`{printable(name)}`" for name in sorted(sets.values()))
            titles = " and ".join(TITLES[role] for role in sorted(sets))
            message = f"in {root}, {names} look like one class in the {titles}, and would be different classes"
            help = f"a folder for each set holds those of the classes: train/CLASS; {_as_classes(folders)} takes each"
            raise ComponentError(message, "path", f"{help} for a class")


def _may_be_class(folder: Path) -> bool:
    """Return whether a folder named as a set may be a class all the same: `train` beside `bus` and `car`."""
    named_as_class = role_of(folder.name) == "train" or is_weak(folder.name)
    return named_as_class and not any(map(has_images, folders_in(folder)))


def refuse_sets_in_class(place: Path, field: str, below: Collection[str], alone: bool) -> None:
    """Raise ComponentError where a class holds folders that look like the sets of the data.

    `below` are the names of its folders with images, at any depth; `alone` says that there is no other class: then the
    folder is more likely one too many.
    """
    sets = sorted(name for name in {*below, *(one.name for one in folders_in(place))} if role_of(name))
    if any(role_of(name) != "train" and not is_weak(name) for name in sets) or len(set(map(role_of, sets))) > 1:
        names = " and ".join(f"`{printable(name)}`" for name in sets)
        look = "looks like a set" if len(sets) == 1 else "look like sets"
        if alone:
            message = f"{place} holds {names}, which {look} of the data, and is no class"
            raise ComponentError(message, field, _path_of(place))
        message = f"the class `{printable(place.name)}` holds {names}, which {look} of the data"
        raise ComponentError(message, field, f"the sets stand outside: {sets[0]}/{printable(place.name)}")


def refuse_level_above(folder: Path, places: Sequence[Path], field: str) -> list[str]:
    """Raise ComponentError where folders of one level seem to stand above the classes; return a note where they may.

    They do where there is only one, and where none of them holds an image itself, but folders of the same names.
    """
    if not places or any(Search().images(place, below=False) for place in places):
        return []
    held = [{one.name for one in folders_in(place)} for place in places]
    if len(places) == 1 and len(held[0]) > 1:
        message = f"{folder} holds one folder, `{printable(places[0].name)}`, whose folders may be the classes"
        raise ComponentError(message, field, _path_of(places[0]) if field == "path" else "")
    alike = sorted(set.intersection(*held))
    if len(places) == 1 or len(alike) < 2:
        return []
    names = ", ".join(f"`{printable(place.name)}`" for place in places[:3]) + (", …" if len(places) > 3 else "")
    message = f"the folders {names} hold no images themselves, and folders of the same names: {some(alike, 3)}"
    help = f"{_as_classes(places)} takes them for classes; if those in them are, each folder is a data set of its own"
    if len(places) <= _FEW or all(is_numbered_set(place.name) for place in places):
        raise ComponentError(message, field, help)
    return [f"{message}; the classes are the {len(places)} folders, not those in them"]


def refuse_inner_sets(folder: Path, names: Sequence[str], field: str, whole: bool) -> None:
    """Raise ComponentError where images that would be trained lie in a folder that looks like a set to hold out.

    `names` are paths below the folder, of files whose names hold the class; `whole` says that the sets may be any
    folders, not only those in `folder` itself.
    """
    for place in dict.fromkeys(os.path.dirname(name) for name in names):
        parts = Path(place).parts
        for depth, name in enumerate(parts, 1):
            role = role_of(name)
            if role in (None, "train") or is_weak(name):
                continue
            inner = os.path.join(*parts[:depth])
            path = folder / inner
            message = (
                f"in {folder}, `{printable(inner)}` looks like a {TITLES[str(role)]}, and its images would be trained"
            )
            if whole:
                help = f'{role} = "{printable(str(path))}" holds it out; or give the path of one of the folders'
            else:
                help = f'"{printable(str(path.parent))}" as the path, and {role} = "{printable(name)}", hold it out'
            raise ComponentError(message, field, help)


def _path_of(place: Path) -> str:
    return f'give its path: "{printable(str(place))}"'


def _as_classes(folders: Sequence[Path]) -> str:
    listed = ", ".join(f'"{printable(one.name)}"' for one in folders[:3]) + (", …" if len(folders) > 3 else "")
    return f"classes = [{listed}]"
