"""What a user may like and what is like an item, asked of a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.commands.references import DeviceName, RunReference, as_device, find_run, load_run
from dotexp.components.component import DataContext, Use, load_attribute
from dotexp.experiment.checking import Overrides
from dotexp.language.diagnostics import ComponentError, UsageError
from dotexp.planning.inference import inference_of
from dotexp.runs.folder import DEFAULT_ROOT, RunFolder

if TYPE_CHECKING:
    from dotexp.sdk.data import Data, Trained

Row = dict[str, Any]


def recommend(
    run: RunReference,
    user: str,
    top: int = 10,
    seen: bool = False,
    set: Overrides = (),
    runs: str | Path = DEFAULT_ROOT,
    device: DeviceName = None,
) -> list[Row]:
    """The `top` items that a run rates highest for a user: `rank`, `item`, `title` where there are titles, `value`.

    What the user has rated in the run's data, its validation and test parts included, is left out, unless `seen`;
    with `seen` the data is not opened. `set` may say where the data is now (`data.path=…`). Raises UsageError for a
    user whom the training data did not have, for data that is gone or not what it was, and for a run of another kind.
    """
    data, trained = _asked(run, set, runs, device)
    reference = _answering(data, data.component.recommend, "recommend anything")
    rows: list[Row] = load_attribute(reference)(trained, user, top, seen)
    return rows


def similar_items(
    run: RunReference,
    item: str,
    top: int = 10,
    runs: str | Path = DEFAULT_ROOT,
    device: DeviceName = None,
) -> list[Row]:
    """The `top` items most like an item: `rank`, `item`, `title` where there are titles, `similarity`.

    Similarity is the cosine between the model's vectors of two items, from -1 to 1; biases do not count. Raises
    UsageError for an item that the training data did not have, and for a run of another kind.
    """
    data, trained = _asked(run, (), runs, device)
    reference = _answering(data, data.component.similar, "tell what is like an item")
    rows: list[Row] = load_attribute(reference)(trained, item, top)
    return rows


def _answering(data: Use, reference: str | None, what: str) -> str:
    if reference is None:
        raise UsageError(f"`{data.name}` cannot {what}: that takes ratings of items by users")
    return reference


def _asked(run: RunReference, set: Overrides, runs: str | Path, device: DeviceName) -> tuple[Use, Trained]:
    from dotexp.engine.prediction import trained

    folder = find_run(run, Path(runs))
    experiment = load_run(folder, set).experiment
    data = experiment.stages[-1].data
    inference = inference_of(experiment)
    return data, trained(inference, folder, lambda: _open(data, experiment.seed, folder), as_device(device))


def _open(use: Use, seed: int, folder: RunFolder) -> Data:
    try:
        data: Data = use.build(DataContext(seed))
    except ComponentError as error:
        raise UsageError(f"what the user has rated is not known without the run's data: {error}") from error
    if json.loads(json.dumps(dict(data.facts.vocabulary))) != folder.read_facts().vocabulary:
        raise UsageError(f"the data has other users or items than {folder.path} was trained on")
    return data
