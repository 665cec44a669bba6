"""Batches of one example, which batch norm cannot train on where it sees one value a channel."""

from __future__ import annotations

from collections.abc import Mapping

from dotexp.components.bases import DataParams, ImageDataParams
from dotexp.components.component import Use
from dotexp.components.facts import BodyFacts
from dotexp.experiment.experiment import Freeze, Model, Unfreeze, frozen_layers
from dotexp.experiment.outline import StageOutline
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span

HELP = "a batch of 2 or more; `accumulate` makes a step of several batches where memory is short"


def check_batch_of_one(
    stages: tuple[StageOutline, ...], model: Model | None, origins: Mapping[str, Span], collector: Collector
) -> None:
    """E305 for stages that train batch norm on batches of one, where the model's facts say that it fails."""
    told: set[Span | None] = set()
    for stage in stages:
        data = stage.uses.get("data")
        if data is None or model is None or stage.freeze is None or not _is_one(data):
            continue
        name = _refuses_one(model, data, stage.freeze)
        span = batch_span(stage.name, origins)
        if name is not None and span not in told:
            told.add(span)
            written = f"stage.{stage.name}.data.batch_size" in origins
            collector.report("E305", refusal(name), span, suggestion="2" if written else None, help=HELP)


def batch_span(stage: str, origins: Mapping[str, Span]) -> Span | None:
    """Return the place that says a stage's batch size, else its data."""
    return origins.get(f"stage.{stage}.data.batch_size") or origins.get(f"stage.{stage}.data")


def refusal(name: str) -> str:
    """Say what of a model cannot train on batches of one: a component, or a layer by its name in the network."""
    return f"`{name}` has batch norm that sees one value a channel, so it cannot train on batches of one"


def _is_one(data: Use) -> bool:
    return isinstance(data.params, DataParams) and data.params.batch_size == 1


def _refuses_one(model: Model, data: Use, freeze: Freeze) -> str | None:
    """Name the component of a model that cannot train on a batch of one; None where none is known."""
    kept = None if isinstance(freeze, Unfreeze) else freeze.kept
    frozen = frozenset[str]() if kept is not None else frozen_layers(freeze, model.layers, model.groups)
    body, head = model.body, model.head or model.whole
    last = model.layers[-1] if model.whole is None else None
    if head is not None and head.facts.smallest_batch > 1 and (last is None or last not in frozen):
        return head.name
    if body is None or not isinstance(data.params, ImageDataParams) or len(model.layers) < 2:
        return None
    side = body.facts_as(BodyFacts).single_value_side or 0
    return body.name if data.params.size <= side and model.layers[-2] not in frozen else None
