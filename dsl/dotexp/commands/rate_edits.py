"""A stage's learning rate as its spec writes it: scaled, and put back into the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dotexp.components.bases import PolicyParams
from dotexp.components.registry import Registry
from dotexp.experiment.experiment import Experiment, Stage
from dotexp.experiment.nodes import with_values
from dotexp.experiment.overrides import FLAG, Override, from_command_line
from dotexp.experiment.resolve import Resolved, resolve
from dotexp.language.diagnostics import UsageError
from dotexp.language.edits import Edit, edit_file
from dotexp.language.literals import number_value
from dotexp.language.source import Source, Span, source_from_text
from dotexp.language.syntax_tree import Argument, Call, ListValue, MapValue, Number, Param, Value, Word
from dotexp.planning.stages import peak_rates
from dotexp.record import values_of

_CLOSE = 0.01  # numbers are written with three digits

Peaks = Mapping[str, float | None]
"""Peak learning rates by group; None for a group that a map leaves out."""


@dataclass(frozen=True)
class ScaledRate:
    """A stage's scaled learning rate as a node of the syntax tree, and the scale factor."""

    stage: str
    value: Value
    factor: float

    @property
    def text(self) -> str:
        """The rate as a spec writes it."""
        return _text(self.value)


@dataclass(frozen=True)
class Written:
    """Where a rate was written, as `file:line:column`, and what else changed with it, a param being named there."""

    places: tuple[str, ...]
    also: tuple[str, ...] = ()


def peaks_of(experiment: Experiment, name: str) -> Peaks:
    """Return a stage's peak learning rates by group. Raises UsageError, with the stages' names, for an unknown one."""
    groups = [group.name for group in experiment.model.groups]
    return dict(zip(groups, peak_rates(_policy(stage_of(experiment, name)).lr, groups), strict=True))


def stage_of(experiment: Experiment, name: str | None) -> Stage:
    """Return a stage by its name, or the only one. Raises UsageError, with the stages' names, where there is none."""
    names = [stage.name for stage in experiment.stages]
    if name is None and len(names) == 1:
        return experiment.stages[0]
    if name not in names:
        said = "say which stage" if name is None else f"there is no stage `{name}`"
        raise UsageError(f"{said}: the experiment's are {', '.join(names)}")
    return experiment.stages[names.index(name)]


def scaled_rate(resolved: Resolved, stage: str, factor: float, registry: Registry) -> ScaledRate:
    """Scale a stage's learning rate, in the form that the spec has it in where that has this effect.

    Otherwise, as with a component whose numbers are not all rates, it is a number, a list or a map.
    """
    written = resolved.nodes.get(_path(stage))
    value = None if written is None else _scaled_value(written, resolved.params, factor)
    if value is None or not _has_effect(resolved, stage, value, factor, registry):
        value = _plain(peaks_of(resolved.experiment, stage), factor)
    return ScaledRate(stage, value, factor)


def write_rate(resolved: Resolved, rate: ScaledRate, registry: Registry) -> Written:
    """Put a rate into the spec's file: where its numbers stand, be it in a `param`, and nowhere else.

    The spec with the rate is checked first. Raises UsageError, saying what to write where, for a rate that stands
    elsewhere: in a base file, a `stages` statement or an override, or nowhere, being a default.
    """
    span, value = resolved.origins.get(_path(rate.stage)), resolved.nodes.get(_path(rate.stage))
    if resolved.source.name.startswith("<"):
        raise UsageError(f"standard input cannot be written to: write lr = {rate.text} into the stage `{rate.stage}`")
    if span is None or value is None or span.source != resolved.source or span in resolved.expansions:
        raise UsageError(_elsewhere(resolved, rate, span))
    numbers = list(_numbers(value, resolved.params))
    foreign = next((number.span.source for number in numbers if number.span.source != resolved.source), None)
    if foreign is not None:
        raise UsageError(_foreign_param(resolved, rate, foreign))
    in_place = {number.span: _scaled_number(number, rate.factor) for number in numbers}
    for values in (in_place, {value.span: rate.value}):
        after = _resolved_with(resolved, values, registry) if values else None
        if after is not None and _scaled(resolved.experiment, after.experiment, rate.stage, rate.factor):
            edits = [Edit(place.start, place.end, _text(new)) for place, new in values.items()]
            edit_file(resolved.source, edits)
            places = tuple(_place(place) for place in sorted(values, key=lambda each: each.start))
            return Written(places, _others(resolved.experiment, after.experiment, rate.stage))
    raise UsageError(f"{_place(span)} cannot be rewritten: write lr = {rate.text} yourself")


def rate_text(rate: float, exponent: bool = True) -> str:
    """Write a rate with three digits at most: `2.3e-3`, or `0.0023` without an exponent while that stays short."""
    if not exponent and 1e-4 <= rate < 1e4:
        return f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"
    digits, _, power = f"{rate:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def _path(stage: str) -> str:
    return f"stage.{stage}.fit.lr"


def _policy(stage: Stage) -> PolicyParams:
    assert isinstance(stage.fit.params, PolicyParams)
    return stage.fit.params


# Values


def _numbers(value: Value, params: Mapping[str, Param]) -> Iterator[Number]:
    """Yield every number in a value; the names of params are followed."""
    match value:
        case Number():
            yield value
        case ListValue(items=items):
            for item in items:
                yield from _numbers(item, params)
        case MapValue(entries=entries):
            for _, entry in entries:
                yield from _numbers(entry, params)
        case Call(arguments=None) if (param := _param(value, params)) is not None:
            yield from _numbers(param.value, params)
        case Call(arguments=arguments):
            for argument in arguments or ():
                yield from _numbers(argument.value, params)


