"""Collaborative filtering: tables of ratings, and models that learn who likes what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dotexp import Component, DataSignature, Kind, LayerGroup, ModelFacts, Params, ReportFacts, Task, hookimpl

from dotexp_collab.data import params as data_params
from dotexp_collab.models.checks import features_there, y_range_holds
from dotexp_collab.models.params import (
    EmbeddingDotBiasParams,
    EmbeddingNnParams,
    FeatureDotBiasParams,
    RatingModelParams,
    SvdPlusPlusParams,
)
from dotexp_collab.predict.catalogue import items_exist
from dotexp_collab.reports import params as report_params

DOTEXP_API = 1

_DATA = DataSignature("ratings", "users and items")
_FACTORS = ("user_factors", "item_factors")
_BIASES = ("user_bias", "item_bias")
_NETWORK = ModelFacts(
    inputs="users and items",
    tasks=("ratings",),
    layers=("model",),
    groups=(LayerGroup("model", ("model",)),),
    tables=_FACTORS,
)
_MODEL = replace(_NETWORK, tables=(*_FACTORS, *_BIASES))
_ENCODE = "dotexp_collab.predict.encode:encode"


@hookimpl
def dotexp_kinds() -> Sequence[Kind]:
    """Declare the splits of ratings, and the tables that describe users or items."""
    flags = "which rows it holds out, as booleans"
    return [
        Kind("rating_split", "rating splits", ("rows",), f"{flags}; rows are a `dotexp_collab.data.splits.Splittable`"),
        Kind("features", "features", ("digest", "field"), "a `dotexp_collab.data.features.Described`"),
    ]


@hookimpl
def dotexp_tasks() -> Sequence[Task]:
    """Declare ratings."""
    return [Task("ratings", "How a user rates an item.", "dotexp.sdk.answers:numbers")]


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer the ratings data and their splits, the models and the reports."""
    return [
        *_data(),
        *_splits(),
        *_models(),
        *_reports(),
    ]


def _data() -> Sequence[Component]:
    ratings, latent = data_params.RatingsParams, data_params.LatentRatingsParams
    return [
        _rated("ratings", ratings, "dotexp_collab.data.ratings:build"),
        _rated("movielens", data_params.MovieLensParams, "dotexp_collab.data.movielens:build"),
        _rated("latent_ratings", latent, "dotexp_collab.data.synthetic:build"),
    ]


def _rated(name: str, params: type[Params], build: str) -> Component:
    home = "dotexp_collab.predict.recommend"
    return Component(
        "data", name, params, build, _DATA, encode=_ENCODE, recommend=f"{home}:recommend", similar=f"{home}:similar"
    )


def _splits() -> Sequence[Component]:
    home = "dotexp_collab.data.splits"
    return [
        Component("rating_split", "column", data_params.ColumnSplitParams, f"{home}:flagged"),
        Component("rating_split", "newest", data_params.NewestParams, f"{home}:newest"),
        Component("rating_split", "leave_last", data_params.LeaveLastParams, f"{home}:leave_last"),
        Component("rating_split", "fold", data_params.FoldParams, f"{home}:fold"),
        Component("features", "table", data_params.FeatureTableParams, "dotexp_collab.data.features:read_features"),
    ]


def _models() -> Sequence[Component]:
    home, more = "dotexp_collab.models.dot_bias:build", "dotexp_collab.models.svdpp:build"
    network = "dotexp_collab.models.neural:build"
    return [
        Component("model", "embedding_dot_bias", EmbeddingDotBiasParams, home, _of_factors, check=y_range_holds),
        Component("model", "embedding_nn", EmbeddingNnParams, network, _of_network, check=y_range_holds),
        Component("model", "svd_plus_plus", SvdPlusPlusParams, more, _of_factors, check=y_range_holds),
        Component("model", "feature_dot_bias", FeatureDotBiasParams, more, _of_factors, check=features_there),
    ]


def _of_factors(params: RatingModelParams) -> ModelFacts:
    return replace(_MODEL, unknown=_stand_in(params))


def _of_network(params: RatingModelParams) -> ModelFacts:
    return replace(_NETWORK, unknown=_stand_in(params))


def _stand_in(params: RatingModelParams) -> str:
    return "the row trained for unknown ones" if params.unknown_rate else "the mean of the known"


def _reports() -> Sequence[Component]:
    home = "dotexp_collab.reports.sections"
    items = _reading("item_factors")
    return [
        Component("report", "item_bias", report_params.ItemBiasParams, f"{home}:item_bias", _reading("item_bias")),
        Component("report", "user_bias", report_params.UserBiasParams, f"{home}:user_bias", _reading("user_bias")),
        Component("report", "factors_pca", report_params.FactorsPcaParams, f"{home}:factors_pca", items),
        Component("report", "nearest", report_params.NearestParams, f"{home}:nearest", items, items_exist),
    ]


def _reading(table: str) -> ReportFacts:
    return ReportFacts(tasks=("ratings",), tables=(table,))
