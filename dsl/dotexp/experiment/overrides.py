"""`--set path=value`: the same grammar and the same checks as a file's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from dotexp.language.diagnostics import Collector
from dotexp.language.parser import parse_freeze, parse_value
from dotexp.language.source import Source, Span, source_from_text
from dotexp.language.syntax_tree import Freeze, Param, Text, Value

FLAG = "--set"


class Override(NamedTuple):
    """One assignment: the path's parts and what is put there."""

    path: tuple[str, ...]
    value: Value | Freeze
    span: Span

    @property
    def said(self) -> str:
        """The path as written."""
        return ".".join(self.path)


def parse_overrides(texts: Iterable[str], collector: Collector) -> list[Override]:
    """Parse assignments; relative paths in them start at the current folder."""
    overrides = []
    for text in texts:
        left, equals, right = text.partition("=")
        path = tuple(part.strip() for part in left.split("."))
        if not equals or not all(path) or not right.strip():
            source = source_from_text(text, FLAG)
            message = "an override is written path=value"
            collector.report("E212", message, source.span(0, len(source.text)), help="for example optimizer.wd=0.1")
            continue
        source = source_from_text(right.strip(), f"{FLAG} {left.strip()}", Path())
        value, faults = parse_freeze(source) if _is_freeze(path) else parse_value(source)
        span = source.span(0, len(source.text))
        if faults and _may_be_path(source.text):
            value, faults = Text(source.text, span, faults), ()
        collector.extend(faults)
        if value is not None:
            overrides.append(Override(path, value, span))
    return overrides


def from_command_line(source: Source) -> bool:
    """Whether text was given with `--set`."""
    return source.name.startswith(FLAG)


def _may_be_path(text: str) -> bool:
    return ("/" in text or "\\" in text or "." in text) and not any(sign in text for sign in '"[]{}()=,')


def _is_freeze(path: tuple[str, ...]) -> bool:
    return len(path) == 3 and path[0] == "stage" and path[2] == "freeze"


def override_params(
    params: Mapping[str, Param], overrides: Iterable[Override]
) -> tuple[dict[str, Param], list[Override]]:
    """Give params the values set for them; return them and the overrides that are left."""
    changed, rest = dict(params), []
    for override in overrides:
        param = changed.get(override.path[0]) if len(override.path) == 1 else None
        if param is None or isinstance(override.value, Freeze):
            rest.append(override)
        else:
            changed[param.name.text] = param._replace(value=override.value)
    return changed, rest
