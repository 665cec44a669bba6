"""Types of parameters that several plugins share: counts and fractions of examples, and how a table is written."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from dotexp.components.params import Percent


class Header(StrEnum):
    """Whether a table's first line names its columns: `auto` decides by what the first lines hold."""

    auto = "auto"


def _separator(text: str) -> str:
    if text != "::" and (len(text) != 1 or text.isalnum() or text in '"\r\n'):
        raise ValueError('a separator is one character, no letter, digit, quote or line break, or else "::"')
    return text


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        raise ValueError(f"no text encoding is called `{name}`; utf-8, cp1252 and latin-1 are the usual ones") from None
    return name


Fraction = Annotated[float, Percent(), Field(gt=0, lt=1)]
"""A fraction of the examples, such as 20%."""

Count = Annotated[int, Field(ge=1, le=10**9)]
"""A number of examples."""

ColumnName = Annotated[int, Field(ge=0, le=10_000)] | Annotated[str, Field(min_length=1, max_length=1000)]
"""A column of a table: its number from 0, or its name."""

Separator = Annotated[str, AfterValidator(_separator)]
"""What stands between the fields of a line: one character, or `::`."""

Encoding = Annotated[str, AfterValidator(_encoding)]
"""A text encoding that Python knows."""
