"""Images that a table labels, or a pattern in their names, as data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from dotexp import ComponentError, DataContext, Task, Use
from dotexp.sdk.tables import TextFormat, WholeTable, read_lines, read_table

from dotexp_vision.data.cache import FileReader
from dotexp_vision.data.dataset import Found, ImageData, assemble
from dotexp_vision.data.files import SUFFIXES, Search, some
from dotexp_vision.data.folder import label_in
from dotexp_vision.data.list_params import ImageListParams
from dotexp_vision.data.params import OnBad, one_group
from dotexp_vision.data.targets import Example, Label

_YES = ("1", "true", "yes")
_NO = ("", "0", "false", "no")
_PARTS = {"valid": ("valid", "val", "validation"), "test": ("test",), "train": ("train", "training")}


class _Fault(NamedTuple):
    """Why a row's label cannot be used."""

    reason: str


def build(params: ImageListParams, context: DataContext) -> ImageData:
    """Read the table or the folder, split the images and read them. Raises ComponentError (E401, E402)."""
    folder = params.table.is_dir()
    root = params.path or (params.table if folder else params.table.parent)
    if not root.is_dir():
        raise ComponentError(f"there is no folder {root}", "path", code="E401")
    table = None if folder else _table(params, params.table, "table")
    examples = _in_folder(params, params.table, root, "table") if table is None else _in_table(params, table, root)
    pool = {example.identity: example for example in examples}
    parts = {}
    for part, held_out in (("test", params.test), ("valid", params.valid)):
        if held_out is None or isinstance(held_out, (int, float)):
            continue
        if isinstance(held_out, Use):
            parts[part] = _by_column(held_out, table, examples, part)
        elif held_out.is_dir():
            parts[part] = _by_folder(params, held_out, root, pool, part, table is None)
        elif held_out.suffix.lower() == ".txt":
            parts[part] = _by_names(params, held_out, pool, part)
        else:
            parts[part] = _by_table(params, held_out, root, pool, part)
        pool = _without(pool, parts[part], part)
    held = {part: _sorted(of_part) for part, of_part in parts.items()}
    found = Found(params.task, _sorted(pool.values()), held, FileReader(root), str(root), "table")
    return assemble(params, found, context)


def _table(params: ImageListParams, path: Path, field: str) -> WholeTable:
    separator = params.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
    form = TextFormat(separator, encoding=params.encoding, header=params.header, quotes_field="")
    return read_table(path, field, form, second=field != "table")


def _in_folder(params: ImageListParams, folder: Path, root: Path, field: str) -> list[Example]:
    if not isinstance(params.label, str):
        wanted = 'say how their names hold it: label = r"(.+)_\\d+\\.jpg$"'
        raise ComponentError(f"{folder} is a folder of images, and nothing says what their labels are", field, wanted)
    pattern, examples, nameless = _pattern(params.label), [], []
    for path in Search(field).images(folder):
        identity = os.path.relpath(path, root)
        text = label_in(path.name, pattern)
        if text is None:
            nameless.append(identity)
        else:
            examples.append(Example(identity, _split(params, text)))
    if nameless:
        message = f"the pattern finds no class in {len(nameless)} of the names in {folder}: {some(nameless)}"
        raise ComponentError(message, "label")
    if not examples:
        raise ComponentError(f"{folder} has no images", field, f"they end in {', '.join(sorted(SUFFIXES))}")
    return examples


def _in_table(params: ImageListParams, table: WholeTable, root: Path) -> list[Example]:
    """Examples of a table, a row each; raises ComponentError with all the rows that cannot be used."""
    label_of = _labels(params, table)
    examples: list[Example] = []
    first: dict[str, int] = {}
    faults = list(_unclear(params, table)) if table.field == "table" else []
    missing = []
    for row, name in enumerate(table.column(params.image, "image")):
        identity = os.path.normpath(name + params.suffix) if name else ""
        label = label_of(row, identity)
        if not name:
            faults.append((row, "no file name"))
        elif identity in first:
            faults.append((row, f"{identity} stands in {table.place(first[identity])} already"))
        elif params.on_bad is OnBad.error and not (root / identity).is_file():
            faults.append((row, f"there is no file {identity}"))
            missing.append(identity)
        if isinstance(label, _Fault):
            faults.append((row, label.reason))
        else:
            examples.append(Example(identity, label))
        first.setdefault(identity, row)
    table.refuse(faults, _where(root, missing))
    return examples


def _where(root: Path, missing: Sequence[str]) -> str:
    """Say where files that were not found were looked for, and what would find the first."""
    if not missing:
        return ""
    for suffix in sorted(SUFFIXES):
        if (root / (missing[0] + suffix)).is_file():
            return f'the files end in {suffix}: suffix = "{suffix}"'
    return f"files were looked for in {root}: path = … says where else, and on_bad = skip leaves missing ones out"


