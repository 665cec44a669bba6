"""Examples that one stage trains on and another holds out: an error, or a warning for the same names elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span


@dataclass(frozen=True)
class Overlap:
    """The stage `training` trains on `count` examples that the stage `holding` holds out for the `purpose`.

    `first` names one of them. `same` says that they are the very same examples; else they have the same names in
    other folders.
    """

    training: str
    holding: str
    purpose: str
    count: int
    first: str
    same: bool


def report_overlaps(overlaps: Iterable[Overlap], origins: Mapping[str, Span], collector: Collector) -> None:
    """Report overlaps, each at the stage's data that is not the experiment's, the training one's first."""
    for found in overlaps:
        common = origins.get("data")
        own = [origins.get(f"stage.{stage}.data") for stage in (found.training, found.holding)]
        span = next((place for place in own if place not in (None, common)), common)
        examples = f"{found.count} example{'s' * (found.count > 1)}"
        if found.same:
            message = (
                f"the stage `{found.training}` trains on {examples} that the stage `{found.holding}` "
                f"{found.purpose} with (first: {found.first})"
            )
            collector.report("E402", message, span, help="hold out the same examples in all stages")
        else:
            message = (
                f"the stage `{found.training}` trains on {examples} of the names of those that the stage "
                f"`{found.holding}` {found.purpose} with, in another folder (first: {found.first})"
            )
            collector.report("W505", message, span)
