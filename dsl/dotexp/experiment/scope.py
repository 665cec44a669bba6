"""What names mean while one experiment is resolved: its params, the installed components, and the faults so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dotexp.components.calls import PluginError, calling
from dotexp.components.component import Component
from dotexp.components.kinds import one, words
from dotexp.components.registry import Registry
from dotexp.language.diagnostics import Collector, ComponentError, closest
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Call, Faulty, ListValue, MapValue, Param, Value, words_of


@dataclass
class Scope:
    """Names in force. `used` gathers the params that something names; `undefined` are params without a sound value."""

    registry: Registry
    collector: Collector
    params: Mapping[str, Param] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    undefined: frozenset[str] = frozenset()

    def param(self, value: Value) -> Param | None:
        """Param that a bare name stands for, if there is one."""
        if isinstance(value, Call) and value.arguments is None and value.owner is None:
            return self.params.get(value.name.text)
        return None

    def follow(self, value: Value) -> Value:
        """Value that the name of a param stands for; any other value as it is."""
        while (param := self.param(value)) is not None:
            self.used.add(param.name.text)
            value = param.value
        return value

    def is_undefined(self, value: Value) -> bool:
        """Whether a value, or the param that it names, has a fault that is reported already."""
        if isinstance(value, Faulty):
            return True
        return isinstance(value, Call) and value.arguments is None and value.name.text in self.undefined

    def use_names(self, value: Value) -> None:
        """Count the params that a value names as used, where the value itself is not looked at."""
        self.used.update(name for name in names_in(value) if name in self.params)

    def find(self, call: Call, kinds: tuple[str, ...]) -> Component | None:
        """Component that a call names, of one of these kinds; None, with a fault, where there is none or several."""
        owner = call.owner.text if call.owner else None
        found = [c for kind in kinds for c in self.registry.find(kind, call.name.text, owner)]
        if not any(map(self.registry.is_bundled, found)):
            former = [c for kind in kinds for c in self.registry.find_former(kind, call.name.text, owner)]
            found = [c for c in former if self.registry.is_bundled(c)] or found or former
        if len(found) == 1:
            if found[0].name != call.name.text:
                self.warn_former(call.name.text, found[0].name, call.name.span)
            return found[0] if self._is_declared(found[0], call) else None
        if found:
            self._ambiguous(call, found)
        elif owner is None or owner in self._owners(working=True):
            self._unknown(call, kinds)
        else:
            self._unknown_owner(call, owner)
        return None

    def _is_declared(self, component: Component, call: Call) -> bool:
        """Whether a component has a parameter model, which is imported; where not, the plugin's fault is reported."""
        try:
            with calling(component, f"importing its parameters {component.given('params')}"):
                params = component.params
            base = self.registry.kinds[component.kind].params
            if not (isinstance(params, type) and issubclass(params, base)):
                raise PluginError(component, f"has parameters that are not a subclass of {base.__name__}", code="E215")
        except ComponentError as error:
            self.collector.report(error.problem.code, error.problem.message, call.name.span, help=error.problem.help)
            return False
        return True

    def warn_former(self, former: str, current: str, span: Span) -> None:
        """Warn that a name is a former spelling of another."""
        message = f"`{former}` is now called `{current}`"
        self.collector.report("W507", message, span, suggestion=current, help="the former name still works")

    def _owners(self, working: bool) -> list[str]:
        found = [p for p in self.registry.providers if (p.error is None) == working]
        return [name for p in found for name in dict.fromkeys((p.owner, p.name))]

    def _ambiguous(self, call: Call, found: list[Component]) -> None:
        providers = [self.registry.provider(c) for c in found]
        said = " and ".join(f"{p.distribution} {p.version}" for p in providers)
        self.collector.report(
            "E210",
            f"{found[0].kind} `{call.name.text}` comes from {said}",
            call.name.span,
            help="say whose: " + " or ".join(f"`{p.owner}.{call.name.text}`" for p in providers),
        )

    def _unknown(self, call: Call, kinds: tuple[str, ...]) -> None:
        from dotexp.language.foreign_words import meaning  # a right spec has no unknown names

        kind, name = words(kinds[0]), call.name.text
        names = [n for k in kinds for n in self.registry.names(k)]
        if call.owner is not None and name in names:
            self._of_another(call, call.owner.text, kinds)
            return
        near, advice = meaning(name, names)
        help = f"{self.registry.plural(kinds[0])} installed: {_some(names, name, kinds[0])}"
        elsewhere = next((c for c in self.registry.components if c.name == name), None)
        if advice:
            help = f"{advice}; {help}"
        elif elsewhere and not near:
            help = f"`{name}` is {one(elsewhere.kind)}; {help}"
        elif not near:
            help += "; where another plugin offers it, that plugin is not installed: see `spec-runner plugins`"
        for broken in self.registry.broken:
            help += f"; plugin {broken.name} ({broken.distribution} {broken.version}) does not load: {broken.error}"
        if not any(each.span == call.name.span for each in self.collector.diagnostics):  # such as a name in quotes
            self.collector.report("E203", f"unknown {kind} `{name}`", call.name.span, suggestion=near, help=help)

    def _of_another(self, call: Call, owner: str, kinds: tuple[str, ...]) -> None:
        """Report a component that another plugin than the one named offers."""
        name = call.name.text
        others = [self.registry.provider(c).owner for kind in kinds for c in self.registry.find(kind, name)]
        own = [n for p in self.registry.providers if owner in (p.name, p.owner) for k in kinds for n in p.names(k)]
        message = f"plugin `{owner}` has no {words(kinds[0])} `{name}`"
        help = f"it is called {' or '.join(f'`{other}.{name}`' for other in others)}"
        if own:
            help += f"; {self.registry.plural(kinds[0])} of {owner}: {_some(own, name, kinds[0])}"
        near = others[0] if len(others) == 1 else None
        self.collector.report("E203", message, (call.owner or call.name).span, suggestion=near, help=help)

    def _unknown_owner(self, call: Call, owner: str) -> None:
        assert call.owner is not None
        broken = next((p for p in self.registry.broken if owner in (p.name, p.owner)), None)
        owners = self._owners(working=True)
        if broken is not None:
            message = f"plugin `{owner}` ({broken.distribution} {broken.version}) does not load: {broken.error}"
            self.collector.report("E213", message, call.owner.span, help="`spec-runner plugins` shows every plugin")
            return
        self.collector.report(
            "E203",
            f"no plugin is called `{owner}`",
            call.owner.span,
            suggestion=closest(owner, owners),
            help=f"plugins installed: {', '.join(owners)}",
        )