def _labels(params: ImageListParams, table: WholeTable) -> Callable[[int, str], Label | _Fault]:
    """Return what tells a row's label, by its number and the image's identity."""
    if params.task is Task.regression:
        columns = [table.column(column, "target") for column in params.targets]
        return lambda row, _: _numbers([column[row] for column in columns])
    label = 1 if params.label is None else params.label
    if isinstance(label, str) and not table.has(label) and "(" in label:
        pattern = _pattern(label)
        return lambda _, identity: _label(params, label_in(Path(identity).name, pattern), "the pattern finds no class")
    cells = table.column(label, "label")
    return lambda row, _: _label(params, cells[row], "no label")


def _pattern(text: str) -> str:
    try:
        return one_group(text)
    except ValueError as error:
        raise ComponentError(str(error), "label") from None


def _label(params: ImageListParams, text: str | None, otherwise: str) -> Label | _Fault:
    if text is None or (not text and params.label_separator is None):
        return _Fault(otherwise)
    return _split(params, text)


def _split(params: ImageListParams, text: str) -> Label:
    if params.label_separator is None:
        return text
    return tuple(dict.fromkeys(label for each in text.split(params.label_separator) if (label := each.strip())))


def _numbers(cells: Sequence[str]) -> Label | _Fault:
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell))
        except ValueError:
            return _Fault(f"target `{cell}` is not a number" if cell else "no target")
    return tuple(numbers) if all(map(isfinite, numbers)) else _Fault("a target that is not a finite number")


def _by_column(use: Use, table: WholeTable | None, examples: Sequence[Example], part: str) -> list[Example]:
    """Take the rows whose column holds 1, true or the part's own name."""
    if table is None:
        raise ComponentError(f"`{use.name}` names a column, and a folder has none", part)
    cells = _cells(use, table, part)
    return [e for e, cell in zip(examples, cells, strict=True) if cell in _YES or cell in _PARTS[part]]


def _cells(use: Use, table: WholeTable, part: str) -> list[str]:
    wanted = dict(use.params).get("column")
    if not isinstance(wanted, (int, str)):
        raise ComponentError(f"`{use.name}` says nothing of a column", part)
    return [cell.lower() for cell in table.column(wanted, part)]


def _unclear(params: ImageListParams, table: WholeTable) -> Iterator[tuple[int, str]]:
    """Rows of which a column does not say whether they are held out."""
    known = (*_YES, *_NO, *(name for names in _PARTS.values() for name in names))
    for part, use in (("valid", params.valid), ("test", params.test)):
        if isinstance(use, Use):
            for row, cell in enumerate(_cells(use, table, part)):
                if cell not in known:
                    yield row, f"`{cell}` says neither that it is held out nor that it is not"


def _by_folder(
    params: ImageListParams, folder: Path, root: Path, pool: Mapping[str, Example], part: str, labelled: bool
) -> list[Example]:
    """Take the listed images in a folder and below; where no table lists them, those that the pattern labels."""
    inside = os.path.relpath(folder, root)
    found = [pool[identity] for identity in pool if Path(identity).is_relative_to(inside)]
    if not found and labelled:
        return _in_folder(params, folder, root, part)
    if not found:
        raise ComponentError(f"no image of the table is in {folder}", part)
    return found


def _by_names(params: ImageListParams, path: Path, pool: Mapping[str, Example], part: str) -> list[Example]:
    """Take the images that a text file names, a name a line."""
    names = [line.strip() for line in read_lines(path, part, params.encoding)]
    lines = {os.path.normpath(name + params.suffix): number for number, name in enumerate(names, 1) if name}
    unknown = [f"line {number}: {name}" for name, number in lines.items() if name not in pool]
    if unknown:
        raise ComponentError(f"{path} names images that there are not to take: {some(unknown)}", part)
    if not lines:
        raise ComponentError(f"{path} names no image", part)
    return [pool[name] for name in lines]


def _by_table(params: ImageListParams, path: Path, root: Path, pool: Mapping[str, Example], part: str) -> list[Example]:
    """Read a table of the same form; none of its images may be in the first one."""
    table = _table(params, path, part)
    found = _in_table(params, table, root)
    both = [(row, f"{e.identity} is in {params.table.name}, too") for row, e in enumerate(found) if e.identity in pool]
    table.refuse(both, "a .txt file, with a name a line, takes images out of the first table")
    return found


def _without(pool: Mapping[str, Example], taken: Iterable[Example], part: str) -> dict[str, Example]:
    names = {example.identity for example in taken}
    rest = {identity: example for identity, example in pool.items() if identity not in names}
    if not names or not rest:
        raise ComponentError(f"the {part} part takes {'every image' if names else 'no image'}", part)
    return rest


def _sorted(examples: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=lambda example: example.identity))
