"""Pairs of a user and an item as `predict` is given them: one by one, or in files of any length."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl
from dotexp import ComponentError, Params, UsageError
from dotexp.sdk.names import composed
from dotexp.sdk.tables import Block, RowFaults, Table, TextFormat, open_table, read_lines, refuse_rows

from dotexp_collab.data.headers import Role, is_number, role_of
from dotexp_collab.data.vocabulary import is_plain, show_pairs, written_otherwise

_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".gz")
_KEPT = 1000
"""Ids of a file that are compared with the run's where it knows none."""
_SEPARATORS = ("\t", ",", ";", "|", "::")
_PAIR = "write USER:ITEM (196:242), or name a file of pairs: .csv, .tsv, .txt, plain or gzip, or .parquet"

Pair = tuple[str, str]


@dataclass(frozen=True)
class TrainedIds:
    """What a run knows of ratings: how its data was written, its column names, and codes of users and items by id."""

    params: Params
    columns: Mapping[str, str]
    users: Mapping[str, int]
    items: Mapping[str, int]

    def number(self, role: Role) -> int | None:
        """Return the number of the column that the run took for a role; None where it took it by name."""
        column = getattr(self.params, role, None)
        return column if isinstance(column, int) else None

    def name(self, role: Role) -> str:
        """Return the name of the column that the run took for a role, "" where there was none."""
        column = getattr(self.params, role, None)
        return column if isinstance(column, str) else self.columns.get(role, "")


class Unreadable(NamedTuple):
    """A row that is no pair: what stands there, and why it is none."""

    text: str
    reason: str


class Pairs:
    """The pairs that some inputs name, in their order; a file is read in blocks, anew at each iteration.

    An input is a pair, as a tuple or USER:ITEM, or a file: a table of users and items as the run's ratings are, or a
    .txt file with one USER:ITEM a line. All files are read through when this is made. Raises UsageError for an input
    that is neither, and for a file that is no table of pairs or of which the run knows no user and no item; while
    iterating, before the first pair, for files with rows that are no pairs.
    """

    def __init__(self, inputs: Sequence[str | Pair], trained: TrainedIds) -> None:
        self._sources: list[_File | Pair] = [
            given if isinstance(given, tuple) else _source(given, trained) for given in inputs
        ]

    def __iter__(self) -> Iterator[Pair]:
        try:
            refuse_rows([source.faults for source in self._sources if isinstance(source, _File)])
        except ComponentError as error:
            raise _usage_error(error) from error
        for found in self.read():
            if not isinstance(found, Unreadable):
                yield found

    def read(self) -> Iterator[Pair | Unreadable]:
        """Yield every pair, and what is none in its place."""
        for source in self._sources:
            if isinstance(source, tuple):
                yield source
            else:
                yield from source

    def count(self) -> int:
        """Count the pairs, with those that are none."""
        return sum(1 if isinstance(source, tuple) else source.faults.rows for source in self._sources)


class _File:
    """Pairs of a file; `faults` are the rows that are none."""

    def __init__(self, path: Path, unit: str, blocks: Callable[[], Iterator[Block]], trained: TrainedIds) -> None:
        self.path = path
        self.faults = RowFaults(str(path), "inputs", unit)
        self._blocks = blocks
        sample = _Sample(trained)
        for block in blocks():
            why = block.frame["why"]
            self.faults.see(block.lines, why if why.null_count() < len(why) else None)
            sample.add(block.frame.filter(pl.col("why").is_null()))
        sample.require_known(path)

    def __iter__(self) -> Iterator[Pair | Unreadable]:
        for block in self._blocks():
            frame = block.frame
            for line, user, item, why in zip(block.lines, frame["0"], frame["1"], frame["why"], strict=True):
                if why is None:
                    yield user, item
                else:
                    yield Unreadable(f"{user or ''} {item or ''}".strip(), f"{self.path}:{line}: {why}")


