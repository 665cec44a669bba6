"""Written values to Python values, by what the parameter accepts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from dotexp.components.component import Use
from dotexp.components.params import Range, former_members_of
from dotexp.experiment.accepted import Expected
from dotexp.experiment.overrides import FLAG, from_command_line, may_be_path, whole_override
from dotexp.experiment.scope import Scope
from dotexp.language.diagnostics import Diagnostic
from dotexp.language.literals import quote
from dotexp.language.source import Span
from dotexp.language.syntax_tree import (
    Call,
    Constant,
    Faulty,
    ListValue,
    MapValue,
    Number,
    NumberRange,
    Text,
    Value,
    Word,
)


def _is_text_or_none(value: Value, expected: Expected) -> bool:
    return isinstance(value, Text) or (isinstance(value, Constant) and value.value is None and expected.none)


def _as_meant(value: Value, expected: Expected) -> Value:
    """Return what a value of the JSON form, which has text and maps alone, means where this is expected."""
    match value:
        case Text() if value.value in expected.members:
            return Call(Word(value.value, value.span), None, value.span)
        case Text() | MapValue() if expected.kinds and not (isinstance(value, Text) and expected.takes_text):
            from dotexp.language.json_form import component_call

            return component_call(value) or value
        case Text() if expected.enums and not expected.takes_text:
            return Call(Word(value.value, value.span), None, value.span)
        case MapValue(entries=((Word("low"), Number() as low), (Word("high"), Number() as high))) if expected.range:
            return NumberRange(low, high, value.span)
    return value


def _with_quotes(fault: Diagnostic, value: Text) -> Diagnostic:
    """Say of text on the command line that is no value how it is quoted."""
    path = value.span.source.name.removeprefix(f"{FLAG} ")
    return fault.replace(help=f"text stands in quotes, as in {FLAG} '{path}={quote(value.value)}'")


class Bad:
    """A value that could not be converted; its fault is reported already."""


BAD: Final = Bad()
Bind = Callable[[Call, tuple[str, ...], str], Use | None]


class Converter(NamedTuple):
    """Turns values into what parameters take. `bind` makes a component of a call; `label` says whose value it is."""

    scope: Scope
    bind: Bind

    def convert(self, written: Value, expected: Expected, label: str, path: str) -> Any:
        """Convert a value, or report why it does not fit and return BAD."""
        param = self.scope.param(written)
        if param is not None:
            self._refuse_hiding(written, expected)
        value = self.scope.follow(written)
        if self.scope.is_undefined(value):
            return BAD
        if value.span.source.is_json:
            value = _as_meant(value, expected)
        if expected.only_text and whole_override(value) and not _is_text_or_none(value, expected):
            value = Text(value.span.source.text, value.span)
        match value:
            case Faulty():
                return BAD
            case Number():
                return self._number(value, written, expected, label)
            case Constant():
                return self._constant(value, written, expected, label)
            case Text():
                return self._text(value, written, expected, label)
            case NumberRange():
                return self._range(value, written, expected, label)
            case ListValue():
                return self._list(value, written, expected, label, path)
            case MapValue():
                return self._map(value, written, expected, label, path)
            case Call():
                return self._call(value, written, expected, label, path)

    def _number(self, value: Number, written: Value, expected: Expected, label: str) -> Any:
        if value.percent:
            if expected.percent and expected.number:
                return float(value.value)
            return self._wrong(written, expected, label, "a percentage")
        if isinstance(value.value, int):
            if expected.integer:
                return value.value
            return float(value.value) if expected.number else self._wrong(written, expected, label, "a number")
        if expected.number:
            return value.value
        if expected.integer and value.value.is_integer() and abs(value.value) < 2**53:
            return self._wrong(written, expected, label, "a number with a point or exponent", str(int(value.value)))
        return self._wrong(written, expected, label, "a number")

    def _constant(self, value: Constant, written: Value, expected: Expected, label: str) -> Any:
        if value.value is None:
            return None if expected.none else self._wrong(written, expected, label, "none")
        return value.value if expected.boolean else self._wrong(written, expected, label, str(value.value).lower())

    def _text(self, value: Text, written: Value, expected: Expected, label: str) -> Any:
        if "\0" in value.value:
            self.scope.collector.report("E206", f"{label} holds a NUL character", written.span)
            return BAD
        if value.faults and not (expected.only_text or (expected.takes_text and may_be_path(value.value))):
            said = [_with_quotes(value.faults[0], value)] if expected.takes_text else value.faults
            self.scope.collector.extend(said)
            return BAD
        if expected.text:
            return value.value
        if expected.path:
            return Path(os.path.normpath(value.span.source.folder / value.value))
        known = (*expected.members, *(n for kind in expected.kinds for n in self.scope.registry.names(kind)))
        bare = value.value if value.value in known else None
        return self._wrong(written, expected, label, "quoted text, and quoted text is never a name", bare)

    def _range(self, value: NumberRange, written: Value, expected: Expected, label: str) -> Any:
        if not expected.range:
            return self._wrong(written, expected, label, "a range")
        low, high = float(value.low.value), float(value.high.value)
        if low < high:
            return Range(low=low, high=high)
        self.scope.collector.report(
            "E207",
            f"{label} is upside down: a range runs from the lower number to the higher one",
            written.span,
            suggestion=f"{value.high.span.text}..{value.low.span.text}" if high < low else None,
        )
        return BAD

    def _list(self, value: ListValue, written: Value, expected: Expected, label: str, path: str) -> Any:
        if expected.fixed is not None and len(value.items) == len(expected.fixed):
            wanted: Sequence[Expected] = expected.fixed
        elif expected.items is not None:
            wanted = [expected.items] * len(value.items)
        elif expected.fixed is not None:
            count = len(expected.fixed)
            message = f"{label} takes a list of {count}, and this one has {len(value.items)}"
            self.scope.collector.report("E302", message, written.span)
            return BAD
        else:
            return self._wrong(written, expected, label, "a list")
        pairs = enumerate(zip(value.items, wanted, strict=True))
        items = [self.convert(item, want, f"an item of {label}", f"{path}.{i}") for i, (item, want) in pairs]
        return BAD if any(item is BAD for item in items) else tuple(items)

    def _map(self, value: MapValue, written: Value, expected: Expected, label: str, path: str) -> Any:
        if expected.entries is None:
            return self._wrong(written, expected, label, "a map")
        result: dict[str, Any] = {}
        for key, entry in value.entries:
            if key.text in result:
                self.scope.collector.report("E202", f"`{key.text}` stands twice in {label}", key.span)
            result[key.text] = self.convert(entry, expected.entries, f"`{key.text}` in {label}", f"{path}.{key.text}")
        return BAD if any(item is BAD for item in result.values()) else result

    def _call(self, value: Call, written: Value, expected: Expected, label: str, path: str) -> Any:
        name = value.name.text
        if value.arguments is None and value.owner is None:
            for enum in expected.enums:
                if name in [member.value for member in enum]:
                    return enum(name)
            for enum in expected.enums:
                current = former_members_of(enum).get(name)
                if current is not None:
                    self.scope.warn_former(name, current, value.span)
                    return enum(current)
        known = {n for kind in expected.kinds for n in self.scope.registry.names(kind)}
        texts = expected.text or expected.path
        if expected.kinds and (name in known or value.arguments is not None or not (texts or expected.members)):
            return self.bind(value, expected.kinds, path) or BAD
        if texts and from_command_line(value.span.source):
            return self._text(Text(value.span.text, value.span), written, expected, label)
        return self._unknown_name(value, expected, label, known)

    def _unknown_name(self, value: Call, expected: Expected, label: str, known: set[str]) -> Bad:
        from dotexp.language.foreign_words import meaning  # a right spec has no unknown names

        name = value.name.text
        if value.arguments is not None:
            return self._wrong(value, expected, label, f"`{name}(…)`")
        lowered = {"True": "true", "False": "false", "None": "none"}.get(name)
        choices = [*expected.members, *sorted(known), *(["none"] if expected.none else [])]
        near, advice = meaning(name, [*choices, *self.scope.params])
        near = lowered or near
        if advice:
            help = advice
        elif expected.members or known:
            help = f"{label} is one of: {', '.join(choices)}"
        else:
            help = f"{label} takes {expected.words()}"
            if self.scope.params:
                help += f"; params declared: {', '.join(sorted(self.scope.params))}"
            if (expected.text or expected.path) and near is None:
                near = f'"{name}"'
        self.scope.collector.report("E208", f"unknown name `{name}`", value.span, suggestion=near, help=help)
        return BAD

    def _refuse_hiding(self, written: Value, expected: Expected) -> None:
        assert isinstance(written, Call)
        name = written.name.text
        taken = name in expected.members or any(self.scope.registry.find(kind, name) for kind in expected.kinds)
        if taken:
            self.refuse_hiding(name, written.span)

    def refuse_hiding(self, name: str, span: Span) -> None:
        """Report that a param hides a name that would mean something here."""
        message = f"the param `{name}` hides another `{name}` here"
        self.scope.collector.report("E209", message, span, help="give the param another name")

    def _wrong(self, written: Value, expected: Expected, label: str, found: str, suggestion: str | None = None) -> Bad:
        message = f"{label} takes {expected.words()}, not {found}"
        self.scope.collector.report("E206", message, written.span, suggestion=suggestion)
        return BAD
