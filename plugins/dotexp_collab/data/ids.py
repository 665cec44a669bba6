"""Ids of users or items, numbered as they are met."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.int32]

_TABLE = 1 << 22
"""Whole numbers below this are looked up in a table, other ids in a dictionary."""


class Ids:
    """Gives every id, a text, a number from 0 as it is first met.

    Whole numbers in their plainest form (`7`, not `07`), which most ids are, go through a table.
    """

    def __init__(self) -> None:
        self._table = np.full(1, -1, np.int32)
        self._others: dict[str, int] = {}
        self._pieces: list[list[str] | NDArray[np.int64]] = []
        self._count = 0

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
        new = [text for text in different if text not in self._others]
        self._others.update(zip(new, range(self._count, self._count + len(new)), strict=True))
        self._pieces.append(new)
        self._count += len(new)
        given = pl.Series([self._others[text] for text in different], dtype=pl.Int32)
        return texts.replace_strict(different, given, return_dtype=pl.Int32).to_numpy()


def is_plain(texts: Sequence[str]) -> bool:
    """Tell whether all ids are whole numbers in their plainest form."""
    return all(text.isdecimal() and text.isascii() and (text[0] != "0" or text == "0") for text in texts)
