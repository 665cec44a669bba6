"""Parameters of the ratings data and of its splits."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from dotexp import (
    Affects,
    Component,
    DataParams,
    DataSignature,
    Effect,
    InputForm,
    OfKind,
    OncePerExperiment,
    Params,
    Percent,
    Positional,
    Query,
    QueryOption,
    Range,
    Use,
)
from dotexp.sdk.fields import ColumnName, Count, Encoding, Fraction, Header, Separator
from pydantic import AfterValidator, Field, model_validator

LARGEST = 1e6
"""Largest rating, in absolute value, that a range may name."""

MOVIELENS = ("100k", "1m", "25m", "latest-small")
"""MovieLens data sets by the names their publisher gives them."""


class OnBad(StrEnum):
    """What to do about a row that cannot be used: stop and tell of all of them, or leave them out and count them."""

    error = "error"
    skip = "skip"


class Memory(StrEnum):
    """Where the columns lie: in memory, or in files that are mapped into it; `auto` decides by the file's size."""

    auto = "auto"
    ram = "ram"
    mapped = "mapped"


def _moderate(span: Range) -> Range:
    if max(abs(span.low), abs(span.high)) > LARGEST:
        raise ValueError(f"both ends lie within {-LARGEST:g}..{LARGEST:g}")
    return span


def _published(name: str) -> str:
    if name not in MOVIELENS:
        raise ValueError(f'there is no MovieLens "{name}" here: it is one of ' + ", ".join(f'"{n}"' for n in MOVIELENS))
    return name


BoundedRange = Annotated[Range, AfterValidator(_moderate)]
Split = Annotated[Use, OfKind("rating_split")]
Features = Annotated[Use, OfKind("features")]


class ColumnSplitParams(Params):
    """The rows whose value in a column is 1 or true are held out; the others hold 0 or false."""

    column: Annotated[ColumnName, Positional()] = Field(description="the column: its number from 0, or its name")


class NewestParams(Params):
    """The newest rows are held out, by the data's column `time`; of rows of the same time, the last in the file."""

    part: Annotated[Fraction | Count, Positional()] = Field(
        0.2, description="rows to hold out: a fraction of all rows, or a count"
    )


class LeaveLastParams(Params):
    """Every user's last ratings are held out, by the data's column `time`; of the same time, the last in the file.

    A user who has no more than these keeps them all for training.
    """

    ratings: Annotated[Annotated[int, Field(ge=1, le=10**6)], Positional()] = Field(
        1, description="ratings of each user to hold out"
    )


class FoldParams(Params):
    """One of k parts of equal size, to the row, is held out: with n from 1 to k, every row is in exactly one.

    The parts are drawn at random, as a function of the split's seed.
    """

    k: Annotated[int, Positional()] = Field(5, ge=2, le=1000, description="number of parts")
    n: Annotated[int, Positional()] = Field(1, ge=1, le=1000, description="which of them is held out, from 1")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.n > self.k:
            raise ValueError(f"n counts the parts from 1 to k, and {self.n} is more than {self.k}")
        return self


Columns = Annotated[tuple[ColumnName, ...], Field(max_length=1000)]


class FeatureTableParams(Params):
    """A file with a row for each user, or each item, and what is known of them in its columns.

    Each value of a category, each flag that is set, each word of a list and each bin of numbers is a feature. A user or
    item without a row, or with an empty field, has the less of them.
    """

    path: Annotated[Path, Positional()] = Field(description="the file, plain or gzip, or Parquet")
    id: ColumnName = Field(0, description="column of the id, as the ratings write it: its number from 0, or its name")
    categories: Columns = Field((), description="columns of which each value is a feature")
    flags: Columns = Field((), description="columns that hold 1 or true where the feature is there")
    lists: Columns = Field((), description="columns of several values, each a feature: Action|Comedy")
    numbers: Columns = Field((), description="columns of numbers, cut into bins of equally many rows")
    years: Columns = Field((), description="columns that hold a year, four digits somewhere in the text; cut likewise")
    bins: int = Field(7, ge=2, le=1000, description="bins for numbers and years")
    list_separator: str = Field("|", min_length=1, max_length=10, description="what stands between a list's values")
    separator: Separator = Field(",", description='what stands between the fields: one character, or "::"')
    header: Header | bool = Field(Header.auto, description="whether the first line names the columns, as for ratings")
    quotes: bool = Field(True, description='whether "…" encloses a field')
    encoding: Encoding = Field("utf-8", description="encoding of the text")

    @model_validator(mode="after")
    def _something_once(self) -> Self:
        chosen = [self.id, *self.categories, *self.flags, *self.lists, *self.numbers, *self.years]
        if len(chosen) == 1:
            raise ValueError("no column is named: categories, flags, lists, numbers or years")
        if len(set(chosen)) < len(chosen):
            raise ValueError("a column stands for one thing only, and one of these is named twice")
        return self


