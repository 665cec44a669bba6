"""Installed plugins and what they offer. One that does not load is told of; the others work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from dotexp.components import hookspecs
from dotexp.components.builtins import BUILTINS
from dotexp.components.component import KINDS, Component
from dotexp.components.params import Params
from dotexp.language.diagnostics import closest
from dotexp.language.keywords import RESERVED
from dotexp.version import __version__

BUILTIN = "dotexp"


@dataclass(frozen=True)
class Provider:
    """A plugin: its entry point's name, its distribution and version, what it offers, and why it is broken if it is."""

    name: str
    components: tuple[Component, ...] = ()
    error: str | None = None
    module: Any = field(default=None, repr=False, compare=False)
    source: Distribution | None = field(default=None, repr=False, compare=False)

    @cached_property
    def distribution(self) -> str:
        """Name of the distribution; asked for late, since it parses the distribution's whole metadata."""
        if self.name == BUILTIN:
            return BUILTIN
        return self.source.metadata["Name"] if self.source else "unknown"

    @cached_property
    def version(self) -> str:
        """Version of the distribution."""
        if self.name == BUILTIN:
            return __version__
        return self.source.version if self.source else "unknown"

    @property
    def owner(self) -> str:
        """Name before the dot in `vision.resnet34`."""
        return owner_of(self.name)


def owner_of(provider: str) -> str:
    """A plugin's name before a dot: without a leading `dotexp_`, unless a word of the language would be left of it."""
    short = provider.removeprefix("dotexp_")
    return provider if short in RESERVED else short


@dataclass(frozen=True)
class Registry:
    """Every component by kind and name."""

    providers: tuple[Provider, ...]

    @property
    def components(self) -> tuple[Component, ...]:
        """Everything on offer, in the plugins' order."""
        return tuple(component for provider in self.providers for component in provider.components)

    @property
    def broken(self) -> tuple[Provider, ...]:
        """Plugins that did not load."""
        return tuple(provider for provider in self.providers if provider.error)

    def find(self, kind: str, name: str, owner: str | None = None) -> tuple[Component, ...]:
        """Components of this kind and name; several when several plugins offer it and no owner is given."""
        return tuple(
            component
            for provider in self.providers
            if owner is None or owner in (provider.name, provider.owner)
            for component in provider.components
            if component.kind == kind and component.name == name
        )

    def find_former(self, kind: str, name: str, owner: str | None = None) -> tuple[Component, ...]:
        """Return the components of this kind that were formerly called `name`."""
        return tuple(
            component
            for provider in self.providers
            if owner is None or owner in (provider.name, provider.owner)
            for component in provider.components
            if component.kind == kind and name in component.former_names
        )

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of a kind, sorted."""
        return tuple(sorted({component.name for component in self.components if component.kind == kind}))

    def provider(self, component: Component) -> Provider:
        """Plugin that a component comes from."""
        return next(provider for provider in self.providers if provider.name == component.provider)

    def versions(self) -> dict[str, str]:
        """Version of every plugin by its name."""
        return {provider.name: provider.version for provider in self.providers}

    def listeners(self) -> pluggy.PluginManager:
        """Plugin manager of the plugins that work, to call their life-cycle hooks with."""
        manager = _manager()
        for provider in self.providers:
            if provider.module is not None and not provider.error:
                manager.register(provider.module, name=provider.name)
        return manager


def load_registry(points: Iterable[EntryPoint] | None = None) -> Registry:
    """Load every installed plugin, or those of the entry points given, each on its own."""
    own = Provider(BUILTIN, tuple(replace(c, provider=BUILTIN) for c in BUILTINS))
    found = entry_points(group=hookspecs.PROJECT) if points is None else points
    providers: list[Provider] = [own]
    for point in sorted(found, key=lambda p: (p.name, p.value)):
        providers.append(_load(point, providers))
    return Registry(tuple(providers))


def _load(point: EntryPoint, others: Sequence[Provider]) -> Provider:
    empty = Provider(point.name, source=point.dist)
    same = next((p for p in others if p.name == point.name), None)
    if same is not None:
        return replace(empty, error=f"another plugin has this name: that of {same.distribution} {same.version}")
    try:
        module = point.load()
        components = tuple(replace(c, provider=point.name) for c in _components(module, point.name))
    except (Exception, SystemExit) as error:  # a stranger's import may do anything; the others must go on working
        return replace(empty, error=f"{type(error).__name__}: {error}")
    return replace(empty, components=components, module=module)


def _components(module: ModuleType, name: str) -> list[Component]:
    manager = _manager()
    manager.register(module, name=name)
    for caller in manager.get_hookcallers(module) or []:
        if not caller.has_spec():
            known = [hook for hook in dir(hookspecs) if hook.startswith("dotexp_")]
            near = closest(caller.name, known)
            raise TypeError(f"no hook is called {caller.name}" + (f", did you mean {near}?" if near else ""))
    offered = [component for result in manager.hook.dotexp_components() for component in result]
    for component in offered:
        _validate(component)
    return offered


def _validate(component: object) -> None:
    if not isinstance(component, Component):
        raise TypeError(f"dotexp_components returned {component!r}, which is not a Component")
    label = f"{component.kind} {component.name}"
    if component.kind not in KINDS:
        near = closest(component.kind, KINDS)
        raise TypeError(f"{label}: no kind is called {component.kind}" + (f", did you mean {near}?" if near else ""))
    if not (isinstance(component.params, type) and issubclass(component.params, Params)):
        raise TypeError(f"{label}: its parameters are not a subclass of Params")
    if component.build.count(":") != 1:
        raise TypeError(f'{label}: build is "module:function", not {component.build!r}')


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager
