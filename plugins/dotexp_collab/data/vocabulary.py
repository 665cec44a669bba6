"""Ids that the training rows know, and ids that look like them but are written otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotexp_collab.data.ids import Codes, is_plain
from dotexp_collab.data.rows import Chosen, chunks

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_SHOWN = 3


def present(numbers: Codes, count: int, chosen: Chosen) -> NDArray[np.bool_]:
    """Tell which of the numbers 0 to count-1 some chosen row has."""
    seen = np.zeros(count, np.bool_)
    for part in chunks(len(numbers)):
        seen[chosen.of(numbers, part)] = True
    return seen


def code_table(texts: Sequence[str], known: NDArray[np.bool_]) -> tuple[list[str], Codes]:
    """Make the vocabulary of the known ids, and the table from an id's number to its code, 0 for unknown.

    Ids are sorted by their numbers where all of them are integers, else as text; codes count from 1.
    """
    there = np.flatnonzero(known).tolist()
    there.sort(key=texts.__getitem__)
    labels = [texts[number] for number in there]
    if is_plain(labels) or all(map(_INTEGER.fullmatch, labels)):
        there.sort(key=lambda number: int(texts[number]))
        labels.sort(key=int)
    table = np.zeros(len(texts), np.int32)
    table[there] = np.arange(1, len(there) + 1)
    return labels, table


def same_number(kind: str, labels: Sequence[str]) -> Iterator[str]:
    """Say of ids that are one number, written in two ways, that they are two."""
    if is_plain(labels):
        return
    plain: dict[Any, str] = {}
    twice = []
    for label in labels:
        other = plain.setdefault(_plain(label), label)
        if other != label:
            twice.append((other, label))
    if twice:
        pairs = ", ".join(f"`{one}` and `{other}`" for one, other in twice[:_SHOWN])
        more = f", and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        yield f"ids are text, so these are two {kind}s each: {pairs}{more}"


def written_otherwise(kind: str, part: str, unknown: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """Say of a part's unknown ids where training ids are the same but for their writing, or are of another kind."""
    if not unknown or (is_plain(unknown) and is_plain(labels)):
        return
    plain = {_plain(label): label for label in labels}
    alike = [(text, plain[_plain(text)]) for text in unknown if _plain(text) in plain]
    if alike:
        pairs = ", ".join(f"`{text}` for `{label}`" for text, label in alike[:_SHOWN])
        yield f"{_ids(len(alike), kind)} of the {part} part {_are(alike)} written otherwise than in training: {pairs}"
        return
    numbers = {bool(_NUMBER.fullmatch(text)) for text in labels}, {bool(_NUMBER.fullmatch(text)) for text in unknown}
    if numbers in (({True}, {False}), ({False}, {True})):
        words = "numbers", "text"
        first, second = words if numbers[0] == {True} else words[::-1]
        yield (
            f"{kind} ids are {first} in training (`{labels[0]}`), and the unknown ones of the {part} part are {second} "
            f"(`{unknown[0]}`): do both name the same {kind}s?"
        )


def _plain(text: str) -> Any:
    """A form that different ways to write an id share: whole numbers without zeros before, text in small letters."""
    if _NUMBER.fullmatch(text):
        return int(text.partition(".")[0])
    return " ".join(text.casefold().split())


def _ids(count: int, kind: str) -> str:
    return f"{count} {kind} id{'' if count == 1 else 's'}"


def _are(many: Sequence[object]) -> str:
    return "is" if len(many) == 1 else "are"
