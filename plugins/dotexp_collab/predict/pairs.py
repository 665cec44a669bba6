"""Pairs of a user and an item as `predict` is given them: one by one, or in files of any length."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dotexp import UsageError

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}

Pair = tuple[str, str]


class Pairs:
    """The pairs that some inputs name, in their order; a file is read line by line, anew each time they are asked for.

    A .csv or .tsv file has the user in its first column and the item in its second (a first line `user`, `item` is a
    header); a .txt file has one USER:ITEM a line. Raises UsageError for a pair of another form, as soon as it is met;
    those that stand in no file are looked at when this is made.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self._sources: list[Path | Pair] = [_file(text) or _pair(text) for text in inputs]

    def __iter__(self) -> Iterator[Pair]:
        for source in self._sources:
            if isinstance(source, Path):
                yield from _pairs_of_file(source)
            else:
                yield source


def _file(text: str) -> Path | None:
    path = Path(text)
    return path if path.suffix.lower() in _SEPARATORS and path.is_file() else None


def _pair(text: str, where: str = "") -> Pair:
    user, _, item = (part.strip() for part in text.partition(":"))
    if not (user and item):
        raise UsageError(
            f"{where}`{text}` is no pair of a user and an item: write USER:ITEM (196:242), "
            "or name a .csv, .tsv or .txt file of pairs"
        )
    return user, item


def _pairs_of_file(path: Path) -> Iterator[Pair]:
    separator = _SEPARATORS[path.suffix.lower()]
    with _opened(path) as file:
        if separator is None:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _pair(line.strip(), f"{path}:{number}: ")
            return
        reader = csv.reader(file, delimiter=separator)
        first = True
        for row in reader:
            if any(row):
                pair = _fields(row, f"{path}:{reader.line_num}")
                if not (first and tuple(name.lower() for name in pair) == ("user", "item")):
                    yield pair
                first = False


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as text: {error}") from None


def _fields(row: Sequence[str], where: str) -> Pair:
    user, item = [*(field.strip() for field in row[:2]), "", ""][:2]
    if not (user and item):
        raise UsageError(f"{where}: a line has a user and an item, and this one has {len(row)} field(s): {row}")
    return user, item