def _source(text: str, trained: TrainedIds) -> _File | Pair:
    path = Path(text)
    if not _is_file(path):
        _require_no_path(text, path)
        return _pair(text)
    try:
        if path.name.lower().removesuffix(".gz").endswith(".txt"):
            return _File(path, "line", partial(_lines, path, getattr(trained.params, "encoding", "utf-8")), trained)
        form, table = _opened(path, trained)
        return _File(path, table.unit, partial(_rows, path, form, _columns(table, trained)), trained)
    except ComponentError as error:
        raise _usage_error(error) from error


def _is_file(path: Path) -> bool:
    try:
        return (path.suffix.lower() in _SUFFIXES or ":" not in str(path)) and path.is_file()
    except (OSError, ValueError):  # a long title is no file's name
        return False


def _require_no_path(text: str, path: Path) -> None:
    """Raise UsageError for text that is the name of a file, or of a folder, and no pair."""
    if ":" in text:
        return
    if os.path.isdir(text):
        raise UsageError(f"{text} is a folder: name its files of pairs")
    if path.suffix.lower() in _SUFFIXES or len(path.parts) > 1:
        there = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        near = get_close_matches(path.name, there, n=1)
        raise UsageError(f"there is no file {text}" + (f": did you mean {path.with_name(near[0])}?" if near else ""))


def _usage_error(error: ComponentError) -> UsageError:
    return UsageError(f"{error.problem.message}\n{error.problem.help}".strip())


def _pair(text: str) -> Pair:
    user, _, item = (part.strip() for part in text.partition(":"))
    if not (user and item):
        raise UsageError(f"`{text}` is no pair of a user and an item: {_PAIR}")
    return user, item


def _lines(path: Path, encoding: str) -> Iterator[Block]:
    """Yield the rows of a text file with one USER:ITEM a line."""
    lines = read_lines(path, "inputs", encoding, encoding_field="")
    text = pl.DataFrame({"text": lines, "line": range(1, len(lines) + 1)}, schema={"text": pl.String, "line": pl.Int64})
    text = text.filter(pl.col("text").str.strip_chars().str.len_bytes() > 0)
    user, item = (pl.col("text").str.extract(r"^([^:]*):(.*)$", group).str.strip_chars() for group in (1, 2))
    frame = text.select(
        user.alias("0"),
        item.alias("1"),
        pl.when((user.str.len_bytes() > 0) & (item.str.len_bytes() > 0))
        .then(None)
        .otherwise(pl.format("`{}` is no USER:ITEM", pl.col("text").str.strip_chars()))
        .alias("why"),
    )
    yield Block(frame, text["line"])


def _rows(path: Path, form: TextFormat, columns: tuple[int, int]) -> Iterator[Block]:
    """Yield the rows of a table, with the fault of each in the column `why`."""
    table = open_table(path, "inputs", form)
    reasons = (
        pl.when(pl.col("0").is_null()).then(pl.lit("no user")),
        pl.when(pl.col("1").is_null()).then(pl.lit("no item")),
        pl.when(pl.col("over").is_not_null()).then(pl.lit(f"more than {table.width} fields")),
    )
    for block in table.blocks(columns):
        why = pl.concat_str(*reasons, separator=", ", ignore_nulls=True)
        yield Block(block.frame.with_columns(why=pl.when(why.str.len_bytes() > 0).then(why)), block.lines)


def _opened(path: Path, trained: TrainedIds) -> tuple[TextFormat, Table]:
    """Open a table with the first separator that cuts its first line: its suffix's, the run's own, the usual ones."""
    header = partial(_is_header, trained)
    encoding = getattr(trained.params, "encoding", "utf-8")
    own = getattr(trained.params, "separator", ",")
    quotes = getattr(trained.params, "quotes", True)
    by_suffix = {".csv": ",", ".tsv": "\t"}.get(Path(path.name.lower().removesuffix(".gz")).suffix, own)
    for separator in dict.fromkeys((by_suffix, own, *_SEPARATORS)):
        form = TextFormat(separator, quotes, encoding, header, encoding_field="", quotes_field="", separator_field="")
        table = open_table(path, "inputs", form)
        if table.width > 1:
            return form, table
    raise ComponentError(f"{path} has one column, where pairs have a user and an item", field="inputs", help=_PAIR)


