"""A plugin's components by kind and name; the module that declares one is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import Distribution
from types import MappingProxyType
from typing import Any

from dotexp.components.component import Component, ComponentModule
from dotexp.components.input_form import check_input_form
from dotexp.components.kinds import Kind
from dotexp.components.params import Params
from dotexp.components.queries import check_queries
from dotexp.components.tasks import Task
from dotexp.language.diagnostics import closest
from dotexp.language.keywords import RESERVED
from dotexp.record import Record
from dotexp.version import __version__

BUILTIN = "dotexp"

Offered = Component | ComponentModule


class Provider(Record):
    """A plugin by its entry point's name: what it offers and declares.

    `refused` says why the plugin does not load, if it does not; `known` are the kinds that its components may have.
    """

    name: str
    offered: tuple[Offered, ...] = ()
    refused: str | None = None
    kinds: tuple[Kind, ...] = ()
    tasks: tuple[Task, ...] = ()
    known: Mapping[str, Kind] = MappingProxyType({})
    module: Any = None
    source: Distribution | None = None

    @cached_property
    def _loaded(self) -> dict[str, tuple[Component, ...]]:
        """Components of the modules that were imported, by the module's path."""
        return {}

    @cached_property
    def _faults(self) -> list[str]:
        """Why modules did not load."""
        return []

    @cached_property
    def distribution(self) -> str:
        """Name of the distribution; read late, since its whole metadata is parsed for it."""
        if self._is_core:
            return BUILTIN
        return self.source.metadata["Name"] if self.source else "unknown"

    @cached_property
    def version(self) -> str:
        """Version of the distribution."""
        if self._is_core:
            return __version__
        return self.source.version if self.source else "unknown"

    @property
    def _is_core(self) -> bool:
        return self.name == BUILTIN and self.module is not None

    @cached_property
    def bundled(self) -> bool:
        """Whether it comes with dotexp."""
        return self._is_core or is_bundled(self.source)

    @property
    def owner(self) -> str:
        """Name before the dot in `vision.resnet34`."""
        return owner_of(self.name)

    @property
    def error(self) -> str | None:
        """Why the plugin, or one of its modules that were asked for, does not load; None where nothing is wrong."""
        return self.refused or (self._faults[0] if self._faults else None)

    def load(self) -> str | None:
        """Import every module that declares components; return why the plugin, or one of them, does not load."""
        for offered in self.offered:
            self._of(offered)
        return self.error

    @property
    def components(self) -> tuple[Component, ...]:
        """Everything that the plugin offers; imports every module that declares components."""
        return tuple(component for offered in self.offered for component in self._of(offered))

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of a kind, in the plugin's order."""
        return tuple(self._index.get(kind, ()))

    def find(self, kind: str, name: str) -> Iterator[Component]:
        """Yield the components of this kind and name that the index knows."""
        for offered in self._index.get(kind, {}).get(name, ()):
            yield from (c for c in self._of(offered) if (c.kind, c.name) == (kind, name))

    def of_kind(self, kind: str) -> Iterator[Component]:
        """Yield the components of a kind; imports every module that has some."""
        for offered in self.offered:
            if isinstance(offered, Component) or offered.names is None or kind in offered.names:
                yield from (component for component in self._of(offered) if component.kind == kind)

    @cached_property
    def _index(self) -> dict[str, dict[str, list[Offered]]]:
        """What declares each component, by kind and name; a module that is not indexed is imported for it."""
        index: dict[str, dict[str, list[Offered]]] = {}
        for offered in self.offered:
            for kind, names in _names(offered, self):
                by_name = index.setdefault(kind, {})
                for name in names:
                    by_name.setdefault(name, []).append(offered)
        return index

    def _of(self, offered: Offered) -> tuple[Component, ...]:
        """The component itself, or those of a module; none, with the fault kept, of a module that does not load."""
        if isinstance(offered, Component):
            return (offered if offered.provider else offered.replace(provider=self.name, origin=self),)
        if offered.path not in self._loaded:
            self._loaded[offered.path] = ()
            try:
                components = tuple(import_module(offered.path).COMPONENTS)
                for component in components:
                    check_declared(component, self.known)
                require_distinct([*self._known_components(), *components])
                self._loaded[offered.path] = tuple(
                    component.replace(provider=self.name, origin=self) for component in components
                )
            except (Exception, SystemExit) as error:  # a plugin's import may do anything; the others must go on working
                self._faults.append(f"{offered.path}: {type(error).__name__}: {error}")
        return self._loaded[offered.path]

    def _known_components(self) -> Iterator[Component]:
        """Yield the components of the face, and of the modules that are imported."""
        yield from (each for each in self.offered if isinstance(each, Component))
        for components in self._loaded.values():
            yield from components


def _names(offered: Offered, provider: Provider) -> Iterator[tuple[str, list[str]]]:
    if isinstance(offered, Component):
        yield offered.kind, [offered.name]
    elif offered.names is not None:
        yield from offered.names.items()
    else:
        yield from ((component.kind, [component.name]) for component in provider._of(offered))


def is_bundled(source: Distribution | None) -> bool:
    """Whether a distribution is dotexp's own; its name is taken from the folder's, without parsing its metadata."""
    return source is not None and (getattr(source, "_normalized_name", None) or source.name) == BUILTIN


def require_distinct(components: Iterable[Component]) -> None:
    """Raise TypeError where a plugin's components of one kind share a name, or a former name."""
    seen: set[tuple[str, str]] = set()
    for component in components:
        for name in dict.fromkeys((component.name, *component.former_names)):
            if (component.kind, name) in seen:
                raise TypeError(f"it offers two of the name `{name}` among its {component.kind} components")
            seen.add((component.kind, name))


def owner_of(provider: str) -> str:
    """A plugin's name before a dot: without a leading `dotexp_`, unless a word of the language would be left of it."""
    short = provider.removeprefix("dotexp_")
    return provider if short in RESERVED else short


def check_declared(component: object, kinds: Mapping[str, Kind]) -> None:
    """Raise TypeError for what is no component, of no kind that is declared, or has no parameters or builder."""
    if not isinstance(component, Component):
        raise TypeError(f"{component!r} is not a Component")
    label = f"{component.kind} {component.name}"
    if component.kind not in kinds:
        near = closest(component.kind, kinds)
        raise TypeError(f"{label}: no kind is called {component.kind}" + (f", did you mean {near}?" if near else ""))
    given = component.given("params")
    base = kinds[component.kind].params
    if not isinstance(given, str) and not (isinstance(given, type) and issubclass(given, Params)):
        raise TypeError(f"{label}: its parameters are not a subclass of Params")
    if isinstance(given, type) and not issubclass(given, base):
        raise TypeError(f"{label}: its parameters are not a subclass of {base.__name__}, the base of its kind's")
    for field_name in ("params", "facts", "check", "build"):
        path = component.given(field_name)
        if isinstance(path, str) and path.count(":") != 1:
            form = "module:function" if field_name == "build" else "module:name"
            raise TypeError(f'{label}: {field_name} is "{form}", not {path!r}')
    try:
        if component.inputs is not None:
            check_input_form(component.inputs)
        check_queries(component.queries)
    except TypeError as error:
        raise TypeError(f"{label}: {error}") from error
