"""Documents to experiments: names looked up, defaults filled in, everything checked that needs no data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from dotexp.components.registry import Registry
from dotexp.experiment.assemble import assemble
from dotexp.experiment.binding import Binder
from dotexp.experiment.drafts import Drafts
from dotexp.experiment.experiment import Experiment
from dotexp.experiment.merge import Merged, merge
from dotexp.experiment.overrides import Override, override_params
from dotexp.experiment.overriding import make_drafts
from dotexp.experiment.scope import Scope, drop_circles
from dotexp.language.decoding import read_bounded
from dotexp.language.diagnostics import Collector, Diagnostic
from dotexp.language.keywords import STAGE, TOP, in_place
from dotexp.language.machine_faults import file_fault, is_mistake, reason
from dotexp.language.parser import parse, read
from dotexp.language.source import Source, Span
from dotexp.language.syntax_tree import Document, Extends, Param, Value
from dotexp.record import Record, values_of


class Resolved(NamedTuple):
    """An experiment, and what it was made of.

    `origins` is where each value was written, by its path, and `nodes` the value as written; `expansions` are the
    places of statements that a component expands to stages.
    """

    experiment: Experiment
    origins: Mapping[str, Span]
    diagnostics: tuple[Diagnostic, ...]
    document: Document
    overrides: tuple[Override, ...] = ()
    params: Mapping[str, Param] = MappingProxyType({})
    nodes: Mapping[str, Value] = MappingProxyType({})
    expansions: Collection[Span] = ()

    @property
    def source(self) -> Source:
        """The text of the spec."""
        return self.document.source


_OF_A_LOST_BASE = ("E201", "E208", "E212", "E214", "W501")
"""Faults that may follow from a base that could not be read: what they miss may stand there."""


def resolve(
    document: Document, registry: Registry, overrides: Sequence[Override] = ()
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """Resolve a document: the experiment (None where there is an error), and every diagnostic, the document's too.

    Opens no file but the bases that the document extends.
    """
    collector = Collector(list(document.faults))
    merged = merge(document, _Opener(collector), collector)
    experiment, drafts, params = _experiment(merged, registry, overrides, collector)
    if experiment is not None:
        _report_idle(experiment, merged, registry, overrides, collector)
    found = [each for each in collector.diagnostics if merged.complete or each.code not in _OF_A_LOST_BASE]
    diagnostics = _in_order(found, drafts.expansions)
    if experiment is None or collector.failed:
        return None, diagnostics
    binder = drafts.binder
    resolved = Resolved(
        experiment, binder.origins, diagnostics, document, tuple(overrides), params, binder.nodes, drafts.expansions
    )
    return resolved, diagnostics


def _experiment(
    merged: Merged, registry: Registry, overrides: Sequence[Override], collector: Collector
) -> tuple[Experiment | None, Drafts, Mapping[str, Param]]:
    params, rest = override_params(merged.params, overrides)
    sound = drop_circles(params, collector)
    undefined = frozenset({*merged.unread_params, *params} - sound.keys())
    binder = Binder(Scope(registry, collector, sound, undefined=undefined))
    drafts = make_drafts(merged, rest, binder)
    experiment = assemble(merged, drafts)
    for name, param in sound.items():
        if name not in binder.scope.used and name not in merged.unread_names:
            collector.report("W501", _unused(name), param.name.span)
    return experiment, drafts, params


def _unused(param: str) -> str:
    return f"nothing uses the param `{param}`"


def _report_idle(
    experiment: Experiment,
    merged: Merged,
    registry: Registry,
    overrides: Sequence[Override],
    collector: Collector,
) -> None:
    """W509 for each override without which the run would be the same."""
    told = {each.message for each in collector.diagnostics if each.code == "W501"}
    for override in overrides:
        others = [each for each in overrides if each is not override]
        without, _, _ = _experiment(merged, registry, others, Collector())
        if without is not None and _effective(without) == _effective(experiment):
            help = (
                "it has this value already"
                if without == experiment
                else "every stage replaces it: set it in the stages"
            )
            if _unused(override.said) in told:
                help = "nothing uses this param"
            collector.report("W509", f"`{override.said}` changes nothing", override.span, help=help)


def _effective(experiment: Experiment) -> tuple[Any, ...]:
    """What of an experiment a run depends on: of what a stage may replace, what is in force in the stages."""
    replaced = {each.field for each in in_place(STAGE) if TOP in each.places} - {"data"}
    return tuple(value for name, value in values_of(experiment).items() if name not in replaced)


def _in_order(diagnostics: Sequence[Diagnostic], expansions: Collection[Span]) -> tuple[Diagnostic, ...]:
    """Put diagnostics in the order of the text; none suggests a text for a statement of which it concerns a part."""
    placed = Collector()
    for each in diagnostics:
        placed.add(each.replace(suggestion=None, related=()) if each.span in expansions else each)
    return placed.sorted()


class _Opener(Record):
    collector: Collector

    def __call__(self, source: Source, extends: Extends) -> Document | None:
        path = source.folder / extends.path.value
        try:
            data = read_bounded(path)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and not is_mistake(error):
                raise file_fault("read", path, error) from error
            self.collector.report("E211", f"cannot read the base file {path}: {reason(error)}", extends.path.span)
            return None
        base, faults = read(data, str(path), path.parent)
        self.collector.extend(faults)
        if faults:
            return None
        document = parse(base)
        self.collector.extend(document.faults)
        return document
