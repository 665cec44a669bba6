"""Pairs of a user and an item as `predict` is given them: one by one, or in files of any length."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from dotexp import UsageError

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}

Pair = tuple[str, str]


class Unreadable(NamedTuple):
    """A pair of another form: what stands in its place, and why it is none."""

    text: str
    reason: str


class Pairs:
    """The pairs that some inputs name, in their order; a file is read line by line, anew each time they are asked for.

    A .csv or .tsv file has the user in its first column and the item in its second (a first line `user`, `item` is a
    header); a .txt file has one USER:ITEM a line. An input may also be a pair itself. Raises UsageError for one of
    another form when this is made, and while iterating for one in a file.
    """

    def __init__(self, inputs: Sequence[str | Pair]) -> None:
        self._sources: list[Path | Pair] = [
            given if isinstance(given, tuple) else _file(given) or _pair(given) for given in inputs
        ]

    def __iter__(self) -> Iterator[Pair]:
        for found in self.read():
            if isinstance(found, Unreadable):
                raise UsageError(found.reason)
            yield found

    def read(self) -> Iterator[Pair | Unreadable]:
        """Yield every pair, and what is none in its place."""
        for source in self._sources:
            if isinstance(source, Path):
                yield from _pairs_of_file(source)
            else:
                yield source

    def count(self) -> int:
        """Count the lines of the files and the other pairs: about how many pairs there are."""
        return sum(_lines(source) if isinstance(source, Path) else 1 for source in self._sources)


def _file(text: str) -> Path | None:
    path = Path(text)
    return path if path.suffix.lower() in _SEPARATORS and path.is_file() else None


def _pair(text: str) -> Pair:
    found = _parsed(text, "")
    if isinstance(found, Unreadable):
        raise UsageError(found.reason)
    return found


def _parsed(text: str, where: str) -> Pair | Unreadable:
    user, _, item = (part.strip() for part in text.partition(":"))
    if user and item:
        return user, item
    form = "write USER:ITEM (196:242), or name a .csv, .tsv or .txt file of pairs"
    return Unreadable(text, f"{where}`{text}` is no pair of a user and an item: {form}")


def _pairs_of_file(path: Path) -> Iterator[Pair | Unreadable]:
    separator = _SEPARATORS[path.suffix.lower()]
    with _opened(path) as file:
        if separator is None:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parsed(line.strip(), f"{path}:{number}: ")
            return
        reader = csv.reader(file, delimiter=separator)
        first = True
        for row in reader:
            if any(row):
                pair = _fields(row, f"{path}:{reader.line_num}")
                if not (first and tuple(name.lower() for name in pair) == ("user", "item")):
                    yield pair
                first = False


def _lines(path: Path) -> int:
    with _opened(path), path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as text: {error}") from None


def _fields(row: Sequence[str], where: str) -> Pair | Unreadable:
    user, item = [*(field.strip() for field in row[:2]), "", ""][:2]
    if user and item:
        return user, item
    reason = f"{where}: a line has a user and an item, and this one has {len(row)} field(s): {row}"
    return Unreadable(" ".join(row), reason)
