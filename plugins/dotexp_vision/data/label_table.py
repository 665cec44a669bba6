"""Tables of images: which row is a header, which columns name the files and hold the labels, and a row's label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from dotexp import ComponentError, Use
from dotexp.sdk.names import composed
from dotexp.sdk.set_names import NO, YES, marked_set, names_split, role_of
from dotexp.sdk.tables import TextFormat, read_table

from dotexp_vision.data.files import has_image_suffix
from dotexp_vision.data.folder import label_in
from dotexp_vision.data.list_params import ImageListParams
from dotexp_vision.data.lookup import FileNames
from dotexp_vision.data.params import OnBad, one_group
from dotexp_vision.data.targets import Example, Label

_LABELS = ("label", "labels", "class", "classes", "category", "tag", "tags", "breed", "species", "target", "y")
_SHOWN = 5


class Fault(NamedTuple):
    """Why a row's label cannot be used."""

    reason: str


class LabelTable:
    """A table of images, and what was decided about it: `guesses` as in `DataFacts`, by parameter, and `notes`.

    `field` is the parameter that named the file. Raises ComponentError: E401 for no such file, E402 for no table.
    """

    def __init__(self, params: ImageListParams, path: Path, field: str, names: FileNames) -> None:
        self.params = params
        self.names = names
        self.notes: list[str] = []
        self.guesses: dict[str, str] = {}
        self._first = ""
        separator = params.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
        header = params.header if isinstance(params.header, bool) else self._names_columns
        form = TextFormat(separator, encoding=params.encoding, header=header, quotes_field="")
        self.table = read_table(path, field, form, second=field != "table")
        self._guess_columns()

    def examples(self) -> list[Example]:
        """Read a row's image and label each; raises ComponentError with all the rows that cannot be used."""
        params, table = self.params, self.table
        label_of = self._labels()
        examples: list[Example] = []
        first: dict[str, int] = {}
        faults = list(self._unclear()) if table.field == "table" else []
        missing = []
        for row, name in enumerate(table.column(params.image, "image")):
            found = self.names.find(name + params.suffix) if name else None
            identity = found or composed(name + params.suffix)
            label = label_of(row, identity)
            if not name:
                faults.append((row, "no file name"))
            elif found is None and params.on_bad is OnBad.error:
                faults.append((row, f"there is no file {identity}"))
                missing.append(identity)
            elif identity in first:
                faults.append((row, f"{identity} stands in {table.place(first[identity])} already"))
            if isinstance(label, Fault):
                faults.append((row, label.reason))
            else:
                examples.append(Example(identity, label))
            first.setdefault(identity, row)
        table.refuse(faults, self._advice(missing))
        return examples

    def cells(self, use: Use, part: str) -> list[str]:
        """Return the column that a split names.

        Raises ComponentError for a column of yes and no whose name says that it marks the rows to train with.
        """
        column = use.build()
        cells = list(self.table.column(column, part))
        header = self.table.header or ()
        name = header[column] if isinstance(column, int) and column < len(header) else str(column)
        if role_of(name) == "train" and {cell.lower() for cell in cells} & {*YES, *NO} and not any(map(role_of, cells)):
            message = f"the column `{name}` marks the training set, and `{part}` takes the rows that are marked"
            raise ComponentError(message, part, "give a column that marks the rows to hold out")
        return cells

    def _names_columns(self, rows: Sequence[Sequence[str]]) -> bool:
        """Decide whether the first row names the columns; keep the decision with its reason as a guess."""
        params, first, others = self.params, rows[0], rows[1:]
        image = params.image
        if isinstance(image, str) or (isinstance(params.label, str) and params.label in first):
            return True
        if params.target is not None and any(isinstance(column, str) for column in params.targets):
            return True
        if any(isinstance(column, str) for column in _split_columns(params)):
            return True
        reason = self._data_reason(first, others, image)
        listed = ", ".join(f"`{cell}`" for cell in first[:_SHOWN]) + (", …" if len(first) > _SHOWN else "")
        self.guesses["header"] = f"false ({reason})" if reason else f"true (the first row names the columns: {listed})"
        return not reason

    def _data_reason(self, first: Sequence[str], others: Sequence[Sequence[str]], image: int) -> str:
        """Say why the first row is an image's, not names of columns; "" where it names columns."""
        if image >= len(first):
            return ""
        cell = first[image]
        if cell and self.names.find(cell + self.params.suffix) is not None:
            return f"`{cell}` in the first row is an image file"
        if has_image_suffix(cell):
            return f"`{cell}` in the first row is an image's name"
        columns = [column for column in self.params.targets if isinstance(column, int) and column < len(first)]
        if columns and all(_is_number(first[column]) for column in columns):
            return f"`{first[columns[0]]}` in the first row is a number to learn"
        label = 1 if self.params.label is None else self.params.label
        at_label = label if isinstance(label, int) and not self.params.targets and label < len(first) else None
        rows = [row for row in others if len(row) > image]
        if at_label is not None and any(row[at_label] == first[at_label] for row in rows if len(row) > at_label):
            return f"`{first[at_label]}` in the first row is a class that other rows have"
        if rows and _is_id(cell) and all(_shape(row[image]) == _shape(cell) for row in rows):
            return f"`{cell}` in the first row is written as the names of the other rows"
        return ""

    def _guess_columns(self) -> None:
        """Keep the columns taken where the spec names none, by the names that the header gives them."""
        header, params = self.table.header, self.params
        if header is None or self.table.field != "table":
            return
        wanted = {"image": params.image} if "image" not in params.model_fields_set else {}
        if not params.targets and params.label is None:
            wanted["label"] = 1
            named = [name for name in header if name.lower() in _LABELS]
            if named and len(header) > 1 and header[1].lower() not in _LABELS:
                self.notes.append(
                    f"the labels are taken from column 1, `{header[1]}`, and another column is called `{named[0]}`: "
                    f'label = "{named[0]}" takes that'
                )
        for parameter, column in wanted.items():
            if isinstance(column, int) and column < len(header):
                self.guesses[parameter] = f'"{header[column]}" (column {column})'

    def unused_split(self) -> Iterator[str]:
        """Yield a note for each column that marks rows as of a set of the data, and that the spec does not use."""
        header, params = self.table.header, self.params
        used = {*_split_columns(params), params.image, params.label, *params.targets}
        for number, name in enumerate(header or ()):
            if number in used or name in used or not names_split(name):
                continue
            roles = Counter(marked_set(cell, name) for cell in self.table.column(number, "table") if cell)
            marked = [role for role in ("valid", "test", "held out") if roles[role]]
            if marked:
                counts = " and ".join(f"{roles[role]} row{'s' * (roles[role] > 1)} as {role}" for role in marked)
                if marked == ["held out"]:
                    way = "valid = column(…) takes a column of the rows to hold out"
                else:
                    way = ", ".join(f'{role} = column("{name}")' for role in marked)
                yield f"the column `{name}` marks {counts}, and the spec does not use it: {way}"

    def _labels(self) -> Callable[[int, str], Label | Fault]:
        """Return a function that reads a row's label, by its number and the image's identity."""
        params, table = self.params, self.table
        if params.task == "regression":
            columns = [table.column(column, "target") for column in params.targets]
            return lambda row, _: _numbers([column[row] for column in columns])
        label = 1 if params.label is None else params.label
        if isinstance(label, str) and not table.has(label) and "(" in label:
            pattern = checked_pattern(label)
            return lambda _, identity: _label(
                params, label_in(Path(identity).name, pattern), "the pattern finds no class"
            )
        cells = table.column(label, "label")
        spellings = set(cells)
        for cell in sorted(spellings & {composed(cell) for cell in spellings if composed(cell) != cell}):
            self.notes.append(f"the class `{cell}` is written in two Unicode forms, which are taken for one class")
        return lambda row, _: _label(params, composed(cells[row]), "no label")

    def _unclear(self) -> Iterator[tuple[int, str]]:
        """Rows of which a column does not say whether they are held out."""
        for part, use in (("valid", self.params.valid), ("test", self.params.test)):
            if isinstance(use, Use):
                for row, cell in enumerate(self.cells(use, part)):
                    if cell and cell.lower() not in (*YES, *NO) and role_of(cell) is None:
                        yield row, f"`{cell}` says neither that it is held out nor that it is not"

    def _advice(self, missing: Sequence[str]) -> str:
        if not missing:
            return ""
        header = self.table.header or ()
        for number, name in enumerate(header if len(missing) == len(self.table) else ()):
            cells = [cell for cell in self.table.column(number, "image")[:_SHOWN] if cell]
            if cells and all(self.names.find(cell + self.params.suffix) is not None for cell in cells):
                return f'the column `{name}` holds names of files: image = "{name}"'
        return self.names.advice(missing)


