"""A report's tables as plain values; torch is imported when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dotexp.commands.references import (
    DeviceName,
    Root,
    RunReference,
    as_device,
    as_root,
    find_run,
    load_run,
    plan_run,
)
from dotexp.experiment.checking import Overrides, as_overrides
from dotexp.experiment.nodes import argument_nodes
from dotexp.experiment.overrides import Override
from dotexp.language.diagnostics import SpecError, UsageError
from dotexp.language.parser import parse_listing
from dotexp.language.source import source_from_text
from dotexp.language.syntax_tree import Call
from dotexp.runs.folder import DEFAULT_ROOT
from dotexp.sdk.report import Section, Table
from dotexp.sdk.seeds import derive


def interpret(
    run: RunReference,
    report: str,
    *,
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    **parameters: Any,
) -> list[Table]:
    """Ask a report about a finished run and return its tables: `interpret("movielens", "item_bias", top = 10)`.

    `report` is a report component's name, its parameters given by name, or is written as in a spec:
    `"item_bias(top = 10)"`. `set` may say where the data is now (`data.path=…`). A table has a `title`, a `header` and
    `rows`. Nothing is written. Raises SpecError where the report or its parameters are wrong, ComponentError where it
    cannot be made of this run, UsageError for a run without a model.
    """
    import torch

    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.devices import machine
    from dotexp.engine.build.probe import Probe
    from dotexp.engine.reporting import make_subject

    root = as_root(runs)
    folder = find_run(run, root)
    resolved = load_run(folder, [*as_overrides(set), _asking_for(report, parameters)])
    store = DataStore()
    inference = plan_run(resolved, Probe(root, store)).inference
    sections: list[Section] = []
    with machine(inference.runtime, as_device(device)) as chosen:
        subject = make_subject(inference, folder, store, chosen)
        for place, use in enumerate(inference.reports):
            torch.manual_seed(derive(inference.seed, "report", place))
            sections += use.build()(subject)
    return [block for section in sections for block in section.blocks if isinstance(block, Table)]


def _asking_for(report: str, parameters: Mapping[str, Any]) -> Override:
    """Return an override that has this report alone made. Raises SpecError, or UsageError for an odd value."""
    if not isinstance(report, str):
        raise TypeError(f'report is a report written as in a spec, "item_bias(top = 10)", not {type(report).__name__}')
    source = source_from_text(report, "report")
    calls, faults = parse_listing(source)
    if calls is None:
        raise SpecError(faults)
    span = source.span(0, len(source.text))
    if parameters:
        first, *others = calls.items or (None,)
        if not isinstance(first, Call) or others:
            raise UsageError(f"`{report}` is not one report, whose parameters {', '.join(parameters)} could be")
        try:
            call = first._replace(arguments=(*(first.arguments or ()), *argument_nodes(parameters, span)))
        except TypeError as error:
            raise UsageError(f"`{report}`: {error}") from None
        calls = calls._replace(items=(call,))
    return Override(("report",), calls, span)
