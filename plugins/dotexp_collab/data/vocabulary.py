"""Ids of users and items: numbered as they are read, coded by the training set, compared as a reader's eye does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from dotexp.sdk.names import composed, name_notes, printable, skeleton
from numpy.typing import NDArray

from dotexp_collab.data.columns import Codes, Labelled, chunks

_TABLE = 1 << 22
"""Whole numbers below this are looked up in a table, other ids in a dictionary."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_SHOWN = 3
_MISSING = frozenset({"nan", "na", "n/a", "<na>", "nat", "none", "null", "nil", "#n/a", "undefined"})


class IdNumbers:
    """Gives every id, a text, a number from 0 in the order of first appearance; ids are compared in NFC.

    Whole numbers without leading zeros (`7`, not `07`), as most ids are, go through a table.
    """

    def __init__(self) -> None:
        self._table = np.full(1, -1, np.int32)
        self._others: dict[str, int] = {}
        self._written: dict[str, str] = {}
        self._pieces: list[list[str] | NDArray[np.int64]] = []
        self._count = 0
        self.twins: dict[str, None] = {}
        """Ids, in NFC, that the files write in more than one normal form."""

    def __len__(self) -> int:
        return self._count

    @property
    def texts(self) -> list[str]:
        """The ids in the order of their numbers."""
        return [str(one) for piece in self._pieces for one in (piece if isinstance(piece, list) else piece.tolist())]

    def numbers(self, ids: pl.Series) -> Codes:
        """Number a block of ids, of which none is null."""
        whole = ids.cast(pl.Int64, strict=False)
        plain = ((whole.cast(pl.String) == ids) & (whole >= 0) & (whole < _TABLE)).fill_null(False)
        if plain.all():
            return self._of_table(whole.to_numpy())
        mask = plain.to_numpy()
        numbers = np.empty(len(ids), np.int32)
        numbers[mask] = self._of_table(whole.filter(plain).to_numpy())
        numbers[~mask] = self._of_texts(ids.filter(~plain))
        return numbers

    def _of_table(self, values: NDArray[np.int64]) -> Codes:
        if not len(values):
            return np.empty(0, np.int32)
        if (largest := int(values.max())) >= len(self._table):
            more = min(_TABLE, max(largest + 1, 2 * len(self._table))) - len(self._table)
            self._table = np.append(self._table, np.full(more, -1, np.int32))
        new = np.unique(values[self._table[values] < 0])
        if len(new):
            self._table[new] = np.arange(self._count, self._count + len(new))
            self._pieces.append(new)
            self._count += len(new)
        return self._table[values]

    def _of_texts(self, texts: pl.Series) -> Codes:
        different = texts.unique(maintain_order=True)
        forms = [self._composed(text) for text in different]
        new = [text for text in dict.fromkeys(forms) if text not in self._others]
        self._others.update(zip(new, range(self._count, self._count + len(new)), strict=True))
        self._pieces.append(new)
        self._count += len(new)
        given = pl.Series([self._others[text] for text in forms], dtype=pl.Int32)
        return texts.replace_strict(different, given, return_dtype=pl.Int32).to_numpy()

    def _composed(self, text: str) -> str:
        if text.isascii():
            return text
        form = composed(text)
        if self._written.setdefault(form, text) != text:
            self.twins[form] = None
        return form


def is_plain(texts: Sequence[str]) -> bool:
    """Return whether all ids are whole numbers in their plainest form."""
    return all(text.isdecimal() and text.isascii() and (text[0] != "0" or text == "0") for text in texts)


def present(numbers: Codes, count: int, rows: Labelled) -> NDArray[np.bool_]:
    """Return which of the numbers 0 to count-1 some of the rows have."""
    seen = np.zeros(count, np.bool_)
    for part in chunks(len(numbers)):
        seen[rows.of(numbers, part)] = True
    return seen


def code_table(texts: Sequence[str], trained: NDArray[np.bool_]) -> tuple[list[str], Codes]:
    """Return the vocabulary of the ids that are `trained`, and the table from an id's number to its code.

    Ids are sorted by their numbers where all of them are integers, else as text; codes count from 1, 0 is unknown.
    """
    there = np.flatnonzero(trained).tolist()
    there.sort(key=texts.__getitem__)
    labels = [texts[number] for number in there]
    if is_plain(labels) or all(map(_INTEGER.fullmatch, labels)):
        there.sort(key=lambda number: int(texts[number]))
        labels.sort(key=int)
    table = np.zeros(len(texts), np.int32)
    table[there] = np.arange(1, len(there) + 1)
    return labels, table


def id_notes(kind: str, labels: Sequence[str]) -> Iterator[str]:
    """Yield notes on ids that are one number or look the same, and count as two, and on ids like missing values."""
    if is_plain(labels):
        return
    numbers: dict[int, str] = {}
    texts: list[str] = []
    twice = []
    for label in labels:
        if not _NUMBER.fullmatch(label):
            texts.append(label)
        elif (other := numbers.setdefault(_whole(label), label)) != label:
            twice.append((other, label))
    if twice:
        pairs = ", ".join(f"`{one}` and `{other}`" for one, other in twice[:_SHOWN])
        more = f", and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        yield f"ids are text, so these are two {kind}s each: {pairs}{more}"
    yield from name_notes(texts, f"{kind}s")
    missing = [f"`{label}`" for label in texts if label.casefold() in _MISSING]
    if missing:
        yield f"the {kind} {', '.join(missing)} looks like a missing id, and counts like the others"


def written_otherwise(unknown: Sequence[str], labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the unknown ids that look like training ids but are written otherwise, each with the training id."""
    if not unknown or (is_plain(unknown) and is_plain(labels)):
        return []
    known = {_look(label): label for label in labels}
    return [(text, known[_look(text)]) for text in unknown if _look(text) in known]


def show_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Write the first pairs of an id and the one it looks like: "`01` for `1`, `02` for `2`"."""
    return ", ".join(f"`{printable(text)}` for `{printable(label)}`" for text, label in pairs[:_SHOWN])


def other_kind(unknown: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether all training ids are numbers and no unknown one is, or the other way round."""
    sorts = {bool(_NUMBER.fullmatch(text)) for text in labels}, {bool(_NUMBER.fullmatch(text)) for text in unknown}
    return sorts in (({True}, {False}), ({False}, {True}))


def _look(text: str) -> Any:
    """What ids that look the same share: whole numbers their value, texts their skeleton."""
    return _whole(text) if _NUMBER.fullmatch(text) else skeleton(text)


def _whole(text: str) -> int:
    return int(text.partition(".")[0])