def _scaled_value(value: Value, params: Mapping[str, Param], factor: float) -> Value:
    match value:
        case Number():
            return _scaled_number(value, factor)
        case ListValue(items=items):
            return value._replace(items=tuple(_scaled_value(item, params, factor) for item in items))
        case MapValue(entries=entries):
            return value._replace(entries=tuple((key, _scaled_value(item, params, factor)) for key, item in entries))
        case Call(arguments=None) if (param := _param(value, params)) is not None:
            return _scaled_value(param.value, params, factor)
        case Call(arguments=arguments) if arguments:
            scaled = (each._replace(value=_scaled_value(each.value, params, factor)) for each in arguments)
            return value._replace(arguments=tuple(scaled))
    return value


def _param(call: Call, params: Mapping[str, Param]) -> Param | None:
    return params.get(call.name.text) if call.arguments is None and call.owner is None else None


def _scaled_number(number: Number, factor: float) -> Number:
    return _number(number.value * factor, exponent="e" in number.span.text.lower())


def _number(rate: float, exponent: bool = True) -> Number:
    """Return a rate's node, of three digits, whose span is its text."""
    source = source_from_text(rate_text(rate, exponent))
    return Number(number_value(source.text), source.span(0, len(source.text)))


def _plain(peaks: Peaks, factor: float) -> Value:
    """Return scaled peak rates as a number, a list, or a map where a group has none."""
    rates = {name: _number(peak * factor) for name, peak in peaks.items() if peak is not None}
    first = next(iter(rates.values()))
    if len(rates) < len(peaks):
        return MapValue(tuple((Word(name, first.span), rate) for name, rate in rates.items()), first.span)
    return first if len({rate.value for rate in rates.values()}) == 1 else ListValue(tuple(rates.values()), first.span)


def _text(value: Value) -> str:
    """Write a value out; every number's span is its text."""
    match value:
        case ListValue(items=items):
            return f"[{', '.join(_text(item) for item in items)}]"
        case MapValue(entries=entries):
            return f"{{{', '.join(f'{_key(key)} = {_text(entry)}' for key, entry in entries)}}}"
        case Call(arguments=arguments) if arguments:
            owner = f"{value.owner.text}." if value.owner else ""
            return f"{owner}{value.name.text}({', '.join(_argument(each) for each in arguments)})"
    return value.span.text


def _key(key: Word) -> str:
    quoted = key.span.text.startswith('"')
    return key.span.text if quoted else key.text


def _argument(argument: Argument) -> str:
    return (f"{argument.name.text} = " if argument.name else "") + _text(argument.value)


# Effects


def _has_effect(resolved: Resolved, stage: str, value: Value, factor: float, registry: Registry) -> bool:
    path = tuple(_path(stage).split("."))
    others = [override for override in resolved.overrides if override.path != path]
    after, _ = resolve(resolved.document, registry, (*others, Override(path, value, value.span)))
    return after is not None and _scaled(resolved.experiment, after.experiment, stage, factor)


def _resolved_with(resolved: Resolved, values: Mapping[Span, Value], registry: Registry) -> Resolved | None:
    """Resolve the document with other values in places; None where it does not check."""
    return resolve(with_values(resolved.document, values), registry, resolved.overrides)[0]


def _scaled(before: Experiment, after: Experiment, stage: str, factor: float) -> bool:
    old, new = peaks_of(before, stage), peaks_of(after, stage)
    return old.keys() == new.keys() and all(_times(old[name], new[name], factor) for name in old)


def _times(old: float | None, new: float | None, factor: float) -> bool:
    if old is None or new is None:
        return old is new
    return math.isclose(old * factor, new, rel_tol=_CLOSE)


def _others(before: Experiment, after: Experiment, stage: str) -> tuple[str, ...]:
    """What of an experiment changed beside a stage's learning rate."""
    old, new = values_of(before), values_of(after)
    changed = [f"`{name}`" for name in old if name != "stages" and old[name] != new[name]]
    pairs = zip(before.stages, after.stages, strict=True)
    return (*changed, *(f"stage `{one.name}`" for one, two in pairs if one != two and one.name != stage))


# Messages


def _place(span: Span) -> str:
    return f"{span.source.name}:{span.line}:{span.column}"


def _elsewhere(resolved: Resolved, rate: ScaledRate, span: Span | None) -> str:
    lr = f"lr = {rate.text}"
    if span is None:
        return f"the stage `{rate.stage}` has its learning rate by default: write {lr} into its `fit`"
    if from_command_line(span.source):
        return f"the learning rate was given with {FLAG}: give {FLAG} {_path(rate.stage)}='{rate.text}' in its place"
    if span in resolved.expansions:
        return (
            f"the stage `{rate.stage}` is one that the `stages` statement of {span.source.name} stands for: write it"
            f" out with {lr} (`spec-runner resolve` prints it), or change the statement's own arguments"
        )
    return (
        f"the learning rate stands in the base file, at {_place(span)}: write {lr} there, for every spec that"
        f" extends it, or repeat the stage `{rate.stage}` with it in {resolved.source.name}"
    )


def _foreign_param(resolved: Resolved, rate: ScaledRate, source: Source) -> str:
    if from_command_line(source):
        return f"the learning rate was given with {source.name}: give {FLAG} {_path(rate.stage)}='{rate.text}' as well"
    return (
        f"the learning rate is a param of the base file {source.name}: write the param with its new value into"
        f" {resolved.source.name}, where it takes the base's place, so that it comes to lr = {rate.text}"
    )
