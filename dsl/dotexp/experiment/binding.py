"""Calls to components with validated parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from dotexp.components.calls import FAULTS, PluginError, named
from dotexp.components.component import Component, Use
from dotexp.components.facts import Facts
from dotexp.components.params import FormerName, Params, Positional
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.scope import Scope
from dotexp.experiment.values import BAD, Converter
from dotexp.language.diagnostics import ComponentError, Problem, Related
from dotexp.language.literals import read_decimal_comma
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Argument, Call, Faulty, ListValue, MapValue, Value


class Draft(NamedTuple):
    """A component looked up, its arguments by parameter name, nothing converted yet.

    `span` is the component's name as written; `names` is where each argument's name stands.
    """

    component: Component
    arguments: Mapping[str, Value]
    span: Span
    names: Mapping[str, Span] = MappingProxyType({})


class Bound(NamedTuple):
    """A component with its parameters.

    Where it is not `sound`, a fault is reported, and a faulty parameter has its default, or none where it is required.
    """

    use: Use
    sound: bool


UNKNOWN_FACTS = Facts()
"""Facts of a component that depend on a faulty parameter."""


@dataclass
class Binder:
    """Makes drafts of calls and components of drafts.

    `origins` gathers where each value was written, by its path, and `nodes` the values as written.
    """

    scope: Scope
    origins: dict[str, Span] = field(default_factory=dict)
    nodes: dict[str, Value] = field(default_factory=dict)

    def draft(self, written: Call, kinds: tuple[str, ...]) -> Draft | None:
        """Look a call's component up and give every argument its parameter's name."""
        call = self.scope.follow(written)
        if self.scope.is_undefined(call):
            return None
        if not isinstance(call, Call):
            kind = kinds[0].replace("_", " ")
            message = f"`{written.name.text}` is a param that holds no {kind}"
            self.scope.collector.report("E206", message, written.span)
            return None
        component = self.scope.find(call, kinds)
        if component is None:
            self.scope.use_names(call)
            return None
        empty = Draft(component, {}, call.name.span)
        return self.change(empty, call.arguments or (), positional=True)

    def change(self, draft: Draft, arguments: Sequence[Argument], positional: bool = False) -> Draft:
        """Put arguments in place of those a draft has."""
        fields = draft.component.params.model_fields
        ordered = [name for name, field_ in fields.items() if is_positional(field_)] if positional else []
        given: dict[str, Value] = {}
        names: dict[str, Span] = {}
        written = {argument.name.text for argument in arguments if argument.name is not None}
        for number, argument in enumerate(self._joined(arguments, len(ordered)) if positional else arguments):
            name = self._name(argument, number, ordered, draft.component, bool(names))
            if argument.name is not None:
                names[argument.name.text] = argument.name.span
            if name is None:
                self.scope.use_names(argument.value)
                given |= self._meant(argument, draft.component, written)
                continue
            if name in given:
                self.scope.collector.report(
                    "E202",
                    f"`{name}` is given twice",
                    argument.name.span if argument.name else argument.span,
                    related=(Related("first given here", given[name].span),),
                )
            given[name] = argument.value
        return draft._replace(arguments={**draft.arguments, **given}, names={**draft.names, **names})

    def _joined(self, arguments: Sequence[Argument], room: int) -> Sequence[Argument]:
        """Report decimal commas, `mlp(0,5)`, where there are more arguments without a name than the component takes."""
        for first, second in pairwise(arguments):
            if sum(each.name is None for each in arguments) <= room:
                break
            span = first.span.to(second.span)
            decimal = re.fullmatch(r"([+-]?[0-9]+),([0-9]+(?:[eE][+-]?[0-9]+)?%?)", span.text)
            if decimal is not None and first in arguments:
                fault = read_decimal_comma(decimal[1], decimal[2], span).fault
                self.scope.collector.extend([fault] if fault is not None else [])
                at = arguments.index(first)
                arguments = [*arguments[:at], Argument(None, Faulty(span), span), *arguments[at + 2 :]]
        return arguments

    def _name(
        self, argument: Argument, number: int, ordered: list[str], component: Component, named: bool
    ) -> str | None:
        if argument.name is not None:
            name = argument.name.text
            known = self.parameter(component, name, argument.name.span)
            if known is not None:
                return known
            self.unknown_parameter(component, name, argument.name.span)
            return None
        if named:
            help = "arguments without a name come first"
            message = "an argument without a name stands behind one with a name"
        elif number < len(ordered):
            return ordered[number]
        else:
            message = f"`{component.name}` takes {_count(len(ordered))} without a name"
            help = f"parameters of {component.name}: {', '.join(component.params.model_fields) or 'none'}"
        self.scope.collector.report("E204", message, argument.span, help=help)
        return None

    def parameter(self, component: Component, name: str, span: Span) -> str | None:
        """Return a parameter's current name, warning where `name` is a former one; None for an unknown name."""
        fields = component.params.model_fields
        if name in fields:
            return name
        current = next((each for each, field in fields.items() if name in former_names(field)), None)
        if current is not None:
            self.scope.warn_former(name, current, span)
        return current

    def _meant(self, argument: Argument, component: Component, written: Collection[str]) -> dict[str, Value]:
        """Return the parameter that an unknown name stands for: with its value where misspelt, else with a faulty one,
        so that the parameter does not count as missing."""
        from dotexp.language.foreign_words import is_misspelt, meaning

        if argument.name is None:
            return {}
        word = argument.name.text
        meant = meaning(word, component.params.model_fields).word
        if meant is None or meant in written:
            return {}
        return {meant: argument.value if is_misspelt(word, meant) else Faulty(argument.value.span)}

    def unknown_parameter(self, component: Component, name: str, span: Span) -> None:
        """Report a name that is none of a component's parameters."""
        from dotexp.language.foreign_words import meaning  # a right spec has no unknown names

        meant, advice = meaning(name, component.params.model_fields)
        fields = component.params.model_fields
        self.scope.collector.report(
            "E204",
            f"`{component.name}` has no parameter `{name}`",
            span,
            suggestion=meant,
            help=advice or f"parameters of {component.name}: {', '.join(fields) or 'none'}",
        )

    def bind(self, draft: Draft, path: str) -> Bound:
        """Convert and validate a draft's arguments, and report the faults."""
        self.origins[path] = draft.span
        values: dict[str, Any] = {}
        converter = Converter(self.scope, self._nested)
        for name, value in draft.arguments.items():
            place = f"{path}.{name}"
            self.origins[place], self.nodes[place] = value.span, value
            expected = expected_for(draft.component.params.model_fields[name])
            values[name] = converter.convert(value, expected, f"`{name}` of {draft.component.name}", place)
        missing = set(self._missing(draft))
        sound = {name: value for name, value in values.items() if value is not BAD}
        params, refused = self._validate(draft, sound, complete=len(sound) == len(values))
        faulty = {*missing, *refused, *(values.keys() - sound.keys())}
        if params is not None and not faulty and not self._facts_fault(draft.component, params, draft.span):
            return Bound(Use(component=draft.component, params=params), sound=True)
        rest = {name: value for name, value in sound.items() if name not in faulty}
        return Bound(_partial_use(draft.component, rest, faulty), sound=False)

    def _facts_fault(self, component: Component, params: Params, span: Span) -> bool:
        """Whether a plugin's facts cannot be had with these parameters, which is reported."""
        registry = self.scope.registry
        wanted = registry.kinds[component.kind].facts if component.kind in registry.kinds else Facts
        try:
            facts = component.facts_for(params)
            if facts is not None and type(facts) is not Facts and not isinstance(facts, wanted):
                said = f"has facts that are a {type(facts).__name__}, not a {wanted.__name__}, as its kind's are"
                raise PluginError(component, said, code="E215")
        except ComponentError as error:
            self.scope.collector.report(error.problem.code, error.problem.message, span, help=error.problem.help)
            return True
        return False

    def _nested(self, call: Call, kinds: tuple[str, ...], path: str) -> Use | None:
        draft = self.draft(call, kinds)
        bound = None if draft is None else self.bind(draft, path)
        return bound.use if bound is not None and bound.sound else None

    def _missing(self, draft: Draft) -> Iterator[str]:
        for name in self._missing_names(draft):
            field_ = draft.component.params.model_fields[name]
            self.scope.collector.report(
                "E205",
                f"`{draft.component.name}` needs `{name}`",
                draft.span,
                help=f"{name}: {field_.description or expected_for(field_).words()}",
            )
            yield name

    def _validate(self, draft: Draft, values: dict[str, Any], complete: bool) -> tuple[Params | None, Iterable[str]]:
        try:
            return draft.component.params.model_validate(values), ()
        except ValidationError as error:
            refused = []
            for name, message, location in _faults(error, set(values)):
                if name is None and not complete:
                    continue
                value = draft.arguments.get(name) if name else None
                subject = f"`{name}` of {draft.component.name}" if name else f"`{draft.component.name}`"
                place = _item(value, location).span if value else draft.span
                about = draft.component.params.model_fields[name].description if name else ""
                help = f"{name}: {about}" if about else ""
                self.scope.collector.report("E207", f"{subject} {message}", place, help=help)
                refused += [name] if name else list(draft.component.params.model_fields)
            if complete and not refused and not any(self._missing_names(draft)):
                self._report(PluginError(draft.component, f"has a default that is not valid: {_first(error)}"), draft)
            return None, refused
        except FAULTS as error:  # a plugin's validator
            self._report(named(draft.component, "checking its parameters", error), draft)
            return None, ()

    def _report(self, error: BaseException, draft: Draft) -> None:
        problem = error.problem if isinstance(error, ComponentError) else Problem(str(error))
        self.scope.collector.report(problem.code, problem.message, draft.span, help=problem.help)

    def _missing_names(self, draft: Draft) -> Iterator[str]:
        fields = draft.component.params.model_fields.items()
        return (name for name, field_ in fields if field_.is_required() and name not in draft.arguments)


