"""A tree with faults: values that could not be understood become `Faulty`, statements `Unread`, and all else stays."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dotexp.language.source import Span
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Faulty,
    ListValue,
    MapValue,
    ModelBlock,
    Param,
    Seed,
    StageBlock,
    Statement,
    Unread,
    Value,
    Word,
)


def mark_faults(
    statements: Iterable[Statement], broken: Iterable[int], given_up: Iterable[Unread], lead: Callable[[Any], Word]
) -> tuple[Statement, ...]:
    """Mark what holds a broken lexeme, and put statements that were given up back into their places.

    `broken` are offsets; `lead` returns a statement's keyword.
    """
    marker = _Marker(sorted(broken), lead)
    in_order = sorted(given_up, key=lambda each: each.span.start)
    return tuple(_merge([marker.mark(statement) for statement in statements], in_order))


def _merge(statements: Iterable[Statement], given_up: Iterable[Unread]) -> Iterator[Statement]:
    left = deque(given_up)
    for statement in statements:
        while left and left[0].span.start < statement.span.start:
            yield left.popleft()
        if isinstance(statement, ModelBlock | StageBlock):
            inside: list[Unread] = []
            while left and left[0].span.start < statement.span.end:
                inside.append(left.popleft())
            statement = statement._replace(members=(*statement.members, *inside))
        yield statement
    yield from left


class _Marker:
    def __init__(self, broken: Sequence[int], lead: Callable[[Any], Word]) -> None:
        self._broken = broken
        self._lead = lead

    def mark(self, statement: Any) -> Any:
        """Return a statement, or a member of a block, with its faulty values marked."""
        if not self._within(statement.span):
            return statement
        marked = self._marked(statement)
        return Unread(self._lead(statement), statement.span) if marked is None else marked

    def _marked(self, statement: Any) -> Any:
        """Return a statement with its faulty values marked; None where its fault is in no value."""
        match statement:
            case ModelBlock() | StageBlock():
                return statement._replace(members=tuple(self.mark(member) for member in statement.members))
            case Component(call=Call() as call):
                made = self._call(call) if self._only_in(statement.span, [call.span]) else None
                return made and statement._replace(call=made)
            case Component(changes=tuple() as changes):
                arguments = self._arguments(statement.span, changes)
                return None if arguments is None else statement._replace(changes=arguments)
            case Param() | Seed():
                sound = self._only_in(statement.span, [statement.value.span])
                return statement._replace(value=self._value(statement.value)) if sound else None
        return None

    def _value(self, value: Value) -> Value:
        if not self._within(value.span):
            return value
        made: Value | None = None
        match value:
            case ListValue(items=items) if self._only_in(value.span, [item.span for item in items]):
                made = value._replace(items=tuple(self._value(item) for item in items))
            case MapValue(entries=entries) if self._only_in(value.span, [item.span for _, item in entries]):
                made = value._replace(entries=tuple((key, self._value(item)) for key, item in entries))
            case Call():
                made = self._call(value)
        return Faulty(value.span) if made is None else made

    def _call(self, call: Call) -> Call | None:
        if not self._within(call.span):
            return call
        arguments = self._arguments(call.span, call.arguments or ())
        return None if arguments is None else call._replace(arguments=arguments)

    def _arguments(self, span: Span, arguments: Sequence[Argument]) -> tuple[Argument, ...] | None:
        """Return a call's arguments; None where a fault is in none of them, or in one's name."""
        names = [argument.name.span for argument in arguments if argument.name is not None]
        if any(self._within(name) for name in names) or not self._only_in(span, [each.span for each in arguments]):
            return None
        return tuple(self._argument(argument) for argument in arguments)

    def _argument(self, argument: Argument) -> Argument:
        if not self._within(argument.span):
            return argument
        inside = self._only_in(argument.span, [argument.value.span])
        return argument._replace(value=self._value(argument.value) if inside else Faulty(argument.value.span))

    def _within(self, span: Span) -> bool:
        at = bisect_left(self._broken, span.start)
        return at < len(self._broken) and self._broken[at] < span.end

    def _only_in(self, span: Span, parts: Sequence[Span]) -> bool:
        """Whether everything broken in a piece of text lies in one of its parts, which are in order."""
        broken = self._broken[bisect_left(self._broken, span.start) : bisect_left(self._broken, span.end)]
        starts = [part.start for part in parts]
        places = [bisect_left(starts, offset + 1) - 1 for offset in broken]
        return all(at >= 0 and offset < parts[at].end for at, offset in zip(places, broken, strict=True))
