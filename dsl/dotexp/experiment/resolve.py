"""Documents to experiments: names looked up, defaults filled in, everything checked that needs no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from dotexp.components.registry import Registry
from dotexp.experiment.assemble import assemble
from dotexp.experiment.binding import Binder
from dotexp.experiment.experiment import Experiment
from dotexp.experiment.merge import merge
from dotexp.experiment.overrides import override_params, parse_overrides
from dotexp.experiment.overriding import make_drafts
from dotexp.experiment.scope import Scope, drop_circles
from dotexp.language.decoding import read_bounded
from dotexp.language.diagnostics import Collector, Diagnostic
from dotexp.language.parser import parse, read
from dotexp.language.source import Source, Span
from dotexp.language.syntax_tree import Document, Extends, Param


class Resolved(NamedTuple):
    """An experiment, where its values were written, the warnings, the text and overrides it came from, its params."""

    experiment: Experiment
    origins: Mapping[str, Span]
    diagnostics: tuple[Diagnostic, ...]
    source: Source
    overrides: tuple[str, ...] = ()
    params: Mapping[str, Param] = MappingProxyType({})


_OF_A_LOST_BASE = ("E201", "E208", "E212", "E214", "W501")
"""Faults that may follow from a base that could not be read: what they miss may stand there."""


def resolve(
    source: Source, registry: Registry, overrides: Sequence[str] = ()
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """Parse and resolve text: the experiment (None where there is an error), and every diagnostic in one pass."""
    collector = Collector()
    document, faults = parse(source)
    collector.extend(faults)
    merged = merge(document, _Opener(collector), collector)
    params, rest = override_params(merged.params, parse_overrides(overrides, collector))
    sound = drop_circles(params, collector)
    undefined = frozenset({*merged.unread_params, *params} - sound.keys())
    binder = Binder(Scope(registry, collector, sound, undefined=undefined))
    drafts = make_drafts(merged, rest, binder)
    experiment = assemble(merged, drafts)
    for name, param in sound.items():
        if name not in binder.scope.used and name not in merged.unread_names:
            collector.report("W501", f"nothing uses the param `{name}`", param.name.span)
    found = [each for each in collector.diagnostics if merged.complete or each.code not in _OF_A_LOST_BASE]
    diagnostics = _place(found, drafts.generated)
    if experiment is None or collector.failed:
        return None, diagnostics
    return Resolved(experiment, binder.origins, diagnostics, source, tuple(overrides), params), diagnostics


def _place(diagnostics: Sequence[Diagnostic], generated: Mapping[Source, Span]) -> tuple[Diagnostic, ...]:
    """Put diagnostics in the order of the text; those in expanded text point at the statement expanded."""
    placed = Collector()
    for diagnostic in diagnostics:
        span = generated.get(diagnostic.span.source) if diagnostic.span else None
        placed.add(diagnostic if span is None else replace(diagnostic, span=span, suggestion=None, related=()))
    return placed.sorted()


@dataclass(frozen=True)
class _Opener:
    collector: Collector

    def __call__(self, source: Source, extends: Extends) -> Document | None:
        path = source.folder / extends.path.value
        try:
            data = read_bounded(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            message = f"cannot read the base file {path}: {reason}"
            self.collector.report("E211", message, extends.path.span)
            return None
        base, faults = read(data, str(path), path.parent)
        self.collector.extend(faults)
        if faults:
            return None
        document, more = parse(base)
        self.collector.extend(more)
        return document
