"""Parameters of tables that say something of users or items beside their ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from dotexp import OfKind, Params, Positional, Use
from dotexp.sdk.fields import ColumnName, Encoding, Header, Separator
from pydantic import Field, model_validator

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
    def _something_once(self) -> FeatureTableParams:
        chosen = [self.id, *self.categories, *self.flags, *self.lists, *self.numbers, *self.years]
        if len(chosen) == 1:
            raise ValueError("no column is named: categories, flags, lists, numbers or years")
        if len(set(chosen)) < len(chosen):
            raise ValueError("a column stands for one thing only, and one of these is named twice")
        return self


FeatureTable = Annotated[Use, OfKind("features")]
