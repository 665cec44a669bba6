"""Ratings in memory: coded users and items, split into parts; and the files they are read from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import torch
from dotexp import ComponentError, DataContext, DataFacts, Task, Use
from dotexp.parts import Part, TensorPart

from dotexp_collab.params import RatingsParams
from dotexp_collab.reading import Table, read_bytes, read_table
from dotexp_collab.splitting import Flags, split_rows

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NAMED = {"valid": "validation", "test": "test"}


@dataclass(frozen=True)
class RatingsData:
    """Ratings as the engine wants them: batches of (users int64 (B,), items int64 (B,)) and ratings float32 (B,)."""

    facts: DataFacts
    parts: Mapping[str, TensorPart]

    def part(self, name: str) -> Part:
        """Return `train`, `valid` or `test`; raises KeyError where there is none."""
        return self.parts[name]


def build(params: RatingsParams, context: DataContext) -> RatingsData:
    """Read and split the ratings. Raises ComponentError: E401 for a file that is missing, E402 for one unusable."""
    files = {"path": params.path, "valid": params.valid, "test": params.test}
    raw = {field: read_bytes(path, field) for field, path in files.items() if isinstance(path, Path)}
    tables = {field: read_table(raw[field], str(files[field]), field, params) for field in raw}
    frames = {field: _checked(table, params) for field, table in tables.items()}
    seed = context.seed if params.split_seed is None else params.split_seed
    held = {name: _way(getattr(params, name), tables["path"], name) for name in ("valid", "test")}
    split = split_rows(len(frames["path"]), held["valid"], held["test"], seed)
    parts = {"train": frames["path"][split.train]}
    for name, rows in (("valid", split.valid), ("test", split.test)):
        if rows is not None:
            parts[name] = frames["path"][rows]
        elif name in frames:
            parts[name] = frames[name]
    return assemble(parts, sha256(b"".join(raw.values())).hexdigest())


def assemble(parts: Mapping[str, pl.DataFrame], fingerprint: str) -> RatingsData:
    """Code the parts' users and items by the training part's vocabulary, and gather the facts.

    Each part has the columns `user` and `item` (text) and `rating` (float32). Known ids are coded from 1 in order
    (of their numbers, if all of them are integers), others 0.
    """
    train = parts["train"]
    vocabulary = {"users": sorted_ids(train["user"].unique()), "items": sorted_ids(train["item"].unique())}
    tensors: dict[str, TensorPart] = {}
    notes: list[str] = []
    for name, frame in parts.items():
        users, items = (_coded(frame[kind], vocabulary[f"{kind}s"]) for kind in ("user", "item"))
        tensors[name] = TensorPart((_tensor(users), _tensor(items)), _tensor(frame["rating"]))
        notes += [
            f"{_count(unknown, kind)} of the {_NAMED[name]} part {'is' if unknown == 1 else 'are'} unknown: "
            "no training row has them"
            for kind, codes in (("user", users), ("item", items))
            if (unknown := frame[kind].filter(codes == 0).n_unique())
        ]
    return RatingsData(_facts(parts, vocabulary, tuple(notes), fingerprint), tensors)


def sorted_ids(ids: pl.Series) -> list[str]:
    """Sort ids by their numbers where all of them are integers, else as text."""
    texts: list[str] = ids.to_list()
    if all(map(_INTEGER.fullmatch, texts)):
        return sorted(texts, key=lambda text: (int(text), text))
    return sorted(texts)


def _facts(
    parts: Mapping[str, pl.DataFrame], vocabulary: Mapping[str, Sequence[str]], notes: tuple[str, ...], fingerprint: str
) -> DataFacts:
    ratings = parts["train"]["rating"].to_numpy()
    return DataFacts(
        task=Task.ratings,
        train=len(parts["train"]),
        valid=len(parts["valid"]),
        test=len(parts["test"]) if "test" in parts else 0,
        users=len(vocabulary["users"]),
        items=len(vocabulary["items"]),
        range=(float(ratings.min()), float(ratings.max())),
        fingerprint=fingerprint,
        notes=notes,
        vocabulary=vocabulary,
    )


def _way(held: Any, table: Table, field: str) -> float | int | Flags | None:
    """Say how a part is split off the ratings' own file; None where it is a file of its own, or not wanted."""
    if isinstance(held, Use):
        flags: Flags = held.build(table, field)
        return flags
    return held if isinstance(held, (int, float)) else None


def _checked(table: Table, params: RatingsParams) -> pl.DataFrame:
    """Take the three columns out of a table; raises ComponentError (E402) with the rows that lack a usable one."""
    chosen = {field: table.index(getattr(params, field), field) for field in ("user", "item", "rating")}
    if len(set(chosen.values())) < 3:
        raise ComponentError(f"user, item and rating are three columns of {table.name}, and two of these are the same")
    user, item, written = (pl.col(str(column)) for column in chosen.values())
    rows = table.frame.select(
        user=user, item=item, rating=written.cast(pl.Float32, strict=False), written=written, over=pl.col("over")
    )
    good = rows.select(
        good=pl.col("rating").is_finite().fill_null(False)
        & pl.col("user").is_not_null()
        & pl.col("item").is_not_null()
        & pl.col("over").is_null()
    )["good"]
    if not good.all():
        table.refuse(rows.select(_reasons(table.width)))
    return rows.select("user", "item", "rating")


def _reasons(width: int) -> list[pl.Expr]:
    rating, written = pl.col("rating"), pl.col("written")
    return [
        pl.when(pl.col("user").is_null()).then(pl.lit("no user")).alias("user"),
        pl.when(pl.col("item").is_null()).then(pl.lit("no item")).alias("item"),
        pl.when(written.is_null())
        .then(pl.lit("no rating"))
        .when(rating.is_null())
        .then(pl.format("rating `{}` is not a number", written))
        .when(~rating.is_finite())
        .then(pl.format("rating `{}` is not a finite number", written))
        .alias("rating"),
        pl.when(pl.col("over").is_not_null()).then(pl.lit(f"more than {width} fields")).alias("over"),
    ]


def _coded(ids: pl.Series, labels: Sequence[str]) -> pl.Series:
    codes = pl.int_range(1, len(labels) + 1, eager=True)
    return ids.replace_strict(pl.Series(labels, dtype=pl.String), codes, default=0, return_dtype=pl.Int64)


def _tensor(series: pl.Series) -> torch.Tensor:
    return torch.from_numpy(series.to_numpy(writable=True))


def _count(n: int, kind: str) -> str:
    return f"{n} {kind}" if n == 1 else f"{n} {kind}s"
