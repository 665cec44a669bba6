"""Parameters of the reports on what a collaborative-filtering model has learned."""

from typing import Annotated

from dotexp import Component, Params, Positional, ReportFacts
from pydantic import Field

LARGEST_TABLE = 10**7

Top = Annotated[int, Field(ge=1, le=LARGEST_TABLE)]
Size = Annotated[int, Field(ge=1, le=LARGEST_TABLE)]
ItemName = Annotated[int, Field(ge=-(10**18), le=10**18)] | Annotated[str, Field(min_length=1, max_length=1000)]
ItemNames = Annotated[tuple[ItemName, ...], Field(min_length=1, max_length=1000)]

_MOST_RATED = "how many of the most rated items to look at; none: all of them"


class ItemBiasParams(Params):
    """Best and worst items by learned bias: how good they are whoever rates them."""

    top: Annotated[Top, Positional()] = Field(10, description="items at each end")
    items: Size | None = Field(1000, description=_MOST_RATED)
    least_ratings: int = Field(1, ge=0, le=10**9, description="ratings that an item has at least")


class UserBiasParams(Params):
    """Most generous and most severe users by learned bias, whatever they rate."""

    top: Annotated[Top, Positional()] = Field(10, description="users at each end")
    least_ratings: int = Field(1, ge=0, le=10**9, description="ratings that a user has given at least")


class FactorsPcaParams(Params):
    """Principal components of the most rated items' factors: the items at their ends, the variance explained, a map."""

    components: Annotated[int, Positional()] = Field(3, ge=1, le=100, description="components, the largest first")
    items: Annotated[int, Field(ge=2, le=LARGEST_TABLE)] | None = Field(1000, description=_MOST_RATED)
    top: Top = Field(10, description="items at each end of a component")
    labelled: int = Field(50, ge=0, le=500, description="most rated items that the map names, as far as there is room")


class NearestParams(Params):
    """Items nearest to an item by the cosine of their factors."""

    item: Annotated[ItemName | ItemNames | None, Positional()] = Field(
        None, description="an item's title or id, or a list of them; none: the three most rated"
    )
    top: Top = Field(10, description="neighbours of an item")
    items: Size | None = Field(1000, description=f"among which neighbours are looked for: {_MOST_RATED}")

    @property
    def named(self) -> tuple[int | str, ...]:
        """Items asked for, in order; empty where none is named."""
        if self.item is None:
            return ()
        return self.item if isinstance(self.item, tuple) else (self.item,)


def _reading(table: str) -> ReportFacts:
    return ReportFacts(tasks=("ratings",), tables=(table,))


_HOME = "dotexp_collab.reports.sections"

COMPONENTS = (
    Component("report", "item_bias", ItemBiasParams, f"{_HOME}:item_bias", _reading("item_bias")),
    Component("report", "user_bias", UserBiasParams, f"{_HOME}:user_bias", _reading("user_bias")),
    Component("report", "factors_pca", FactorsPcaParams, f"{_HOME}:factors_pca", _reading("item_factors")),
    Component(
        "report", "nearest", NearestParams, f"{_HOME}:nearest", _reading("item_factors"),
        "dotexp_collab.predict.catalogue:items_exist",
    ),
)  # fmt: skip
