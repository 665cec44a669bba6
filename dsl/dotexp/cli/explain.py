"""`spec-runner explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from pydantic_core import PydanticUndefined

from dotexp.cli.output import columns, json_option, print_diagnostics, print_json, print_line, print_table, set_option
from dotexp.cli.tables import screen_width
from dotexp.components.component import Component, Use
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.binding import former_names
from dotexp.experiment.bounds import bounds_of
from dotexp.experiment.checking import load
from dotexp.experiment.drafts import RUNTIME
from dotexp.experiment.experiment import FreezeBefore, FreezeLayers, Unfreeze
from dotexp.experiment.json import json_value
from dotexp.experiment.overrides import from_command_line
from dotexp.experiment.settings import GROUPS, OriginKind, Setting, settings_of
from dotexp.experiment.text import value_text
from dotexp.language.diagnostics import UsageError
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Constant, Number, Param, Text, Value


@click.command("explain")
@click.argument("spec")
@click.argument("path", required=False)
@set_option
@json_option
def command(spec: str, path: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what a setting is, what it does, and where its value comes from.

    PATH is one that --set takes, such as stage.head.fit.lr; without it, or where it leads to several, they are listed.
    SPEC is a file, or - for standard input.
    """
    registry = load_registry()
    resolved = load(spec, overrides, registry)
    print_diagnostics(resolved.diagnostics, err=True)
    every = settings = settings_of(resolved, registry)
    if path is not None:
        path = _current(path, every)
        settings = _at(path, every)
    if as_json:
        rows = [_row(each, registry) for each in settings]
        print_json({"format_version": 1, "experiment": resolved.experiment.name, "settings": rows})
        return
    if path is not None and settings[0].path == path:
        _explain(settings[0], registry, every)
        settings = settings[1:]
        if settings:
            click.echo()
    shown = [each for each in settings if path is not None or not each.outside]
    if shown:
        print_table([(each.path, _brief(each), _from(each)) for each in shown], ("path", "value", "from"))


