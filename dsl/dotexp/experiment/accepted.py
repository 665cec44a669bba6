"""What a parameter's type accepts, read off its annotation."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from dotexp.components.component import Use
from dotexp.components.kinds import one
from dotexp.components.params import OfKind, Percent, Range


class Expected(NamedTuple):
    """Forms of value that a parameter takes."""

    boolean: bool = False
    integer: bool = False
    number: bool = False
    percent: bool = False
    text: bool = False
    path: bool = False
    none: bool = False
    range: bool = False
    enums: tuple[type[Enum], ...] = ()
    kinds: tuple[str, ...] = ()
    items: Expected | None = None
    fixed: tuple[Expected, ...] | None = None
    entries: Expected | None = None

    @property
    def takes_text(self) -> bool:
        """Whether text is accepted, a path's or other."""
        return self.text or self.path

    @property
    def only_text(self) -> bool:
        """Whether nothing but text, or none, is accepted."""
        others = self._replace(text=False, path=False, none=False)
        return self.takes_text and others == Expected()

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the enums' members."""
        return tuple(member.value for enum in self.enums for member in enum)

    def words(self) -> str:
        """Say in words what is accepted."""
        forms = list(self._forms())
        return " or ".join(forms) if len(forms) < 3 else ", ".join(forms[:-1]) + " or " + forms[-1]

    def _forms(self) -> Iterator[str]:
        if self.boolean:
            yield "true or false"
        if self.number:
            yield "a fraction or percentage" if self.percent else "a number"
        if self.integer:
            yield "a whole number"
        if self.members:
            yield "one of " + ", ".join(self.members)
        if self.text or self.path:
            yield "quoted text" if self.text else "a quoted path"
        if self.range:
            yield "a range such as 0..5"
        for kind in self.kinds:
            yield one(kind)
        if self.fixed is not None:
            yield f"a list of {len(self.fixed)}"
        elif self.items is not None:
            yield "a list"
        if self.entries is not None:
            yield "a map in braces"
        if self.none:
            yield "none"


def expected_for(field: FieldInfo) -> Expected:
    """What the field of a parameter model accepts."""
    own = _from_metadata(field.metadata)
    annotation: Any = field.annotation
    return _merge(_expected(annotation), own)


@cache
def _expected(annotation: Any) -> Expected:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _merge(_expected(arguments[0]), _from_metadata(arguments[1:]))
    if origin in (Union, UnionType):
        result = Expected()
        for arm in arguments:
            result = _merge(result, _expected(arm))
        return result
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return Expected(items=_expected(arguments[0]))
        return Expected(fixed=tuple(_expected(a) for a in arguments))
    if origin is dict:
        return Expected(entries=_expected(arguments[1]))
    return _plain(annotation)


def _plain(annotation: Any) -> Expected:
    simple = {
        bool: Expected(boolean=True),
        int: Expected(integer=True),
        float: Expected(number=True),
        str: Expected(text=True),
        Path: Expected(path=True),
        Range: Expected(range=True),
        NoneType: Expected(none=True),
        None: Expected(none=True),
        Use: Expected(),
    }
    if annotation in simple:
        return simple[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Expected(enums=(annotation,))
    raise TypeError(f"the language has no value for a parameter of type {annotation!r}")


def _from_metadata(metadata: Any) -> Expected:
    result = Expected()
    for mark in metadata:
        if isinstance(mark, Percent):
            result = result._replace(percent=True)
        if isinstance(mark, OfKind):
            result = result._replace(kinds=(*result.kinds, mark.kind))
    return result


def _merge(one: Expected, other: Expected) -> Expected:
    return Expected(
        boolean=one.boolean or other.boolean,
        integer=one.integer or other.integer,
        number=one.number or other.number,
        percent=one.percent or other.percent,
        text=one.text or other.text,
        path=one.path or other.path,
        none=one.none or other.none,
        range=one.range or other.range,
        enums=one.enums + other.enums,
        kinds=one.kinds + tuple(kind for kind in other.kinds if kind not in one.kinds),
        items=_merge_optional(one.items, other.items),
        fixed=one.fixed or other.fixed,
        entries=_merge_optional(one.entries, other.entries),
    )


def _merge_optional(one: Expected | None, other: Expected | None) -> Expected | None:
    if one is None or other is None:
        return one or other
    return _merge(one, other)