_HELD = "a fraction, a count, a file of the same form, or a split: column(…), newest(…), leave_last(…), fold(…)"


class RatingsParams(DataParams):
    """Ratings that users gave to items, one a row of a text file (.csv, .tsv, .data, …; plain or gzip) or of Parquet.

    Ids are text, spaces around them aside. Training rows alone make the vocabulary: a user or an item that only the
    other rows know is unknown to the model.
    """

    path: Annotated[Path, Positional()] = Field(description="the file of ratings")
    user: ColumnName = Field(0, description="column of the user's id: its number from 0, or its name")
    item: ColumnName = Field(1, description="column of the item's id or title: its number from 0, or its name")
    rating: ColumnName = Field(2, description="column of the rating, a number: its number from 0, or its name")
    time: ColumnName | None = Field(
        None, description="column of the time, for newest and leave_last: a number, or a date such as 1998-04-20 15:30"
    )
    separator: Separator = Field(",", description='what stands between the fields: one character, or "::"')
    header: Header | bool = Field(
        Header.auto,
        description="whether the first line names the columns; auto: when a column is given by name, "
        "or none of the three fields of the first line is a number",
    )
    quotes: bool = Field(True, description='whether "…" encloses a field; false: a quote is a character like another')
    encoding: Encoding = Field("utf-8", description="encoding of the text")
    on_bad: OnBad = Field(OnBad.error, description="rows that cannot be used: error tells of all of them, skip counts")
    valid: Annotated[Fraction | Count | Path | Split, OncePerExperiment()] = Field(
        0.2, description=f"rows to validate with: {_HELD}"
    )
    test: Annotated[Fraction | Count | Path | Split | None, OncePerExperiment()] = Field(
        None, description="rows that `evaluate` alone uses, given as for `valid`; none: there are none"
    )
    items: Path | None = Field(None, description="a file of the items' titles; a rated item that it lacks is a bad row")
    item_id: ColumnName = Field(0, description="column of the id in the file of titles")
    title: ColumnName = Field(1, description="column of the title in the file of titles")
    items_separator: Separator = Field(",", description="what stands between the fields in the file of titles")
    items_encoding: Encoding = Field("utf-8", description="encoding of the file of titles")
    user_features: Features | None = Field(None, description="what is known of users: table(…) of their file")
    item_features: Features | None = Field(None, description="what is known of items: table(…) of their file")
    memory: Memory = Field(
        Memory.auto,
        description="where the columns lie: ram, or mapped, in temporary files, shuffled by blocks; "
        "auto: mapped above 4 GiB (gzip or Parquet: 1 GiB)",
    )

    @model_validator(mode="after")
    def _distinct_columns(self) -> Self:
        if len({self.user, self.item, self.rating}) < 3:
            raise ValueError("user, item and rating are three columns, and two of these are the same one")
        if self.items is not None and self.item_id == self.title:
            raise ValueError("item_id and title are two columns of the file of titles, and these are the same one")
        return self


class MovieLensParams(DataParams):
    """MovieLens by GroupLens, with the films' titles: found in a folder, or downloaded into it and checked.

    It is for research, not for redistribution or commercial use without permission; its README has the terms.
    """

    release: Annotated[Annotated[str, AfterValidator(_published)], Positional(), OncePerExperiment()] = Field(
        description='which one: "100k", "1m", "25m" or "latest-small"'
    )
    path: Path | None = Field(
        None, description="its folder, or the folder that holds or shall hold it; none: dotexp in the user's cache"
    )
    download: Annotated[bool, Affects(Effect.speed)] = Field(True, description="whether to download what is not there")
    valid: Annotated[Fraction | Count | Split, OncePerExperiment()] = Field(
        0.2, description="ratings to validate with: a fraction, a count, newest(…), leave_last(…) or fold(…)"
    )
    test: Annotated[Fraction | Count | Split | None, OncePerExperiment()] = Field(
        None, description="ratings that `evaluate` alone uses, given as for `valid`; none: there are none"
    )
    memory: Memory = Field(Memory.auto, description="where the columns lie: ram, mapped or auto, as for ratings")