def _at(path: str, settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """Return the setting at a path and those under it. Raises UsageError where there are none."""
    found = tuple(each for each in settings if each.path == path or each.path.startswith(f"{path}."))
    if not found:
        from dotexp.experiment.override_hints import similar_paths

        hint = similar_paths(path.split("."), [each.path for each in settings])
        raise UsageError(f"there is nothing at `{path}`: {hint}")
    return found


def _current(path: str, settings: Sequence[Setting]) -> str:
    """Return a path with the current names of parameters in place of former ones, which `--set` takes, too."""
    place = ""
    for part in path.split("."):
        names = {
            former: each.path.rpartition(".")[2]
            for each in settings
            if each.field is not None and each.path.rpartition(".")[0] == place
            for former in former_names(each.field)
        }
        place = f"{place}.{names.get(part, part)}".lstrip(".")
    return place


_WIDEST = 40


def _cut(text: str) -> str:
    widest = max(16, min(_WIDEST, (screen_width() or 4 * _WIDEST) // 4))
    return text if len(text) <= widest else f"{text[: widest - 1]}…"


def _brief(setting: Setting) -> str:
    """The value in a table: of a component its name, since its parameters have lines of their own."""
    return setting.value.name if isinstance(setting.value, Use) else _cut(setting.text)


def _from(setting: Setting) -> str:
    origin = setting.origin
    params = "".join(f", param {param.name.text}" for param in origin.params)
    if origin.span is None:
        return "default"
    return f"{_place(origin.span)}{params}"


def _place(span: Span) -> str:
    return span.source.name if from_command_line(span.source) else f"{span.source.name}:{span.line}:{span.column}"


def _explain(setting: Setting, registry: Registry, every: Sequence[Setting]) -> None:
    print_line(f"{setting.path} = {setting.text}")
    rows = [row for row in _facts(setting, registry) if row[1]]
    if isinstance(setting.value, Value):
        users = [e.path for e in every if not e.outside and any(p.name.text == setting.path for p in e.origin.params)]
        rows.append(("used by", ", ".join(users) or "nothing"))
    click.echo(columns(rows, indent="  "))


def _facts(setting: Setting, registry: Registry) -> Iterator[tuple[str, str]]:
    label = "comes from"
    for said in _origin(setting, registry):
        yield label, said
        label = ""
    yield "what it is", setting.help
    if setting.field is not None:
        bounds = bounds_of(setting.field)
        yield "takes", expected_for(setting.field).words() + (f"; {bounds}" if bounds else "")
        yield "default", "none: it must be given" if setting.field.is_required() else _default(setting)
    if setting.component is not None:
        yield ("parameter of" if setting.field is not None else "component"), _named(setting.component, registry)
    if setting.field is not None and isinstance(setting.value, Use):
        yield setting.value.name, setting.value.component.doc


def _origin(setting: Setting, registry: Registry) -> Iterator[str]:
    """Where the value was written, as it was, and the params in it."""
    origin = setting.origin
    if origin.span is None:
        owner = setting.component if setting.field is not None else None
        yield "the default" if owner is None else f"the default of {_named(owner, registry)}"
    elif origin.kind is OriginKind.override:
        yield f"{_place(origin.span)}={origin.span.source.text}"
    else:
        base = ", a base file" if origin.kind is OriginKind.base else ""
        yield f"{_place(origin.span)}{base}: {_one_line(origin.span)}"
    if origin.kind is OriginKind.stages:
        yield "which stands for this stage"
    yield from (_param(param) for param in origin.params)
    if setting.outside:
        yield f"in force in this stage as outside it: {setting.outside}"


def _named(component: Component, registry: Registry) -> str:
    if component == RUNTIME:
        return "runtime"
    provider = registry.provider(component)
    return f"{component.kind} {component.name}, plugin {provider.name} ({provider.distribution} {provider.version})"


def _param(param: Param) -> str:
    span = param.value.span
    if from_command_line(span.source):
        return f"{_place(span)}={span.source.text}, in place of the param at {_place(param.span)}"
    return f"param {param.name.text} = {_one_line(span)}, at {_place(param.span)}"


def _one_line(span: Span) -> str:
    return _cut(" ".join(span.text.split()))


def _default(setting: Setting) -> str:
    assert setting.field is not None
    default: Any = setting.field.get_default(call_default_factory=True, validated_data={})
    return "" if default is PydanticUndefined else value_text(default, short=True)


def _row(setting: Setting, registry: Registry) -> dict[str, Any]:
    field, origin = setting.field, setting.origin
    component = None
    if setting.component is not None:
        each = setting.component
        component = {"kind": each.kind, "name": each.name, "provider": each.provider}
    return {
        "path": setting.path,
        "text": setting.text,
        "value": _json(setting),
        "help": setting.help,
        "component": component,
        "type": None if field is None else expected_for(field).words(),
        "bounds": None if field is None else bounds_of(field),
        "required": None if field is None else field.is_required(),
        "default": None if field is None or field.is_required() else _default(setting),
        "origin": {
            "kind": str(origin.kind),
            **_span(origin.span),
            "params": [{"name": param.name.text, **_span(param.value.span)} for param in origin.params],
            "outside": setting.outside or None,
        },
    }


def _json(setting: Setting) -> Any:
    match setting.value:
        case Number() | Text() | Constant():
            return setting.value.value
        case Unfreeze() | FreezeBefore() | FreezeLayers():
            return setting.text
        case tuple() if setting.path == GROUPS:
            return [{"name": group.name, "layers": list(group.layers)} for group in setting.value]
    return setting.text if hasattr(setting.value, "span") else json_value(setting.value)


def _span(span: Span | None) -> dict[str, Any]:
    if span is None:
        return {"file": None, "line": None, "column": None, "written": None}
    return {"file": span.source.name, "line": span.line, "column": span.column, "written": span.text}
