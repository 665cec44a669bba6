"""Parameters of the models of ratings."""

from enum import StrEnum
from typing import Annotated, Self

from dotexp import Component, ModelFacts, Params, Percent, Positional, Range
from pydantic import AfterValidator, Field, model_validator

LARGEST = 1e6
"""Largest rating, in absolute value, that a range may name."""


def _moderate(span: Range) -> Range:
    if max(abs(span.low), abs(span.high)) > LARGEST:
        raise ValueError(f"both ends lie within {-LARGEST:g}..{LARGEST:g}")
    return span


class FactorsParams(Params):
    """How long the vectors of users and items are. Its fields come first where it is the last of a class's bases."""

    factors: Annotated[int, Positional()] = Field(
        40, ge=1, le=4096, description="numbers learned for each user and for each item"
    )


class RangeParams(Params):
    """What bounds a prediction."""

    y_range: Annotated[Range, AfterValidator(_moderate)] | None = Field(
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
    def _one_way_or_the_other(self) -> Self:
        if self.y_range is not None and not self.bounded:
            raise ValueError("y_range bounds the prediction, and bounded = false says that nothing does")
        return self


class RatingModelParams(RangeParams):
    """What every model of ratings takes beside its own parameters."""

    unknown_rate: Annotated[float, Percent()] = Field(
        0.0,
        ge=0,
        lt=1,
        description="part of the user and, apart from them, of the item ids that are hidden at random in training, "
        "which trains the row that stands for the unknown; 0: the mean of the trained rows stands for it",
    )
    mean_start: bool = Field(
        False, description="whether predictions start from the training ratings' mean, and biases are differences to it"
    )


class EmbeddingDotBiasParams(RatingModelParams, FactorsParams):
    """Dot product of a user's and an item's factors, plus a bias for each, bounded by a scaled sigmoid.

    An unknown user or item counts as the mean of the known ones when validating and predicting, unless `unknown_rate`
    trained a row for it.
    """


class Histories(StrEnum):
    """Whose lists of training ratings count: users' lists of items, items' lists of users, both, or off."""

    both = "both"
    users = "users"
    items = "items"
    off = "off"


class SvdPlusPlusParams(RatingModelParams, FactorsParams):
    """SVD++: `embedding_dot_bias` whose users are also what they have rated, and whose items also who has rated them.

    A user's factors are their own plus the sum of a vector for each item that they rated in training, divided by the
    root of their number (Koren 2008); an item's, likewise, of a vector for each user who rated it. What the ratings
    were does not count, and the pair to be predicted is left out of both lists.
    """

    histories: Histories = Field(Histories.both, description="whose lists of ratings count: both, users or items")
    longest: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="ratings of a list that are kept, drawn once and evenly; none: all, however long a step then takes",
    )


class FeatureDotBiasParams(SvdPlusPlusParams):
    """`embedding_dot_bias` with what is known of users and items: a vector and a bias for each of their features.

    The data's `user_features` and `item_features` say what is known. A user's factors are their own plus the sum of
    their features' vectors; so are biases, and items'. `histories` adds the lists of SVD++.
    """

    histories: Histories = Field(
        Histories.off,
        description="whose lists of ratings count as well, as in svd_plus_plus",
    )


Width = Annotated[int, Field(ge=1, le=65536)]
Share = Annotated[float, Field(ge=0, lt=1)]


class EmbeddingNnParams(RatingModelParams):
    """A user's and an item's embedding side by side, through a small network, bounded by a scaled sigmoid.

    Each hidden layer is a matrix without bias, a ReLU, batch norm and dropout; the last one has a bias, as in fastai.
    """

    layers: Annotated[tuple[Width, ...], Positional()] = Field(
        (50,), min_length=1, max_length=32, description="widths of the hidden layers"
    )
    user_factors: int | None = Field(
        None, ge=1, le=4096, description="width of a user's embedding; none: min(600, round(1.6 n^0.56)) of n rows"
    )
    item_factors: int | None = Field(None, ge=1, le=4096, description="width of an item's embedding; none: likewise")
    embedding_dropout: Share = Field(0.0, description="share of the embeddings' numbers that is dropped in training")
    dropout: Share | tuple[Share, ...] = Field(
        0.0, description="share of a hidden layer's numbers that is dropped in training: one for all, or one a layer"
    )

    @model_validator(mode="after")
    def _one_a_layer(self) -> Self:
        if isinstance(self.dropout, tuple) and len(self.dropout) != len(self.layers):
            raise ValueError(f"{len(self.layers)} hidden layers and {len(self.dropout)} shares of dropout")
        return self


def network_facts(params: RatingModelParams) -> ModelFacts:
    """A model with a table of vectors for users and one for items."""
    return _facts(params, "user_factors", "item_factors")


def neural_facts(params: RatingModelParams) -> ModelFacts:
    """Tables of a network on two embeddings, whose batch norm needs two examples in a batch."""
    return network_facts(params).replace(smallest_batch=2)


def bias_facts(params: RatingModelParams) -> ModelFacts:
    """A model that has tables of biases beside."""
    return _facts(params, "user_factors", "item_factors", "user_bias", "item_bias")


def _facts(params: RatingModelParams, *tables: str) -> ModelFacts:
    return ModelFacts(
        inputs="users and items",
        tasks=("ratings",),
        tables=tables,
        unknown="the row trained for unknown ones" if params.unknown_rate else "the mean of the known",
    )


_HOME = "dotexp_collab.models"
_RANGE = f"{_HOME}.checks:y_range_holds"

COMPONENTS = (
    Component("model", "embedding_dot_bias", EmbeddingDotBiasParams, f"{_HOME}.dot_bias:build", bias_facts, _RANGE),
    Component("model", "embedding_nn", EmbeddingNnParams, f"{_HOME}.neural:build", neural_facts, _RANGE),
    Component("model", "svd_plus_plus", SvdPlusPlusParams, f"{_HOME}.svdpp:build", bias_facts, _RANGE),
    Component(
        "model", "feature_dot_bias", FeatureDotBiasParams, f"{_HOME}.svdpp:build", bias_facts,
        f"{_HOME}.checks:features_there",
    ),
)  # fmt: skip
