"""Installed plugins and what they offer. One that does not load is reported; the others work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from dotexp.components import builtins, hookspecs
from dotexp.components.component import Component, ComponentModule
from dotexp.components.input_form import InputForm
from dotexp.components.kinds import Kind, words
from dotexp.components.provider import BUILTIN, Provider, check_declared, is_bundled, require_distinct
from dotexp.components.queries import ASKED, Query
from dotexp.components.tasks import Task
from dotexp.language.diagnostics import closest
from dotexp.record import Record
from dotexp.version import API, __version__

if TYPE_CHECKING:
    import pluggy


class Registry(Record):
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
        """Plugins that do not load, or of which a module does not; imports all that declare components."""
        return tuple(provider for provider in self.providers if provider.load())

    def find(self, kind: str, name: str, owner: str | None = None) -> tuple[Component, ...]:
        """Components of this kind and name; several when several plugins offer it and no owner is given.

        Without an owner a bundled component hides others of its name, so that installing a plugin changes no spec.
        """
        owners = list(self._owners(owner))
        found = [component for provider in owners for component in provider.find(kind, name)]
        if not found:  # an index may be older than the modules
            found = [each for provider in owners for each in provider.of_kind(kind) if each.name == name]
        return self._unhidden(found, owner)

    def find_former(self, kind: str, name: str, owner: str | None = None) -> tuple[Component, ...]:
        """Return the components of this kind that were formerly called `name`."""
        every = (component for provider in self._owners(owner) for component in provider.of_kind(kind))
        return self._unhidden([component for component in every if name in component.former_names], owner)

    def is_bundled(self, component: Component) -> bool:
        """Whether a component comes with dotexp."""
        return self.provider(component).bundled

    def _unhidden(self, found: list[Component], owner: str | None) -> tuple[Component, ...]:
        bundled = [each for each in found if self.is_bundled(each)] if owner is None and len(found) > 1 else []
        return tuple(bundled or found)

    def _owners(self, owner: str | None) -> Iterator[Provider]:
        return (each for each in self.providers if owner is None or owner in (each.name, each.owner))

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of a kind, sorted."""
        return tuple(sorted({name for provider in self.providers for name in provider.names(kind)}))

    def queries(self) -> tuple[Query, ...]:
        """Return what components offer to answer, each once; imports the modules of data and models."""
        every = (each for kind in ASKED for provider in self.providers for each in provider.of_kind(kind))
        return tuple(dict.fromkeys(query for component in every for query in component.queries))

    def input_forms(self) -> tuple[InputForm, ...]:
        """Return how installed data takes inputs of `predict`, each description once; imports the data's modules."""
        every = (each.inputs for provider in self.providers for each in provider.of_kind("data"))
        return tuple({form.about: form for form in every if form is not None}.values())

    def provider(self, component: Component) -> Provider:
        """Plugin that a component comes from."""
        return next(provider for provider in self.providers if provider.name == component.provider)

    def versions(self) -> dict[str, str]:
        """Version of every plugin by its name."""
        return {provider.name: provider.version for provider in self.providers}

    def listeners(self) -> pluggy.PluginManager:
        """Plugin manager of the plugins that work, to call their life-cycle hooks with."""
        import pluggy  # by what listens, not by the light commands

        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        for provider in self.providers:
            if provider.module is not None and not provider.error:
                manager.register(provider.module, name=provider.name)
        return manager


def load_registry(points: Iterable[EntryPoint] | None = None) -> Registry:
    """Load every installed plugin, or those of the entry points given, each on its own."""
    found = entry_points(group=hookspecs.PROJECT) if points is None else points
    providers = [_declared(Provider(BUILTIN, module=builtins))]
    for point in sorted(found, key=lambda p: (not is_bundled(p.dist), p.name, p.value)):
        providers.append(_load(point, providers))
    kinds = Registry(tuple(providers)).kinds
    return Registry(tuple(_offering(provider, kinds) for provider in providers))


def _load(point: EntryPoint, others: Iterable[Provider]) -> Provider:
    """Import a plugin, and ask for the kinds and tasks that it declares."""
    empty = Provider(point.name, source=point.dist)
    for other in others:
        if other.name == empty.name:
            said = f"another plugin has this name: that of {other.distribution} {other.version}"
            return empty.replace(refused=said)
        if empty.owner == other.owner:
            said = f"a spec names it `{empty.owner}`, which stands for plugin {other.name} of {other.distribution}"
            return empty.replace(refused=said)
    try:
        made = _declared(empty.replace(module=_asking(point.load())))
        _refuse_declared(made, others)
    except (Exception, SystemExit) as error:  # a plugin's import may do anything; the others must go on working
        return empty.replace(refused=f"{type(error).__name__}: {error}")
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
    return provider.replace(kinds=tuple(kinds), tasks=tuple(tasks))


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
        offered = _called(provider.module, "dotexp_components", (Component, ComponentModule))
        for each in offered:
            if isinstance(each, Component):
                check_declared(each, kinds)
        require_distinct(each for each in offered if isinstance(each, Component))
    except (Exception, SystemExit) as error:  # as above
        return Provider(provider.name, refused=f"{type(error).__name__}: {error}", source=provider.source)
    return provider.replace(offered=tuple(offered), known=kinds)


def _check_hooks(module: Any) -> None:
    for name in dir(module):
        if hasattr(getattr(module, name, None), f"{hookspecs.PROJECT}_impl") and name not in _HOOKS:
            near = closest(name, _HOOKS)
            raise TypeError(f"no hook is called {name}" + (f", did you mean {near}?" if near else ""))


def _called(module: Any, hook: str, wanted: type[Any] | tuple[type[Any], ...]) -> list[Any]:
    """Call a hook that a plugin implements, if it does; each of what it returns must be of a type that is `wanted`."""
    function = getattr(module, hook, None)
    found = [] if function is None else list(function())
    for each in found:
        if not isinstance(each, wanted):
            first = wanted[0] if isinstance(wanted, tuple) else wanted
            raise TypeError(f"{hook} returned {each!r}, which is not a {first.__name__}")
    return found


_HOOKS = tuple(name for name in dir(hookspecs) if name.startswith("dotexp_"))