def _some(names: Sequence[str], like: str, kind: str) -> str:
    """List names; of more than fit on a screen's line those most like the one that was written."""
    if len(names) <= _LISTED:
        return ", ".join(names) or "none"
    from difflib import get_close_matches

    near = get_close_matches(like, names, n=_ALIKE, cutoff=0)
    return f"{', '.join(near)} and {len(names) - len(near)} more, which `spec-runner show {kind}` lists"


_LISTED = 20
"""How many names of a kind are listed at most."""
_ALIKE = 6
"""How many are listed where there are more."""


def drop_circles(params: Mapping[str, Param], collector: Collector) -> dict[str, Param]:
    """Params that do not lead back to themselves; each circle is reported once."""
    graph = {name: [n for n in names_in(param.value) if n in params] for name, param in params.items()}
    circular: set[str] = set()
    for path in _circles(graph):
        if circular.isdisjoint(path):
            said = " → ".join([*path, path[0]] if len(path) <= _SHOWN else [*path[:_SHOWN], "…", path[0]])
            collector.report("E209", f"params name each other in a circle: {said}", params[path[0]].name.span)
        circular.update(path)
    return {name: param for name, param in params.items() if name not in circular}


_SHOWN = 10


def _circles(graph: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Walk every edge once, and yield the names of each circle that the walk closes, from the first declared on."""
    place = {name: number for number, name in enumerate(graph)}
    done: set[str] = set()
    for start in graph:
        path: dict[str, Iterator[str]] = {} if start in done else {start: iter(graph[start])}
        while path:
            name = next(reversed(path))
            following = next(path[name], None)
            if following is None:
                path.popitem()
                done.add(name)
            elif following in path:
                circle = list(path)
                circle = circle[circle.index(following) :]
                first = circle.index(min(circle, key=place.__getitem__))
                yield circle[first:] + circle[:first]
            elif following not in done:
                path[following] = iter(graph[following])


def names_in(value: Value) -> Iterator[str]:
    """Yield every bare name in a value, which may be a param's."""
    if isinstance(value, Call):
        if value.arguments is None and value.owner is None:
            yield value.name.text
        for argument in value.arguments or ():
            yield from names_in(argument.value)
    elif isinstance(value, Faulty):
        yield from words_of(value.span)
    elif isinstance(value, ListValue):
        for item in value.items:
            yield from names_in(item)
    elif isinstance(value, MapValue):
        for _, entry in value.entries:
            yield from names_in(entry)
