"""A stage's learning rate as its spec writes it: scaled, and put back into the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotexp.components.bases import PolicyParams
from dotexp.components.registry import Registry
from dotexp.experiment.experiment import Experiment, Stage
from dotexp.experiment.overrides import from_command_line
from dotexp.experiment.resolve import Resolved, resolve
from dotexp.language.diagnostics import UsageError
from dotexp.language.edits import Edit, edit_file, edited
from dotexp.language.parser import parse, parse_value
from dotexp.language.source import Source, Span
from dotexp.language.syntax_tree import Call, ListValue, MapValue, Number, Param, Value
from dotexp.planning.stages import peak_rates

_CLOSE = 0.01  # numbers are written with three digits

Peaks = Mapping[str, float | None]
"""Peak learning rates by group; None for a group that a map leaves out."""


@dataclass(frozen=True)
class RateText:
    """A new learning rate in the form that the spec has it in, and how many times the one that the spec has it is."""

    stage: str
    text: str
    factor: float


@dataclass(frozen=True)
class Written:
    """Where a rate was written, as `file:line:column`, and what else changed with it, a param being named there."""

    places: tuple[str, ...]
    also: tuple[str, ...] = ()


def peaks_of(experiment: Experiment, name: str) -> Peaks:
    """Peak learning rates of a stage, by group. Raises UsageError, with the names there are, where there is none."""
    groups = [group.name for group in experiment.model.groups]
    return dict(zip(groups, peak_rates(_policy(stage_of(experiment, name)).lr, groups), strict=True))


def stage_of(experiment: Experiment, name: str | None) -> Stage:
    """A stage by its name, or the only one. Raises UsageError, with the names there are, where there is none."""
    names = [stage.name for stage in experiment.stages]
    if name is None and len(names) == 1:
        return experiment.stages[0]
    if name not in names:
        said = "say which stage" if name is None else f"there is no stage `{name}`"
        raise UsageError(f"{said}: the experiment's are {', '.join(names)}")
    return experiment.stages[names.index(name)]


def scaled_rate(resolved: Resolved, stage: str, factor: float, registry: Registry) -> RateText:
    """Write a stage's learning rate `factor` times as high, in its own form where that has this effect.

    Otherwise, as with a component whose numbers are not all rates, it is a number, a list or a map.
    """
    value = _written(resolved, stage)
    text = None if value is None else _scaled_text(value, resolved.params, factor)
    if text is None or not _has_effect(resolved, stage, text, factor, registry):
        text = _plain(peaks_of(resolved.experiment, stage), factor)
    return RateText(stage, text, factor)


def write_rate(resolved: Resolved, rate: RateText, registry: Registry) -> Written:
    """Put a rate into the spec's file: where its numbers stand, be it in a `param`, and nowhere else.

    The new text is checked first. Raises UsageError, saying what to write where, for a rate that stands elsewhere: in
    a base file, a `stages` statement or an override, or nowhere, being a default.
    """
    span = resolved.origins.get(_path(rate.stage))
    if resolved.source.name.startswith("<"):
        raise UsageError(f"standard input cannot be written to: write lr = {rate.text} into the stage `{rate.stage}`")
    value = _written(resolved, rate.stage)
    if span is None or value is None or span.source != resolved.source:
        raise UsageError(_elsewhere(resolved, rate, span))
    numbers = list(_numbers(value, span.source, resolved.params))
    foreign = next((source for source, _ in numbers if source != resolved.source), None)
    if foreign is not None:
        raise UsageError(_foreign_param(resolved, rate, foreign))
    ways = [
        [Edit(number.span.start, number.span.end, _scaled_number(number, rate.factor)) for _, number in numbers],
        [Edit(value.span.start, value.span.end, rate.text)],
    ]
    for edits in ways:
        after = _after(resolved, edits, registry) if edits else None
        if after is not None and _scaled(resolved.experiment, after.experiment, rate.stage, rate.factor):
            edit_file(resolved.source, edits)
            places = tuple(dict.fromkeys(_place(Span(resolved.source, edit.start, edit.end)) for edit in sorted(edits)))
            return Written(places, _others(resolved.experiment, after.experiment, rate.stage))
    raise UsageError(f"{_place(span)} cannot be rewritten: write lr = {rate.text} yourself")


def _path(stage: str) -> str:
    return f"stage.{stage}.fit.lr"


def _policy(stage: Stage) -> PolicyParams:
    assert isinstance(stage.fit.params, PolicyParams)
    return stage.fit.params


def _written(resolved: Resolved, stage: str) -> Value | None:
    """The value as it was written; None where it is a default."""
    span = resolved.origins.get(_path(stage))
    if span is None:
        return None
    document = parse_value(span.source)[0] if from_command_line(span.source) else parse(span.source)[0]
    return next((value for value in _values(document) if span in _places_of(value)), None)


def _values(node: object) -> Iterator[Value]:
    if isinstance(node, Value):
        yield node
    if isinstance(node, tuple):  # every node is one
        for part in node:
            yield from _values(part)


def _places_of(value: Value) -> tuple[Span, ...]:
    """Spans that stand for a value: its own, and a component's name."""
    return (value.span, value.name.span) if isinstance(value, Call) else (value.span,)