class LatentRatingsParams(DataParams):
    """Made-up ratings of known biases and factors, to try models on.

    rating = low + (high - low) · sigmoid(u·v + b_user + b_item) + noise, clipped to the range; biases and the dot
    product have standard deviations 1/2 and 1.
    """

    users: Annotated[int, OncePerExperiment()] = Field(500, ge=1, le=10**7, description="users")
    items: Annotated[int, OncePerExperiment()] = Field(300, ge=1, le=10**7, description="items")
    factors: Annotated[int, OncePerExperiment()] = Field(
        5, ge=0, le=1000, description="true factors of a user and of an item"
    )
    density: Annotated[float, Percent(), OncePerExperiment()] = Field(
        0.1, gt=0, le=1, description="part of all pairs that has a rating"
    )
    noise: Annotated[float, OncePerExperiment()] = Field(
        0.1, ge=0, le=LARGEST, description="standard deviation of the noise, in ratings"
    )
    range: Annotated[BoundedRange, OncePerExperiment()] = Field(
        Range(low=0, high=5), description="lowest and highest possible rating"
    )
    data_seed: Annotated[int | None, OncePerExperiment()] = Field(
        None, ge=0, lt=2**63, description="seed of the ratings; none takes the experiment's seed"
    )
    valid: Annotated[Fraction | Count, OncePerExperiment()] = Field(
        0.2, description="ratings to validate with: a fraction or a count"
    )
    test: Annotated[Fraction | Count | None, OncePerExperiment()] = Field(
        None, description="ratings that `evaluate` alone uses: a fraction or a count; none: there are none"
    )

    @model_validator(mode="after")
    def _fits_in_memory(self) -> Self:
        if self.users * self.items * self.density > 2 * 10**8:
            raise ValueError(f"{self.density:g} of {self.users} users by {self.items} items: over 200 million ratings")
        if (self.users + self.items) * self.factors > 10**9:
            raise ValueError(f"{self.factors} factors of {self.users} users and {self.items} items do not fit")
        return self


_DATA = DataSignature("ratings", "users and items")
_PAIRS = InputForm(
    "dotexp_collab.predict.encode:encoder", ("users", "items"), "USER:ITEM pairs or files of them", "196:242",
    {"user": "196", "item": "242"}, "pairs", "pair",
)  # fmt: skip
_HOME = "dotexp_collab.data"


_TOP = QueryOption("top", "how many rows", int, 10, (1, 100_000), counts_rows=True)
_SEEN = QueryOption("seen", "what the user has rated, too; the data is not opened then", spares_data=True)
_QUERIES = (
    Query(
        "user", "dotexp_collab.predict.recommend:recommend", "what this user may like, best first",
        "USER", rows="recommendations", options=(_TOP, _SEEN), opens_data=True,
        function="recommend", vocabulary="users", title="best items",
        columns=(("rank", "Rank"), ("item", "Item"), ("title", "Title"), ("value", "Rating")),
    ),
    Query(
        "similar", "dotexp_collab.predict.recommend:similar", "what is like this item, by id or title",
        "ITEM", asks="item", rows="similar", options=(_TOP,),
        function="similar_items", vocabulary="items",
    ),
)  # fmt: skip


def _rated(name: str, params: type[DataParams], build: str) -> Component:
    return Component("data", name, params, build, _DATA, inputs=_PAIRS, queries=_QUERIES)


COMPONENTS = (
    _rated("ratings", RatingsParams, f"{_HOME}.ratings:build"),
    _rated("movielens", MovieLensParams, f"{_HOME}.movielens:build"),
    _rated("latent_ratings", LatentRatingsParams, f"{_HOME}.synthetic:build"),
    Component("rating_split", "column", ColumnSplitParams, f"{_HOME}.splits:flagged"),
    Component("rating_split", "newest", NewestParams, f"{_HOME}.splits:newest"),
    Component("rating_split", "leave_last", LeaveLastParams, f"{_HOME}.splits:leave_last"),
    Component("rating_split", "fold", FoldParams, f"{_HOME}.splits:fold"),
    Component("features", "table", FeatureTableParams, f"{_HOME}.features:read_features"),
)