def checked_pattern(text: str) -> str:
    """Return a pattern with one group; raises ComponentError, naming `label`, for any other."""
    try:
        return one_group(text)
    except ValueError as error:
        raise ComponentError(str(error), "label") from None


def split_label(params: ImageListParams, text: str) -> Label:
    """Return the label that a text gives: itself, or the labels between the separators."""
    if params.label_separator is None:
        return text
    return tuple(dict.fromkeys(label for each in text.split(params.label_separator) if (label := each.strip())))


def _split_columns(params: ImageListParams) -> list[int | str | None]:
    return [use.build() for use in (params.valid, params.test) if isinstance(use, Use)]


def _label(params: ImageListParams, text: str | None, otherwise: str) -> Label | Fault:
    if text is None or (not text and params.label_separator is None):
        return Fault(otherwise)
    return split_label(params, text)


def _numbers(cells: Sequence[str]) -> Label | Fault:
    numbers = []
    for cell in cells:
        if not _is_number(cell):
            return Fault(f"target `{cell}` is not a number" if cell else "no target")
        numbers.append(float(cell))
    return tuple(numbers) if all(map(isfinite, numbers)) else Fault("a target that is not a finite number")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_id(cell: str) -> bool:
    return any(character.isdigit() for character in cell)


def _shape(cell: str) -> tuple[bool, int]:
    """What names of one kind have in common: numbers are numbers, other ids are of one length."""
    return (True, 0) if cell.isdigit() else (False, len(cell))
