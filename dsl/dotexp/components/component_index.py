"""The index of a plugin's components, so that a module is imported when a spec names one of its components.

A plugin's face lists the modules that declare components; `components.json` beside the face says what they are called.
A name that is not in the index is looked for in the modules themselves, so an index that lacks one only costs time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

from dotexp.components.component import Component, ComponentModule

INDEX = "components.json"


def component_modules(face: str, *modules: str) -> list[ComponentModule]:
    """Return the modules of a plugin that list components in `COMPONENTS`, with what the index says of each.

    `face` is the face's `__name__`, from which the modules are named: `component_modules(__name__, "models.params")`.
    """
    try:
        index = json.loads(index_path(face).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        index = {}
    return [ComponentModule(f"{face}.{module}", index.get(module)) for module in modules]


def index_path(face: str) -> Path:
    """Return where a plugin's index is: beside its face, which is imported."""
    return Path(sys.modules[face].__file__ or "").with_name(INDEX)


def index_text(face: str, modules: Iterable[ComponentModule]) -> str:
    """Write the index of a plugin's modules, which are imported for it: a line for each kind of each module."""
    entries = []
    for module in modules:
        names: dict[str, list[str]] = {}
        components: Sequence[Component] = import_module(module.path).COMPONENTS
        for component in components:
            names.setdefault(component.kind, []).append(component.name)
        kinds = ",\n".join(f"    {json.dumps(kind)}: {json.dumps(each)}" for kind, each in names.items())
        entries.append(f"  {json.dumps(module.path.removeprefix(f'{face}.'))}: {{\n{kinds}\n  }}")
    return "{\n" + ",\n".join(entries) + "\n}\n"
