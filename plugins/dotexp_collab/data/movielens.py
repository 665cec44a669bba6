"""MovieLens by GroupLens: where it lies, how each release is written, and ratings made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dotexp import ComponentError, DataContext

from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.download import Archive, FetchError, fetch
from dotexp_collab.data.features import read_features
from dotexp_collab.data.params import FeatureTableParams, MovieLensParams, RatingsParams
from dotexp_collab.data.ratings import read

_HOME = "https://files.grouplens.org/datasets/movielens"


class Release(NamedTuple):
    """A data set: its archive, its files (of users there may be none), how many ratings it has, how each is read."""

    archive: Archive
    ratings: str
    rows: int
    items: str
    users: str | None
    form: Mapping[str, Any]
    films: Mapping[str, Any]
    people: Mapping[str, Any]


_OLD = {"quotes": False, "header": False, "encoding": "latin-1"}
_CSV = {
    "user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp",
    "item_id": "movieId", "title": "title",
}  # fmt: skip
_100K = {**_OLD, "separator": "\t", "items_separator": "|", "items_encoding": "latin-1", "time": 3}
_1M = {**_OLD, "separator": "::", "items_separator": "::", "items_encoding": "latin-1", "time": 3}
_FILMS_100K = {**_OLD, "separator": "|", "flags": tuple(range(5, 24)), "years": (2,)}
_PEOPLE_100K = {**_OLD, "separator": "|", "numbers": (1,), "categories": (2, 3)}
_FILMS_1M = {**_OLD, "separator": "::", "lists": (2,), "years": (1,)}
_PEOPLE_1M = {**_OLD, "separator": "::", "categories": (1, 2, 3)}
_FILMS_CSV = {"id": "movieId", "lists": ("genres",), "years": ("title",)}

RELEASES: Mapping[str, Release] = {
    "100k": Release(
        Archive(
            f"{_HOME}/ml-100k.zip",
            4_924_029,
            "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            "ml-100k",
            1 << 26,
        ),
        "u.data", 100_000, "u.item", "u.user", _100K, _FILMS_100K, _PEOPLE_100K,
    ),
    "1m": Release(
        Archive(
            f"{_HOME}/ml-1m.zip",
            5_917_549,
            "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            "ml-1m",
            1 << 26,
        ),
        "ratings.dat", 1_000_209, "movies.dat", "users.dat", _1M, _FILMS_1M, _PEOPLE_1M,
    ),
    "25m": Release(
        Archive(
            f"{_HOME}/ml-25m.zip",
            261_978_986,
            "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
            "ml-25m",
            1 << 31,
        ),
        "ratings.csv", 25_000_095, "movies.csv", None, _CSV, _FILMS_CSV, {},
    ),
    "latest-small": Release(
        Archive(
            f"{_HOME}/ml-latest-small.zip",
            978_202,
            "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
            "ml-latest-small",
            1 << 26,
        ),
        "ratings.csv", 100_836, "movies.csv", None, _CSV, _FILMS_CSV, {},
    ),
}  # fmt: skip
"""The releases by their names. SHA-256 as TensorFlow Datasets lists them; the counts are in each release's README."""


def build(params: MovieLensParams, context: DataContext) -> RatingsData:
    """Find, or fetch, the data set; read and split it. Raises ComponentError: E401 where it cannot be had, E402."""
    release = RELEASES[params.release]
    folder = find(params, release)
    tables = {"item_features": FeatureTableParams(path=folder / release.items, **release.films)}
    if release.users is not None:
        tables["user_features"] = FeatureTableParams(path=folder / release.users, **release.people)
    features = {field: partial(read_features, table) for field, table in tables.items()}
    return read(ratings_params(params, folder), context.seed, features, expected=release.rows)


def ratings_params(params: MovieLensParams, folder: Path) -> RatingsParams:
    """Say how a release's folder is read by `ratings`."""
    release = RELEASES[params.release]
    return RatingsParams(
        path=folder / release.ratings,
        items=folder / release.items,
        valid=params.valid,
        test=params.test,
        memory=params.memory,
        batch_size=params.batch_size,
        split_seed=params.split_seed,
        **release.form,
    )


def find(params: MovieLensParams, release: Release) -> Path:
    """Find the folder that holds the release, or fetch it; raises ComponentError (E401) where it cannot be had."""
    home = params.path if params.path is not None else cache_folder()
    for folder in (home, home / release.archive.folder):
        if (folder / release.ratings).is_file():
            return folder
    if (home / release.archive.folder).is_dir():
        message = f"{home / release.archive.folder} lacks {release.ratings}"
        raise ComponentError(message, field="path", help=_by_hand(home, release), code="E401")
    if not params.download:
        message = f"there is no {release.archive.folder} in {home}"
        raise ComponentError(message, field="path", help=_by_hand(home, release), code="E401")
    try:
        return fetch(release.archive, home)
    except FetchError as error:
        raise ComponentError(str(error), field="path", help=_by_hand(home, release), code="E401") from error


def cache_folder() -> Path:
    """Where data sets are kept when no folder is given: `dotexp` in XDG_CACHE_HOME, else in ~/.cache."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "dotexp"


def _by_hand(home: Path, release: Release) -> str:
    archive = release.archive
    place = home / archive.folder
    return f"put {archive.name} from {_HOME}/ into {home}, or unpack it there, so that {place} has its files"
