"""Former spellings in a spec's text put right: comments, layout and meaning stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dotexp.components.registry import Registry
from dotexp.experiment.json import as_json
from dotexp.experiment.resolve import resolve
from dotexp.language.diagnostics import Diagnostic, Severity
from dotexp.language.edits import Edit, edited
from dotexp.language.parser import parse
from dotexp.language.source import Source, source_from_text
from dotexp.language.syntax_tree import Document, ExperimentName

_OF_A_BASE = ("E201", "E208", "E214")
"""Faults that a base file has by itself: what it lacks stands in the files that extend it."""


class Upgrade(NamedTuple):
    """A text with current names: the warnings that were followed, and the faults that remain.

    `refused` says why none was followed.
    """

    text: str
    followed: tuple[Diagnostic, ...]
    faults: tuple[Diagnostic, ...]
    refused: str = ""


def upgrade(document: Document, registry: Registry) -> Upgrade:
    """Replace former names of statements, components, parameters and members, in this text and not in its bases."""
    source = document.source
    resolved, diagnostics = resolve(document, registry)
    whole = any(isinstance(each, ExperimentName) for each in document.statements)
    faults = tuple(
        each for each in diagnostics if each.severity is Severity.error and (whole or each.code not in _OF_A_BASE)
    )
    followed = tuple(_former(source, diagnostics))
    edits = [Edit(each.span.start, each.span.end, each.suggestion or "") for each in followed if each.span]
    text = edited(source.text, edits)
    again, _ = resolve(parse(source_from_text(text, source.name, source.folder)), registry)
    if (resolved and as_json(resolved.experiment)) != (again and as_json(again.experiment)):
        return Upgrade(source.text, (), faults, "with the current names it would mean something else")
    return Upgrade(text, followed, faults)


def _former(source: Source, diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Yield the warnings of former names in a text; none of a word that stands for several current ones."""
    warnings = [each for each in diagnostics if each.code == "W507" and each.span is not None and each.suggestion]
    names = {each.span: {other.suggestion for other in warnings if other.span == each.span} for each in warnings}
    for each in warnings:
        if each.span is not None and each.span.source == source and len(names[each.span]) == 1:
            yield each