def _is_header(trained: TrainedIds, rows: Sequence[Sequence[str]]) -> bool:
    """Decide whether the first row names the columns: by the run's names, by usual ones, or where ids are numbers."""
    first = [cell.casefold() for cell in rows[0]]
    names = [trained.name(role).casefold() for role in (Role.user, Role.item)]
    roles = [role_of(cell) for cell in rows[0]]
    if all(name and name in first for name in names) or (Role.user in roles and Role.item in roles):
        return True
    numbers = is_plain(list(trained.users)) and is_plain(list(trained.items))
    return numbers and not any(is_number(cell) for cell in rows[0] if cell)


def _columns(table: Table, trained: TrainedIds) -> tuple[int, int]:
    """Return the numbers of the columns of users and items.

    Raises ComponentError (E402) for a header that does not name both.
    """
    user, item = (_named(table.header or (), trained, role) for role in (Role.user, Role.item))
    if user is None and item is None:
        return _by_number(table, trained)
    if table.width == 2 and (user is None or item is None):
        user, item = (1 - item if user is None and item is not None else user), (1 - user if user is not None else item)
    if user is not None and item is not None and user != item:
        return user, item
    wanted = " and ".join(f"`{trained.name(role) or role}`" for role in (Role.user, Role.item))
    message = f"{table.path} does not say which of its columns are users and items: {', '.join(table.header or ())}"
    raise ComponentError(message, field="inputs", help=f"call them {wanted}")


def _by_number(table: Table, trained: TrainedIds) -> tuple[int, int]:
    """Return the run's own numbers where the table is as wide as its ratings, else users first and items second."""
    user, item, rating = (trained.number(role) for role in (Role.user, Role.item, Role.rating))
    if user is None or item is None or rating is None or max(user, item, rating) >= table.width:
        return 0, 1
    return user, item


def _named(header: Sequence[str], trained: TrainedIds, role: Role) -> int | None:
    own = trained.name(role).casefold()
    by_name = [number for number, name in enumerate(header) if own and name.casefold() == own]
    by_role = [number for number, name in enumerate(header) if role_of(name) is role]
    return next(iter(by_name or by_role), None)


class _Sample:
    """The first ids of a file, kept for as long as the run knows none of them."""

    def __init__(self, trained: TrainedIds) -> None:
        self._trained = trained
        self._users: dict[str, None] = {}
        self._items: dict[str, None] = {}
        self._known = False

    def add(self, pairs: pl.DataFrame) -> None:
        """Look for ids that the run knows."""
        if self._known:
            return
        for column, known, kept in (
            ("0", self._trained.users, self._users),
            ("1", self._trained.items, self._items),
        ):
            ids = pairs[column].unique(maintain_order=True)
            self._known = self._known or any(composed(one) in known for one in ids)
            kept.update(dict.fromkeys(ids.head(_KEPT - len(kept)) if len(kept) < _KEPT else ()))

    def require_known(self, path: Path) -> None:
        """Raise ComponentError (E402) where the run knows no user and no item."""
        if self._known or not self._users:
            return
        users, items = self._trained.users, self._trained.items
        pairs = [*written_otherwise(list(self._users), list(users)), *written_otherwise(list(self._items), list(items))]
        if any(user in items for user in self._users) and any(item in users for item in self._items):
            cure = "users are in the first column, items in the second, unless a header names them"
        elif pairs:
            cure = f"ids are written otherwise: {show_pairs(pairs)}"
        else:
            known, strange = next(iter(users), ""), next(iter(self._users))
            cure = f"a user of the training set is {json.dumps(known)}, one of the file {json.dumps(strange)}"
        raise ComponentError(f"the run knows no user and no item of {path}", field="inputs", help=cure)
