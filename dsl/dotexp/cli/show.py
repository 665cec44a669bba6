"""`spec-runner show`."""

from __future__ import annotations

from typing import Any

import click
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dotexp.cli.output import json_option, print_json, print_line, print_table
from dotexp.components.component import AnyFacts, Component
from dotexp.components.facts import BodyFacts, Facts
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.binding import is_positional
from dotexp.experiment.bounds import bounds_of
from dotexp.experiment.text import value_text
from dotexp.language.diagnostics import CODES, UsageError, closest


@click.command("show")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Describe a component: parameters, types, bounds, defaults, who provides it.

    NAME is a component's (adam, vision.resnet34), a kind's (optimizer), or a diagnostic's code (E203); without it,
    everything on offer is listed.
    """
    registry = load_registry()
    if name is not None and name in CODES:
        _show_code(name, as_json)
        return
    found = _find(registry, name)
    if as_json:
        print_json({"format_version": 1, "components": [_row(component, registry) for component in found]})
    elif name is None or name in registry.kinds:
        print_table([(c.kind, c.name, c.doc) for c in found], ("kind", "name", "what it is"))
    else:
        for component in found:
            _show(component, registry)


def _find(registry: Registry, name: str | None) -> list[Component]:
    if name is None:
        return list(registry.components)
    owner, _, bare = name.rpartition(".")
    found = [
        component
        for component in registry.components
        if (component.name == bare and component in registry.find(component.kind, bare, owner or None))
        or (not owner and component.kind == name)
    ]
    if found:
        return found
    near = closest(bare, [*registry.kinds, *(component.name for component in registry.components)])
    hint = f"did you mean `{near}`?" if near else "`spec-runner show` lists everything"
    raise UsageError(f"nothing installed is called `{name}`: {hint}")


def _show_code(code: str, as_json: bool) -> None:
    if as_json:
        print_json({"format_version": 1, "code": code, "about": CODES[code]})
    else:
        click.echo(f"{code}: {CODES[code]} (dsl/README.md has more)")


def _show(component: Component, registry: Registry) -> None:
    provider = registry.provider(component)
    print_line(f"{component.kind} {component.name}: {component.doc}")
    print_line(f"  from plugin {provider.name} ({provider.distribution} {provider.version})")
    facts = _facts(component)
    if isinstance(facts, BodyFacts) and facts.layers:
        print_line(f"  layers: {', '.join(facts.layers)}")
        print_line("  groups: " + ", ".join(f"{g.name} [{', '.join(g.layers)}]" for g in facts.groups))
    if isinstance(facts, Facts) and facts.tasks:
        print_line(f"  for: {', '.join(facts.tasks)}")
    if isinstance(facts, BodyFacts) and (facts.smallest or facts.largest):
        print_line(f"  images: {_sides(facts)}")
    rows = [_cells(name, field) for name, field in component.params.model_fields.items()]
    if rows:
        print_table(rows, ("  parameter", "type", "bounds", "default", "what it is"))
    click.echo()


def _facts(component: Component) -> AnyFacts | None:
    """Facts, of the default parameters where they depend on those; None where there are no defaults."""
    if any(field.is_required() for field in component.params.model_fields.values()):
        return None if callable(component.facts) else component.facts
    return component.facts_for(component.params())


def _sides(facts: BodyFacts) -> str:
    if facts.smallest == facts.largest:
        return f"{facts.smallest} × {facts.smallest} pixels"
    ends = (("from", facts.smallest), ("up to", facts.largest))
    return " ".join(f"{word} {side} × {side}" for word, side in ends if side) + " pixels"


def _cells(name: str, field: FieldInfo) -> tuple[str, ...]:
    shown = f"  {name}" + (" (positional)" if is_positional(field) else "")
    return shown, expected_for(field).words(), bounds_of(field), _default(field), field.description or ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True, validated_data={})
    return "" if default is PydanticUndefined else value_text(default)


def _row(component: Component, registry: Registry) -> dict[str, Any]:
    provider = registry.provider(component)
    return {
        "kind": component.kind,
        "name": component.name,
        "doc": component.doc,
        "provider": {"name": provider.name, "distribution": provider.distribution, "version": provider.version},
        "parameters": [
            {
                "name": name,
                "positional": is_positional(field),
                "type": expected_for(field).words(),
                "bounds": bounds_of(field),
                "required": field.is_required(),
                "default": None if field.is_required() else _default(field),
                "doc": field.description or "",
            }
            for name, field in component.params.model_fields.items()
        ],
    }
