"""A parsed spec: statements and values as written, each with its span. Nothing is looked up yet."""

from __future__ import annotations

from dataclasses import dataclass

from dotexp.source import Source, Span


@dataclass(frozen=True)
class Word:
    """A name, or a keyword that stands where a name may."""

    text: str
    span: Span


@dataclass(frozen=True)
class Number:
    """`3`, `1e-3`, `20%`: `value` is an int when written without point and exponent; a percent is divided by 100."""

    value: int | float
    span: Span
    percent: bool = False


@dataclass(frozen=True)
class NumberRange:
    """`0..5`, both ends included."""

    low: Number
    high: Number
    span: Span


@dataclass(frozen=True)
class Text:
    """A quoted string with its escapes undone, or a raw one."""

    value: str
    span: Span


@dataclass(frozen=True)
class Constant:
    """`true`, `false` or `none`."""

    value: bool | None
    span: Span


@dataclass(frozen=True)
class ListValue:
    """`[a, b]`."""

    items: tuple[Value, ...]
    span: Span


@dataclass(frozen=True)
class MapValue:
    """`{head = 1e-3, "a key" = 2}`."""

    entries: tuple[tuple[Word, Value], ...]
    span: Span


@dataclass(frozen=True)
class Argument:
    """One argument of a call; `name` is None for a positional one."""

    name: Word | None
    value: Value
    span: Span


@dataclass(frozen=True)
class Call:
    """`adam`, `adam(wd = 0.1)`, `vision.resnet34(…)`: a component, or, without arguments, whatever the name means.

    `arguments` is None where no parentheses stand; `owner` is the plugin's name before the dot.
    """

    name: Word
    arguments: tuple[Argument, ...] | None
    span: Span
    owner: Word | None = None


Value = Number | NumberRange | Text | Constant | ListValue | MapValue | Call


@dataclass(frozen=True)
class LayerItem:
    """`layer4`, or `stem..layer1`: one layer or group, or every layer from `first` to `last`."""

    first: Word
    last: Word | None
    span: Span


@dataclass(frozen=True)
class GroupItem:
    """`early [stem..layer2]`: a learning-rate group; the name is optional."""

    name: Word | None
    layers: tuple[LayerItem, ...]
    span: Span


@dataclass(frozen=True)
class Version:
    """`dotexp 1`."""

    number: Number
    span: Span


@dataclass(frozen=True)
class Extends:
    """`extends "base.exp"`."""

    path: Text
    span: Span


@dataclass(frozen=True)
class ExperimentName:
    """`experiment pets "…"`."""

    name: Word
    description: Text | None
    span: Span


@dataclass(frozen=True)
class Seed:
    """`seed 42`."""

    value: Value
    span: Span


@dataclass(frozen=True)
class Param:
    """`param epochs = 2`."""

    name: Word
    value: Value
    span: Span


@dataclass(frozen=True)
class Component:
    """A keyword with one component (`data ratings(…)`) or with changes alone (`data(size = 288)`).

    Keywords: data, model, body, head, loss, optimizer, fit, stages, and runtime (which has changes only).
    Exactly one of `call` and `changes` is not None.
    """

    keyword: Word
    call: Call | None
    changes: tuple[Argument, ...] | None
    span: Span


@dataclass(frozen=True)
class Metrics:
    """`metrics error_rate, accuracy`."""

    calls: tuple[Call, ...]
    span: Span


@dataclass(frozen=True)
class Groups:
    """`groups early [stem..layer2], late [layer3, layer4], head [head]`."""

    items: tuple[GroupItem, ...]
    span: Span


@dataclass(frozen=True)
class ModelBlock:
    """`model { … }`: members are components (body, head) and groups, in the order written."""

    members: tuple[Component | Groups, ...]
    span: Span


@dataclass(frozen=True)
class Freeze:
    """`freeze …` or `unfreeze`.

    `unfreeze` has neither `before` nor items; `freeze before layer4` has `before`; `kept` is the word after `except`.
    """

    unfreeze: bool
    before: Word | None
    items: tuple[LayerItem, ...]
    kept: Word | None
    span: Span


@dataclass(frozen=True)
class StageBlock:
    """`stage head { … }`: members are freeze statements and components (fit, loss, optimizer, data)."""

    name: Word
    members: tuple[Component | Freeze, ...]
    span: Span


Statement = Version | Extends | ExperimentName | Seed | Param | Component | Metrics | ModelBlock | StageBlock


@dataclass(frozen=True)
class Document:
    """A whole file: its statements in the order written."""

    source: Source
    statements: tuple[Statement, ...]