def _numbers(value: Value, source: Source, params: Mapping[str, Param]) -> Iterator[tuple[Source, Number]]:
    """Every number in a value, with the source that it stands in; the names of params are followed."""
    match value:
        case Number():
            yield source, value
        case ListValue(items=items):
            for item in items:
                yield from _numbers(item, source, params)
        case MapValue(entries=entries):
            for _, entry in entries:
                yield from _numbers(entry, source, params)
        case Call(arguments=None) if (param := _param(value, params)) is not None:
            yield from _numbers(param.value, param.value.span.source, params)
        case Call(arguments=arguments):
            for argument in arguments or ():
                yield from _numbers(argument.value, source, params)


def _scaled_text(value: Value, params: Mapping[str, Param], factor: float) -> str:
    match value:
        case Number():
            return _scaled_number(value, factor)
        case ListValue(items=items):
            return f"[{', '.join(_scaled_text(item, params, factor) for item in items)}]"
        case MapValue(entries=entries):
            rows = (f"{key.span.text} = {_scaled_text(entry, params, factor)}" for key, entry in entries)
            return f"{{{', '.join(rows)}}}"
        case Call(arguments=None) if (param := _param(value, params)) is not None:
            return _scaled_text(param.value, params, factor)
        case Call(arguments=arguments) if arguments:
            owner = f"{value.owner.text}." if value.owner else ""
            rows = (
                (f"{each.name.text} = " if each.name else "") + _scaled_text(each.value, params, factor)
                for each in arguments
            )
            return f"{owner}{value.name.text}({', '.join(rows)})"
    return value.span.text


def _param(call: Call, params: Mapping[str, Param]) -> Param | None:
    return params.get(call.name.text) if call.arguments is None and call.owner is None else None


def _scaled_number(number: Number, factor: float) -> str:
    return rate_text(number.value * factor, exponent="e" in number.span.text.lower())


def rate_text(rate: float, exponent: bool = True) -> str:
    """Write a rate with three digits at most: `2.3e-3`, or `0.0023` without an exponent while that stays short."""
    if not exponent and 1e-4 <= rate < 1e4:
        return f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"
    digits, _, power = f"{rate:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def _plain(peaks: Peaks, factor: float) -> str:
    rates = {name: None if peak is None else rate_text(peak * factor) for name, peak in peaks.items()}
    given = {name: text for name, text in rates.items() if text is not None}
    if len(given) < len(rates):
        return f"{{{', '.join(f'{name} = {text}' for name, text in given.items())}}}"
    return next(iter(given.values())) if len(set(given.values())) == 1 else f"[{', '.join(given.values())}]"


def _has_effect(resolved: Resolved, stage: str, text: str, factor: float, registry: Registry) -> bool:
    overrides = (*resolved.overrides, f"{_path(stage)}={text}")
    after, _ = resolve(resolved.source, registry, overrides)
    return after is not None and _scaled(resolved.experiment, after.experiment, stage, factor)


def _after(resolved: Resolved, edits: list[Edit], registry: Registry) -> Resolved | None:
    """What the edited text resolves to; None where it does not check."""
    source = resolved.source
    return resolve(Source(source.name, edited(source.text, edits), source.folder), registry, resolved.overrides)[0]


def _scaled(before: Experiment, after: Experiment, stage: str, factor: float) -> bool:
    old, new = peaks_of(before, stage), peaks_of(after, stage)
    return old.keys() == new.keys() and all(_times(old[name], new[name], factor) for name in old)


def _times(old: float | None, new: float | None, factor: float) -> bool:
    if old is None or new is None:
        return old is new
    return math.isclose(old * factor, new, rel_tol=_CLOSE)


def _others(before: Experiment, after: Experiment, stage: str) -> tuple[str, ...]:
    """What of an experiment changed beside a stage's learning rate."""
    names = [name for name in Experiment.model_fields if name != "stages"]
    old, new = dict(before), dict(after)
    changed = [f"`{name}`" for name in names if old[name] != new[name]]
    pairs = zip(before.stages, after.stages, strict=True)
    return (*changed, *(f"stage `{one.name}`" for one, two in pairs if one != two and one.name != stage))


def _place(span: Span) -> str:
    return f"{span.source.name}:{span.line}:{span.column}"


def _elsewhere(resolved: Resolved, rate: RateText, span: Span | None) -> str:
    lr = f"lr = {rate.text}"
    if span is None:
        return f"the stage `{rate.stage}` has its learning rate by default: write {lr} into its `fit`"
    if from_command_line(span.source):
        return f"the learning rate was given with --set: give --set {_path(rate.stage)}='{rate.text}' in its place"
    if Path(span.source.name).exists():
        return (
            f"the learning rate stands in the base file, at {_place(span)}: write {lr} there, for every spec that"
            f" extends it, or repeat the stage `{rate.stage}` with it in {resolved.source.name}"
        )
    return (
        f"the stage `{rate.stage}` is one that the `stages` statement of {resolved.source.name} stands for: write it"
        f" out with {lr} (`spec-runner resolve` prints it), or change the statement's own arguments"
    )


def _foreign_param(resolved: Resolved, rate: RateText, source: Source) -> str:
    if from_command_line(source):
        return f"the learning rate was given with {source.name}: give --set {_path(rate.stage)}='{rate.text}' as well"
    return (
        f"the learning rate is a param of the base file {source.name}: write the param with its new value into"
        f" {resolved.source.name}, where it takes the base's place, so that it comes to lr = {rate.text}"
    )
