"""What a stage's callbacks need of the rest of the experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dotexp.components.component import Use
from dotexp.components.facts import CallbackFacts, DataSignature
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span


def check_callbacks(
    callbacks: Sequence[Use | None],
    place: str,
    data: Use | None,
    metrics: Sequence[Use | None],
    origins: Mapping[str, Span],
    collector: Collector,
) -> None:
    """Check callbacks against the data's inputs, the experiment's metrics and each other; None is an unknown one."""
    known = [metric for metric in metrics if metric is not None]
    for number, callback in enumerate(callbacks):
        if callback is None:
            continue
        span = origins.get(f"{place}.{number}")
        signature = data.facts_as(DataSignature) if data is not None else DataSignature()
        wanted, given = callback.facts.inputs, signature.inputs
        tasks, task = callback.facts.tasks, signature.task
        another_task = tasks and task and task not in tasks  # which is reported of the task
        if data is not None and wanted and given and wanted != given and not another_task:
            collector.report("E305", f"`{callback.name}` takes {wanted}, and `{data.name}` gives {given}", span)
        for name, value in callback.params:
            if isinstance(value, Use) and value.kind == "metric" and find_metric(value, known) is None:
                if len(known) < len(metrics):
                    continue  # the unknown one may be meant
                message = f"`{callback.name}` looks at `{value.name}`, which is not one of the metrics"
                named = ", ".join([*(metric.name for metric in known), value.name])
                where = origins.get(f"{place}.{number}.{name}") or span
                collector.report("E208", message, where, help=f"have it measured: metrics {named}")
    _accumulated_once(callbacks, place, origins, collector)


def find_metric(metric: Use, metrics: Sequence[Use]) -> int | None:
    """Place of a metric among others: of the same one, else of the only one with its name; None where there is none."""
    same = [place for place, other in enumerate(metrics) if other == metric]
    by_name = [place for place, other in enumerate(metrics) if other.name == metric.name]
    return same[0] if same else by_name[0] if len(by_name) == 1 else None


def _accumulated_once(
    callbacks: Sequence[Use | None], place: str, origins: Mapping[str, Span], collector: Collector
) -> None:
    known = [(number, each) for number, each in enumerate(callbacks) if each is not None]
    counts = [(number, each) for number, each in known if each.facts_as(CallbackFacts).batches_per_step > 1]
    for number, callback in counts[1:]:
        message = f"`{callback.name}` says a second time how many batches make a step"
        collector.report("E202", message, origins.get(f"{place}.{number}"))
