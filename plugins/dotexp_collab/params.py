"""Parameters of the collaborative-filtering components."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from dotexp import DataParams, OfKind, Params, Percent, Positional, Range, Use
from pydantic import AfterValidator, Field, model_validator

LARGEST = 1e6
"""Largest rating, in absolute value, that a range may name."""


class Header(StrEnum):
    """Whether a file's first line names its columns: `auto` looks at it."""

    auto = "auto"


def _one_separator(text: str) -> str:
    if text != "::" and (len(text) != 1 or text.isalnum() or text in '"\r\n'):
        raise ValueError('a separator is one character, no letter, digit, quote or line break, or else "::"')
    return text


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        raise ValueError(f"no text encoding is called `{name}`; utf-8 and latin-1 are the usual ones") from None
    return name


def _moderate(span: Range) -> Range:
    if max(abs(span.low), abs(span.high)) > LARGEST:
        raise ValueError(f"both ends lie within {-LARGEST:g}..{LARGEST:g}")
    return span


Fraction = Annotated[float, Percent(), Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
ColumnName = Annotated[int, Field(ge=0, le=10_000)] | Annotated[str, Field(min_length=1, max_length=1000)]
BoundedRange = Annotated[Range, AfterValidator(_moderate)]


class ColumnSplitParams(Params):
    """The rows whose value in a column is 1 or true are held out; the others hold 0 or false."""

    column: Annotated[ColumnName, Positional()] = Field(description="the column: its number from 0, or its name")


class RatingsParams(DataParams):
    """Ratings that users gave to items, one a line of a text file (.csv, .tsv, .data, …; plain or gzip).

    Ids are text, spaces around them aside. Training rows alone make the vocabulary: a user or an item that only the
    other rows know is unknown to the model.
    """

    path: Annotated[Path, Positional()] = Field(description="the file of ratings")
    user: ColumnName = Field(0, description="column of the user's id: its number from 0, or its name")
    item: ColumnName = Field(1, description="column of the item's id or title: its number from 0, or its name")
    rating: ColumnName = Field(2, description="column of the rating, a number: its number from 0, or its name")
    separator: Annotated[str, AfterValidator(_one_separator)] = Field(
        ",", description='what stands between the fields: one character, or "::"'
    )
    header: Header | bool = Field(
        Header.auto,
        description="whether the first line names the columns; auto: when a column is given by name, "
        "or none of the three fields of the first line is a number",
    )
    quotes: bool = Field(True, description='whether "…" encloses a field; false: a quote is a character like another')
    encoding: Annotated[str, AfterValidator(_known_encoding)] = Field("utf-8", description="encoding of the text")
    valid: Fraction | Count | Path | Annotated[Use, OfKind("split")] = Field(
        0.2, description="rows to validate with: a fraction, a count, a file of the same form, or column(…)"
    )
    test: Fraction | Count | Path | Annotated[Use, OfKind("split")] | None = Field(
        None, description="rows that `evaluate` alone uses, given as for `valid`; none: there are none"
    )

    @model_validator(mode="after")
    def _distinct_columns(self) -> RatingsParams:
        if len({self.user, self.item, self.rating}) < 3:
            raise ValueError("user, item and rating are three columns, and two of these are the same one")
        return self


class LatentRatingsParams(DataParams):
    """Made-up ratings of known biases and factors, to try models on.

    rating = low + (high - low) · sigmoid(u·v + b_user + b_item) + noise, clipped to the range; biases and the dot
    product have standard deviations 1/2 and 1.
    """

    users: int = Field(500, ge=1, le=100_000, description="users")
    items: int = Field(300, ge=1, le=100_000, description="items")
    factors: int = Field(5, ge=0, le=1000, description="true factors of a user and of an item")
    density: Annotated[float, Percent()] = Field(0.1, gt=0, le=1, description="part of all pairs that has a rating")
    noise: float = Field(0.1, ge=0, le=LARGEST, description="standard deviation of the noise, in ratings")
    range: BoundedRange = Field(Range(low=0, high=5), description="lowest and highest possible rating")
    data_seed: int | None = Field(
        None, ge=0, lt=2**63, description="seed of the ratings; none takes the experiment's seed"
    )
    valid: Fraction | Count = Field(0.2, description="ratings to validate with: a fraction or a count")
    test: Fraction | Count | None = Field(
        None, description="ratings that `evaluate` alone uses: a fraction or a count; none: there are none"
    )

    @model_validator(mode="after")
    def _fits_in_memory(self) -> LatentRatingsParams:
        if self.users * self.items > 10**8:
            raise ValueError(f"{self.users} users by {self.items} items are more than 100 million pairs")
        return self


class EmbeddingDotBiasParams(Params):
    """Dot product of a user's and an item's factors, plus a bias for each, bounded by a scaled sigmoid.

    An unknown user or item counts as the mean of the known ones when validating and predicting.
    """

    factors: Annotated[int, Positional()] = Field(
        40, ge=1, le=4096, description="numbers learned for each user and for each item"
    )
    y_range: BoundedRange | None = Field(
        None, description="ends of the sigmoid; none: the training ratings' range, relaxed at each end"
    )
    relax: Annotated[float, Percent()] = Field(
        0.1,
        ge=0,
        le=10,
        description="how far beyond the training ratings the sigmoid's ends lie when y_range is none, "
        "as a part of the ratings' span",
    )
    bounded: bool = Field(True, description="whether a sigmoid bounds the prediction; false: a plain sum")

    @model_validator(mode="after")
    def _one_way_or_the_other(self) -> EmbeddingDotBiasParams:
        if self.y_range is not None and not self.bounded:
            raise ValueError("y_range bounds the prediction, and bounded = false says that nothing does")
        return self
