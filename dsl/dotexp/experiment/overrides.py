"""`--set path=value`: the same grammar and the same checks as a file's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from dotexp.experiment.nodes import value_node
from dotexp.experiment.text import value_text
from dotexp.language.diagnostics import Collector, Diagnostic, Related
from dotexp.language.keywords import BY_WORD, KEYWORDS, Form
from dotexp.language.parser import parse_freeze, parse_listing, parse_value
from dotexp.language.source import Source, Span, source_from_text
from dotexp.language.syntax_tree import Freeze, Param, Text, Value

FLAG = "--set"

_LISTINGS = {each.path for each in KEYWORDS if each.form is Form.listing}


class Override(NamedTuple):
    """One assignment: the path's parts and what is put there."""

    path: tuple[str, ...]
    value: Value | Freeze
    span: Span

    @property
    def said(self) -> str:
        """The path as written."""
        return ".".join(self.path)

    @property
    def text(self) -> str:
        """The whole as it is written behind `--set`."""
        return f"{self.said}={self.span.source.text}"


def override_of(path: str, value: object, flag: str = FLAG) -> Override:
    """Return an override with a Python value in place of text; `flag` stands for it in diagnostics.

    Raises TypeError where the language has no such value.
    """
    source = source_from_text(value_text(value), f"{flag} {path}" if flag == FLAG else flag)
    span = source.span(0, len(source.text))
    return Override(tuple(path.split(".")), value_node(value, span), span)


def parse_overrides(texts: Iterable[str | Override], collector: Collector) -> list[Override]:
    """Parse assignments, reporting those that cannot be; relative paths in them start at the current folder."""
    overrides: list[Override] = []
    for text in texts:
        override = text if isinstance(text, Override) else _parsed(text, collector)
        if override is None:
            continue
        twice = next((each for each in overrides if each.path == override.path), None)
        if twice is None:
            overrides.append(override)
        else:
            related = (Related("first given here", twice.span),)
            collector.report("E202", f"`{override.said}` is given twice", override.span, related=related)
    return overrides


def _parsed(text: str, collector: Collector) -> Override | None:
    left, equals, right = text.partition("=")
    path = tuple(part.strip() for part in left.split("."))
    if not equals or not all(path) or not right:
        source = source_from_text(text, FLAG)
        message = "an override is written path=value"
        collector.report("E212", message, source.span(0, len(source.text)), help="for example optimizer.wd=0.1")
        return None
    source = source_from_text(right.strip() or right, f"{FLAG} {left.strip()}", Path())
    span = source.span(0, len(source.text))
    if not _is_freeze(path):
        value: Value | None = parse_listing(source)[0] if path[-1] in _LISTINGS else None
        faults: tuple[Diagnostic, ...] = ()
        if value is None:
            value, faults = parse_value(source)
        if faults and not source.text.startswith(('"', 'r"')):  # it may be text whose quotes the shell took away
            value, faults = Text(source.text, span, faults), ()
        collector.extend(faults)
        return None if value is None else Override(path, value, span)
    freeze, faults = parse_freeze(source)
    collector.extend(faults)
    return None if freeze is None else Override(path, freeze, span)


def from_command_line(source: Source) -> bool:
    """Whether text was given with `--set`."""
    return source.name.startswith(FLAG)


def whole_override(value: Value) -> bool:
    """Whether a value is all that an override assigns, so that text in it needs no quotes."""
    return from_command_line(value.span.source) and (value.span.start, value.span.end) == (
        0,
        len(value.span.source.text),
    )


def may_be_path(text: str) -> bool:
    """Whether text looks like a path and like no other value of the language."""
    plain = not any(sign in text for sign in '"[]{}()=,') and " #" not in text
    return plain and any(sign in text for sign in "/\\.")


def _is_freeze(path: tuple[str, ...]) -> bool:
    return len(path) == 3 and path[0] == "stage" and path[2] == BY_WORD["freeze"].path


def override_params(
    params: Mapping[str, Param], overrides: Iterable[Override]
) -> tuple[dict[str, Param], list[Override]]:
    """Give params the values set for them; return them and the overrides that are left, whole components first."""
    changed, rest = dict(params), []
    for override in sorted(overrides, key=lambda each: len(each.path)):
        param = changed.get(override.path[0]) if len(override.path) == 1 else None
        if param is None or isinstance(override.value, Freeze):
            rest.append(override)
        else:
            changed[param.name.text] = param._replace(value=override.value)
    return changed, rest
