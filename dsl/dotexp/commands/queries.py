"""Queries asked of a finished run, such as what a user may like."""

from __future__ import annotations

from typing import Any

from dotexp.commands.predicting import make_predictor
from dotexp.commands.references import DeviceName, Root, RunReference, as_device, as_id, as_root, find_run
from dotexp.experiment.checking import Overrides
from dotexp.export.predictor import Predictor
from dotexp.runs.folder import DEFAULT_ROOT

Row = dict[str, Any]


def ask(
    run: RunReference,
    query: str,
    value: str | int,
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    **options: Any,
) -> list[Row]:
    """Ask a run a query that its data or model offers, by the query's name; `options` are the query's own.

    `set` may say where the data is now (`data.path=…`). Raises UsageError for a query that the run does not answer, an
    option that the query does not take, and a value that it refuses.
    """
    return open_predictor(run, set, runs, device).ask(query, as_id("the value of a query", value), **options)


def recommend(
    run: RunReference,
    user: str | int,
    top: int = 10,
    seen: bool = False,
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
) -> list[Row]:
    """The `top` items that a run rates highest for a user: `rank`, `item`, `title` where there are titles, `value`.

    What the user has rated in the run's data, its validation and test sets included, is left out, unless `seen`;
    with `seen` the data is not opened. `set` may say where the data is now (`data.path=…`). Raises UsageError for a
    user whom the training data did not have, for data that is gone or not what it was, and for a run of another kind.
    """
    return ask(run, "user", user, set, runs, device, top=top, seen=seen)


def similar_items(
    run: RunReference,
    item: str | int,
    top: int = 10,
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
) -> list[Row]:
    """The `top` items most like an item: `rank`, `item`, `title` where there are titles, `similarity`.

    Similarity is the cosine between the model's vectors of two items, from -1 to 1; biases do not count. Raises
    UsageError for an item that the training data did not have, and for a run of another kind.
    """
    return ask(run, "similar", item, (), runs, device, top=top)


def open_predictor(run: RunReference, set: Overrides, runs: Root, device: DeviceName) -> Predictor:
    """Find a run or bundle, and restore its model."""
    return make_predictor(find_run(run, as_root(runs)), set, None, as_device(device))
