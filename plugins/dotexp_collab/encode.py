"""Inputs of `predict`: pairs of a user and an item, as the codes that the model was trained with."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from dotexp import Params, UsageError
from dotexp.parts import Encoded
from torch import Tensor

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
_BATCH = 4096


def encode(params: Params, vocabulary: Mapping[str, Any], inputs: Sequence[str]) -> Encoded:
    """Encode `USER:ITEM` pairs, and files of pairs.

    A .csv or .tsv file has the user in its first column and the item in its second (a first line `user`, `item` is a
    header); a .txt file has one USER:ITEM a line. Each row tells the `user`, the `item`, and which of the two are
    `unknown`, coded 0. Raises UsageError for an input of another form.
    """
    pairs = [pair for text in inputs for pair in _pairs(text)]
    users, items = (_codes(vocabulary[name]) for name in ("users", "items"))
    rows = [
        {
            "user": user,
            "item": item,
            "unknown": [name for name, known in (("user", user in users), ("item", item in items)) if not known],
        }
        for user, item in pairs
    ]
    columns = (
        torch.tensor([users.get(user, 0) for user, _ in pairs], dtype=torch.int64),
        torch.tensor([items.get(item, 0) for _, item in pairs], dtype=torch.int64),
    )
    return Encoded(rows, _batches(columns))


def _codes(labels: Sequence[str]) -> dict[str, int]:
    return {label: code for code, label in enumerate(labels, start=1)}


def _batches(columns: tuple[Tensor, Tensor]) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, len(columns[0]), _BATCH):
        yield tuple(column[start : start + _BATCH] for column in columns)


def _pairs(text: str) -> list[tuple[str, str]]:
    path = Path(text)
    if path.suffix.lower() in _SEPARATORS and path.is_file():
        return _pairs_of_file(path)
    return [_pair(text)]


def _pair(text: str, where: str = "") -> tuple[str, str]:
    user, _, item = (part.strip() for part in text.partition(":"))
    if not (user and item):
        raise UsageError(
            f"{where}`{text}` is no pair of a user and an item: write USER:ITEM (196:242), "
            "or name a .csv, .tsv or .txt file of pairs"
        )
    return user, item


def _pairs_of_file(path: Path) -> list[tuple[str, str]]:
    separator = _SEPARATORS[path.suffix.lower()]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as text: {error}") from None
    if separator is None:
        lines = enumerate(text.split("\n"), start=1)
        return [_pair(line.strip(), f"{path}:{number}: ") for number, line in lines if line.strip()]
    reader = csv.reader(text.splitlines(), delimiter=separator)
    pairs = [_fields(row, f"{path}:{reader.line_num}") for row in reader if any(row)]
    return pairs[1:] if pairs and tuple(name.lower() for name in pairs[0]) == ("user", "item") else pairs


def _fields(row: Sequence[str], where: str) -> tuple[str, str]:
    user, item = [*(field.strip() for field in row[:2]), "", ""][:2]
    if not (user and item):
        raise UsageError(f"{where}: a line has a user and an item, and this one has {len(row)} field(s): {row}")
    return user, item
