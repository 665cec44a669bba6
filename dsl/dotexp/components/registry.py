"""Installed plugins and what they offer. One that does not load is reported; the others work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

import pluggy

from dotexp.components import builtins, hookspecs
from dotexp.components.component import Component
from dotexp.components.kinds import Kind, words
from dotexp.components.params import Params
from dotexp.components.tasks import Task
from dotexp.language.diagnostics import closest
from dotexp.language.keywords import RESERVED
from dotexp.version import API, __version__

BUILTIN = "dotexp"


@dataclass(frozen=True)
class Provider:
    """A plugin by its entry point's name: what it offers and declares, and why it does not load if it does not."""

    name: str
    components: tuple[Component, ...] = ()
    error: str | None = None
    kinds: tuple[Kind, ...] = ()
    tasks: tuple[Task, ...] = ()
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
    """Every kind, task and component of the installed plugins."""

    providers: tuple[Provider, ...]

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """Kinds by name, the core's first."""
        return {kind.name: kind for provider in self.providers for kind in provider.kinds}

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """Declared tasks by name."""
        return {task.name: task for provider in self.providers for task in provider.tasks}

    def plural(self, kind: str) -> str:
        """Write several of a kind as messages do."""
        return self.kinds[kind].plural if kind in self.kinds else f"{words(kind)}s"

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
    found = entry_points(group=hookspecs.PROJECT) if points is None else points
    providers = [_declared(Provider(BUILTIN, module=builtins))]
    for point in sorted(found, key=lambda p: (p.name, p.value)):
        providers.append(_load(point, providers))
    kinds = Registry(tuple(providers)).kinds
    return Registry(tuple(_offering(provider, kinds) for provider in providers))


def _load(point: EntryPoint, others: Iterable[Provider]) -> Provider:
    """Import a plugin, and ask for the kinds and tasks that it declares."""
    empty = Provider(point.name, source=point.dist)
    same = next((p for p in others if p.name == point.name), None)
    if same is not None:
        return replace(empty, error=f"another plugin has this name: that of {same.distribution} {same.version}")
    try:
        made = _declared(replace(empty, module=_asking(point.load())))
        _refuse_declared(made, others)
    except (Exception, SystemExit) as error:  # a plugin's import may do anything; the others must go on working
        return replace(empty, error=f"{type(error).__name__}: {error}")
    return made


def _asking(module: Any) -> Any:
    """Return the module. Raises TypeError where it asks for another version of the plugin API than this one."""
    asked = getattr(module, "DOTEXP_API", API)
    if asked != API:
        raise TypeError(f"it asks for API {asked} of dotexp, and dotexp {__version__} has API {API}")
    return module


def _declared(provider: Provider) -> Provider:
    """Ask a plugin for its kinds and tasks. Raises TypeError for what is none, or for a hook that does not exist."""
    _check_hooks(provider.module)
    kinds, tasks = _called(provider.module, "dotexp_kinds", Kind), _called(provider.module, "dotexp_tasks", Task)
    return replace(provider, kinds=tuple(kinds), tasks=tuple(tasks))


def _refuse_declared(provider: Provider, others: Iterable[Provider]) -> None:
    """Refuse a kind or task that another plugin declares."""
    for other in others:
        for mine, theirs, what in ((provider.kinds, other.kinds, "kind"), (provider.tasks, other.tasks, "task")):
            both = {each.name for each in mine} & {each.name for each in theirs}
            if both:
                raise TypeError(f"the {what} {min(both)} is declared by {other.name} already")


def _offering(provider: Provider, kinds: Mapping[str, Kind]) -> Provider:
    """Ask a plugin for its components, and hold them against the kinds that are declared."""
    if provider.module is None:
        return provider
    try:
        offered = _called(provider.module, "dotexp_components", Component)
        for component in offered:
            _check(component, kinds)
    except (Exception, SystemExit) as error:  # as above
        return Provider(provider.name, error=f"{type(error).__name__}: {error}", source=provider.source)
    return replace(provider, components=tuple(replace(c, provider=provider.name) for c in offered))


def _check_hooks(module: Any) -> None:
    for name in dir(module):
        if hasattr(getattr(module, name, None), f"{hookspecs.PROJECT}_impl") and name not in _HOOKS:
            near = closest(name, _HOOKS)
            raise TypeError(f"no hook is called {name}" + (f", did you mean {near}?" if near else ""))


def _called(module: Any, hook: str, wanted: type[Any]) -> list[Any]:
    """Call a hook that a plugin implements, if it does; each of what it returns must be a `wanted`."""
    function = getattr(module, hook, None)
    found = [] if function is None else list(function())
    for each in found:
        if not isinstance(each, wanted):
            raise TypeError(f"{hook} returned {each!r}, which is not a {wanted.__name__}")
    return found


def _check(component: Component, kinds: Mapping[str, Kind]) -> None:
    label = f"{component.kind} {component.name}"
    if component.kind not in kinds:
        near = closest(component.kind, kinds)
        raise TypeError(f"{label}: no kind is called {component.kind}" + (f", did you mean {near}?" if near else ""))
    base = kinds[component.kind].params
    if not (isinstance(component.params, type) and issubclass(component.params, Params)):
        raise TypeError(f"{label}: its parameters are not a subclass of Params")
    if not issubclass(component.params, base):
        raise TypeError(f"{label}: its parameters are not a subclass of {base.__name__}, the base of its kind's")
    if component.build.count(":") != 1:
        raise TypeError(f'{label}: build is "module:function", not {component.build!r}')


_HOOKS = tuple(name for name in dir(hookspecs) if name.startswith("dotexp_"))


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager
