"""Checks of a plugin's face: what it declares of each component, and that it imports without torch."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from dotexp.components.component import Component, load_attribute
from dotexp.components.facts import BodyFacts
from dotexp.components.kinds import Kind
from dotexp.components.params import former_members_of
from dotexp.components.published_layers import layers_fault
from dotexp.components.registry import load_registry
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.binding import former_names
from dotexp.experiment.bounds import bounds_of
from dotexp.language.diagnostics import Problem
from dotexp.testing.trial import Outcome, outcomes, require

HEAVY = ("torch", "torchvision", "torchmetrics", "timm", "sklearn", "polars")
"""Packages that light commands such as `check` never import, so that they answer at once."""

LIGHT_BUILDERS = ("policy", "learning_rate", "stages")
"""Kinds whose builders `check` and `plan` call, and that import none of these packages either."""


def component_outcomes(component: Component, kinds: Mapping[str, Kind]) -> list[Outcome]:
    """Check what a component declares."""
    subject = f"{component.kind.replace('_', ' ')} `{component.name}`"
    if component.kind not in kinds:
        unknown = Problem(f"no such kind; kinds are {', '.join(kinds)}", help="declare it by the hook dotexp_kinds")
        return outcomes(subject, "kind", lambda: [unknown])
    kind = kinds[component.kind]
    return [
        *outcomes(subject, "declared", lambda: _declared(component, kind)),
        *outcomes(subject, "documented", lambda: _documented(component)),
        *outcomes(subject, "parameters", lambda: _parameters(component)),
        *outcomes(subject, "defaults", lambda: _defaults(component, kind)),
        *outcomes(subject, "layers and groups", lambda: _layers(component)),
        *outcomes(subject, "builder", lambda: _builder(component, kind)),
    ]


def check_component(component: Component, kinds: Iterable[Kind] = ()) -> None:
    """Assert what the language relies on: a declared kind, documented and bounded parameters, defaults that validate,
    facts of the kind's class, groups that hold every layer, a builder that imports and takes what its kind says.

    `kinds` are those that the plugin itself declares; the kinds of installed plugins are known. The face's own imports
    are checked by `check_face`.
    """
    require(component_outcomes(component, {**_installed_kinds(), **{kind.name: kind for kind in kinds}}))


@cache
def _installed_kinds() -> Mapping[str, Kind]:
    return load_registry().kinds


def _declared(component: Component, kind: Kind) -> Iterator[Problem]:
    if not component.name.isidentifier():
        yield Problem("its name is not an identifier", help="take letters, digits and _")
    if not issubclass(component.params, kind.params):
        yield Problem(f"its parameters are not a subclass of {kind.params.__name__}", help="extend that class")


def _documented(component: Component) -> Iterator[Problem]:
    inherited = component.params.__doc__ in {base.__doc__ for base in component.params.__mro__[1:]}
    if not component.about and (not component.params.__doc__ or inherited):
        help = "write what the component is into its docstring: `spec-runner show` prints it"
        yield Problem(f"{component.params.__name__} has no docstring of its own", help=help)
    for name, field in component.params.model_fields.items():
        if not field.description:
            yield Problem(
                f"parameter `{name}` has no description", help="Field(…, description=…), for `spec-runner show`"
            )


def _parameters(component: Component) -> Iterator[Problem]:
    fields = component.params.model_fields
    for name, field in fields.items():
        yield from _field(f"parameter `{name}`", field)
        for former in former_names(field):
            if former in fields:
                yield Problem(f"parameter `{name}` was called {former}, and another parameter is called that")


def _field(name: str, field: FieldInfo) -> Iterator[Problem]:
    try:
        expected = expected_for(field)
    except TypeError as error:
        yield Problem(f"{name}: {error}", help="take a type of the table under Parameters in plugins/README.md")
        return
    for enum in expected.enums:
        unknown = set(former_members_of(enum).values()) - {member.value for member in enum}
        if unknown:
            yield Problem(f"{name}: a former member of {enum.__name__} stands for {unknown}, which is no member")
    for hidden in sorted({"true", "false", "none"} & set(expected.members)):
        yield Problem(f"{name}: a spec cannot name {hidden}, which is a constant of the language")
    if not bounds_of(field) and _holds_numbers(field.annotation):
        yield Problem(
            f"{name} holds numbers without bounds", help="Field(…, ge=…, le=…): `check` refuses what is outside"
        )


def _holds_numbers(annotation: Any) -> bool:
    return annotation in (int, float) or any(_holds_numbers(argument) for argument in get_args(annotation))


def _defaults(component: Component, kind: Kind) -> Iterator[Problem]:
    if any(field.is_required() for field in component.params.model_fields.values()):
        return
    try:
        params = component.params()
    except ValidationError as error:
        yield Problem(f"the defaults do not validate: {error}")
        return
    facts = component.facts_for(params)
    if facts is not None and not isinstance(facts, kind.facts):
        yield Problem(
            f"its facts are a {type(facts).__name__}", help=f"a {kind.name}'s facts are {kind.facts.__name__}"
        )


def _layers(component: Component) -> Iterator[Problem]:
    facts = component.facts
    if isinstance(facts, BodyFacts) and (fault := layers_fault(facts, component.kind)):
        yield Problem(
            fault, help="the groups hold every layer once, in order; a body's hold `head` as well, at the end"
        )


def _builder(component: Component, kind: Kind) -> Iterator[Problem]:
    build = load_attribute(component.build)
    if not callable(build):
        yield Problem(f"{component.build} is not a function")
        return
    takes = ("params", *(["variant"] if component.variant is not None else []), *kind.takes)
    try:
        inspect.signature(build).bind(*takes)
    except TypeError as error:
        yield Problem(f"{component.build} does not take ({', '.join(takes)}): {error}")


_IMPORTING = """
import builtins, sys, traceback
HEAVY, modules = set(sys.argv[1].split()), sys.argv[2:]
importing = builtins.__import__
def watched(name, *arguments, **more):
    top = name.partition(".")[0]
    if top in HEAVY and top not in sys.modules:
        frame = sys._getframe(1)
        print(f"imports {top} ({frame.f_globals.get('__name__')}, line {frame.f_lineno})")
        sys.exit(3)
    return importing(name, *arguments, **more)
builtins.__import__ = watched
try:
    for module in modules:
        __import__(module)
except Exception as error:
    print(f"does not import: {type(error).__name__}: {error}")
    sys.exit(4)
for top in HEAVY & sys.modules.keys():
    print(f"imports {top}")
    sys.exit(3)
"""


_IMPORTS_HEAVY = 3


def face_findings(face: str, components: Sequence[Component] = ()) -> Iterator[Problem]:
    """Import a face, what declares its components, and the builders of policies, in an interpreter of its own."""
    light = [component.build.partition(":")[0] for component in components if component.kind in LIGHT_BUILDERS]
    declaring = [component.params.__module__ for component in components]
    modules = dict.fromkeys([face, *declaring, *light])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _IMPORTING, " ".join(HEAVY), *modules]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["it ends Python"]
        heavy = done.returncode == _IMPORTS_HEAVY
        help = "import it in the module that `build` names: `spec-runner check` imports every face, and no torch"
        yield Problem(f"{face} {said[-1]}", help=help if heavy else "")


def check_face(module: str) -> None:
    """Assert that a plugin's face imports none of torch and the like, in an interpreter of its own."""
    require(outcomes(module, "face", lambda: face_findings(module)))
