"""Headers of files of ratings: whether the first line is one, and whether its names agree with the columns taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from dotexp import ComponentError
from dotexp.sdk.tables import Column, Table


class Role(StrEnum):
    """What a column of a file of ratings holds; `mark` is a row's set, `row_number` its number, as pandas writes it."""

    user = "user"
    item = "item"
    rating = "rating"
    time = "time"
    mark = "split"
    row_number = "index"


class Taken(NamedTuple):
    """A column that is taken for a role, as the parameter `field` says: its name or number, and its number."""

    role: Role
    field: str
    column: Column
    number: int


_WORDS: Mapping[Role, str] = {
    Role.user: "user users u uid usr customer client member account person people reader viewer listener visitor "
    "reviewer rater annotator student patient player buyer shopper consumer subscriber guest",
    Role.item: "item items i iid movie movies film films book books isbn product products asin sku article song track "
    "artist album anime joke game show series episode business restaurant venue hotel place poi recipe beer wine "
    "course video app title titles news document paper",
    Role.rating: "rating ratings r score scores star stars grade grades rate vote preference overall",
    Role.time: "time times timestamp timestamps ts date datetime unixtime at",
    Role.mark: "split fold subset partition set train test valid validation",
    Role.row_number: "index unnamed row rowid rownum rownames",
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}
_ROW_WORDS = frozenset(["rating", "ratings", "review", "interaction", "event", "record", "transaction", "entry"])
_SUFFIXES = frozenset(["id", "ids", "no", "nr", "num", "number", "key", "code", "name"])
_NO_RATING = frozenset({"nan", "inf", "-inf", "na", "n/a", "<na>", "none", "null", "?", "-"})


def role_of(name: str) -> Role | None:
    """Return the role that a column's name denotes: of `user_id`, `userID` and `reviewerName` the user's."""
    tokens = [token.lower() for token in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
    if not tokens:
        return None if name.strip() else Role.row_number
    if tokens[0] in ("unnamed", "index"):
        return Role.row_number
    numbered = tokens[-1] in ("id", "ids")
    while len(tokens) > 1 and tokens[-1] in _SUFFIXES:
        tokens.pop()
    word = tokens[-1]
    if numbered and word in _ROW_WORDS:
        return Role.row_number
    for suffix in ("id", "name", "key"):
        if word not in _ROLES and word.removesuffix(suffix) in _ROLES:
            word = word.removesuffix(suffix)
    return _ROLES.get(word)


def is_header(chosen: Sequence[int], rows: Sequence[Sequence[str]]) -> bool:
    """Decide whether the first of some rows names the columns; `chosen` are user, item and rating.

    It does if none of the three fields is a number, or a number's stand-in, and neither id occurs again further down;
    also if its ids are called as ids are.
    """
    first = rows[0]
    if max(chosen) >= len(first):
        return False
    user, item, rating = (first[number] for number in chosen)
    if len(first) > 3 and list(first) == [str(number) for number in range(len(first))]:  # pandas, of unnamed columns
        return True
    named = role_of(user) is Role.user and role_of(item) is Role.item
    if is_number(rating) or rating.casefold() in _NO_RATING:
        return named and bool(rating) and not _again(chosen, rows)
    if any(is_number(cell) for cell in (user, item)):
        return False
    known = any(role_of(cell) is not None for cell in (user, item, rating))
    return (known or bool(user and item and rating)) and not _again(chosen, rows)


def _again(chosen: Sequence[int], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row's user or item is another row's, too."""
    first, *rest = rows  # a header may come again, where files were put together
    others = [row for row in rest if list(row) != list(first)]
    return any(row[number : number + 1] == [first[number]] for number in chosen[:2] for row in others)


def is_number(text: str) -> bool:
    """Return whether a field is written with digits and signs alone, as numbers are: `3`, `-2.5e0`, `3,5`, `4/5`."""
    return any(c.isdigit() for c in text) and not re.search(r"[^\W\deE_]", text)


def require_agreement(table: Table, taken: Sequence[Taken], blamed: str = "") -> None:
    """Raise ComponentError (E402) where a column is taken by its number and the header says that it is another one.

    `blamed` is the parameter to point at, "" for the one that names the column.
    """
    if table.header is None:
        return
    by_number = [one for one in taken if isinstance(one.column, int)]
    wrong = [one for one in by_number if _disagrees(one, table.header, taken)]
    if not wrong:
        return
    held = ", ".join(f"{one.field} = {one.column} takes {_called(table.header[one.number])}" for one in by_number)
    names = {one.field: _named(one, table.header) for one in by_number}
    cure = ", ".join(f'{field} = "{name}"' for field, name in names.items() if name)
    message = f"{table.path}: {held}, and the header says otherwise: {_listed(table.header)}"
    help = f"take columns by name: {cure}" if cure else "take columns by name"
    field = blamed or (table.field if table.second else wrong[0].field)
    raise ComponentError(message, field=field, help=help)


def _disagrees(one: Taken, header: Sequence[str], taken: Sequence[Taken]) -> bool:
    role = role_of(header[one.number])
    if one.role is Role.mark:  # its name may be anything but another column's
        return role not in (None, Role.mark)
    if role is not None:
        return role is not one.role
    numbers = {other.number for other in taken}
    return any(role_of(name) is one.role for number, name in enumerate(header) if number not in numbers)


def _named(one: Taken, header: Sequence[str]) -> str:
    """The name of the column that has the role, "" where it is not one."""
    names = [name for name in header if role_of(name) is one.role]
    if header[one.number] in names:
        return header[one.number]
    own = header[one.number] if role_of(header[one.number]) is None else ""
    return names[0] if len(names) == 1 or (names and not own) else own


def require_same_header(first: Table, second: Table, taken: Sequence[Taken]) -> None:
    """Raise ComponentError (E402) where two files name a column that is taken by its number differently."""
    if first.header is None or second.header is None:
        return
    for one in taken:
        if isinstance(one.column, int):
            names = first.header[one.number], second.header[one.number]
            if names[0].casefold() != names[1].casefold():
                message = f"column {one.column} is `{names[1]}` in {second.path}, and `{names[0]}` in {first.path}"
                help = f"take columns by name, the same in both files: {one.field} = …"
                raise ComponentError(message, field=second.field, help=help)


def swallowed(table: Table, taken: Sequence[Taken]) -> Iterator[str]:
    """Yield a note where the first row is left out as a header, as the spec says, and looks like a rating."""
    if table.header is None or table.unit != "line" or any(isinstance(one.column, str) for one in taken):
        return
    fields = {one.role: table.first[one.number] for one in taken}
    named = any(role_of(fields[role]) is not None for role in (Role.user, Role.item))
    if is_number(fields[Role.rating]) and not named:
        row = _listed(table.first)
        yield f"header = true leaves out the first row of {table.path}, which looks like a rating: {row}"


def header_guesses(table: Table, taken: Sequence[Taken], decided: bool) -> Iterator[tuple[str, str]]:
    """Yield what was read off the first line: the header, unless the spec `decided` about it, and columns' names."""
    if not decided and table.unit == "line":
        said = "names columns" if table.header is not None else "is data"
        yield "header", f"{str(table.header is not None).lower()} (line 1 {said}: {_listed(table.first)})"
    for one in taken:
        if table.header is not None and isinstance(one.column, int):
            yield one.field, f'"{table.header[one.number]}" (column {one.column}, by the header)'


def _called(name: str) -> str:
    return f"`{name}`" if name else "a column without a name"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