def _partial_use(component: Component, values: Mapping[str, Any], faulty: Collection[str]) -> Use:
    """Make a component of the parameters that are sound; its facts are unknown where they depend on a faulty one."""
    params = component.params.model_construct(**values)
    defaults = {name: params.__dict__.pop(name) for name in faulty if name in params.__dict__}
    try:
        facts = component.facts_for(params)
    except Exception:  # a plugin's function, given parameters that lack some
        facts = UNKNOWN_FACTS
    params.__dict__.update(defaults)
    return Use(component=component.replace(facts=facts), params=params)


def former_names(field: FieldInfo) -> tuple[str, ...]:
    """Return the former names of a parameter."""
    return tuple(mark.name for mark in field.metadata if isinstance(mark, FormerName))


def is_positional(field: FieldInfo) -> bool:
    """Whether a parameter may be given without its name."""
    return any(isinstance(mark, Positional) for mark in field.metadata)


def _faults(error: ValidationError, given: set[str]) -> list[tuple[str | None, str, Sequence[Any]]]:
    """Return what is wrong by parameter: its name (None: all of them), the message, and where in its value."""
    faults: dict[str | None, list[Any]] = {}
    for fault in error.errors(include_url=False):
        location = fault["loc"]
        name = str(location[0]) if location else None
        if name is None or name in given:
            faults.setdefault(name, []).append(fault)
    said = []
    for name, found in faults.items():
        # A union answers once an arm: an arm that the value's form fits says more than one of another type.
        apt = [f for f in found if f["type"] in (*_BOUNDS, "value_error")] or found
        whole = [f for f in apt if isinstance(f["input"], int) and "int" in str(f["loc"][-1])]
        apt = whole or apt
        said.append((name, " or ".join(dict.fromkeys(_words(f) for f in apt)), apt[0]["loc"]))
    return said


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    return f"`{'.'.join(map(str, fault['loc']))}` {_words(fault)}"


def _item(value: Value, location: Sequence[Any]) -> Value:
    """Return the item of a list or map that a fault is in, or the value itself."""
    key = location[-1] if location else None
    if isinstance(value, ListValue) and isinstance(key, int) and key < len(value.items):
        return value.items[key]
    if isinstance(value, MapValue):
        return next((entry for word, entry in value.entries if word.text == key), value)
    return value


_BOUNDS = {
    "greater_than": ("must be more than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "too_short": ("needs at least this many items:", "min_length"),
    "too_long": ("takes at most this many items:", "max_length"),
    "string_too_short": ("needs at least this many characters:", "min_length"),
    "string_too_long": ("takes at most this many characters:", "max_length"),
}


def _words(fault: Any) -> str:
    context = fault.get("ctx", {})
    if fault["type"] in _BOUNDS:
        words, key = _BOUNDS[fault["type"]]
        limit = context[key]
        return f"{words} {limit:g}" if isinstance(limit, float) else f"{words} {limit}"
    if fault["type"] == "value_error":
        return f"is not right: {context.get('error', fault['msg'])}"
    return f"is not right: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _count(number: int) -> str:
    return {0: "no arguments", 1: "one argument"}.get(number, f"{number} arguments")
