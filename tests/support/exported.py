"""Small specs whose runs are exported, served and asked in tests."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from pathlib import Path

import dotexp
from dotexp.runs.folder import RunFolder

DIGITS = """
experiment digits "Five digits | <b>bold</b>"
data digits(classes = 0..4, size = 16, batch_size = 64)
model {
  body resnet18(weights = none)
  head mlp([16])
}
loss cross_entropy
metrics accuracy
runtime(threads = 1)
stage all { fit one_cycle(epochs = 1, lr = 1e-3) }
"""

FILMS = """
experiment films
data ratings("ratings.csv", batch_size = 8)
model embedding_dot_bias(factors = 3)
loss mse
metrics rmse
runtime(threads = 1)
stage all { fit one_cycle(epochs = 1, lr = 5e-3) }
"""


def write_ratings(path: Path, without: Collection[tuple[int, int]] = ()) -> None:
    """Write the ratings of 9 users and 7 items: all pairs but those that are left out."""
    pairs = (pair for pair in product(range(9), range(7)) if pair not in without)
    rows = (f"u{user},i{item},{1 + (user * item) % 5}" for user, item in pairs)
    path.write_text("user,item,rating\n" + "\n".join(rows) + "\n")


def train_films(folder: Path, without: Collection[tuple[int, int]] = ()) -> RunFolder:
    """Train FILMS in a folder, on the ratings of `write_ratings`."""
    write_ratings(folder / "ratings.csv", without)
    return _trained(folder / "films.exp", FILMS)


def train_digits(folder: Path, text: str = DIGITS) -> RunFolder:
    """Train DIGITS, or another text of it, in a folder."""
    return _trained(folder / "digits.exp", text)


def _trained(spec: Path, text: str) -> RunFolder:
    spec.write_text(text)
    return dotexp.run(spec, runs=spec.parent / "runs", report=False)
