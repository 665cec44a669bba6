"""A parsed spec: statements and values as written, each with its span. Nothing is looked up yet.

Named tuples, since there are many: a data class takes five times as long to make, and every `check` pays for it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dotexp.language.diagnostics import Diagnostic
from dotexp.language.source import Source, Span

_WORD = re.compile(r"[^\W\d]\w*(?:-+\w+)*")


def words_of(span: Span) -> list[str]:
    """Return every word in a piece of text that could not be understood."""
    return _WORD.findall(span.text)


class Word(NamedTuple):
    """A name, or a keyword that stands where a name may."""

    text: str
    span: Span


class Number(NamedTuple):
    """`3`, `1e-3`, `20%`: `value` is an int when written without point and exponent; a percent is divided by 100."""

    value: int | float
    span: Span
    percent: bool = False


class NumberRange(NamedTuple):
    """`0..5`, both ends included."""

    low: Number
    high: Number
    span: Span


class Text(NamedTuple):
    """A quoted string with its escapes undone, or a raw one.

    `faults` has something only for text of the command line that is no value of the language, such as a path whose
    quotes the shell took away: they count where a parameter takes no text.
    """

    value: str
    span: Span
    faults: tuple[Diagnostic, ...] = ()


class Constant(NamedTuple):
    """`true`, `false` or `none`."""

    value: bool | None
    span: Span


class ListValue(NamedTuple):
    """`[a, b]`."""

    items: tuple[Value, ...]
    span: Span


class MapValue(NamedTuple):
    """`{head = 1e-3, "a key" = 2}`."""

    entries: tuple[tuple[Word, Value], ...]
    span: Span


class Faulty(NamedTuple):
    """A value that could not be understood; its fault is reported."""

    span: Span


class Argument(NamedTuple):
    """One argument of a call; `name` is None for a positional one."""

    name: Word | None
    value: Value
    span: Span


class Call(NamedTuple):
    """`adam`, `adam(wd = 0.1)`, `vision.resnet34(…)`: a component, or, without arguments, whatever the name means.

    `arguments` is None where no parentheses stand; `owner` is the plugin's name before the dot.
    """

    name: Word
    arguments: tuple[Argument, ...] | None
    span: Span
    owner: Word | None = None


Value = Number | NumberRange | Text | Constant | ListValue | MapValue | Call | Faulty


class LayerItem(NamedTuple):
    """`layer4`, or `stem..layer1`: one layer or group, or every layer from `first` to `last`."""

    first: Word
    last: Word | None
    span: Span


class GroupItem(NamedTuple):
    """`early [stem..layer2]`: a learning-rate group; the name is optional."""

    name: Word | None
    layers: tuple[LayerItem, ...]
    span: Span


class Version(NamedTuple):
    """`dotexp 1`."""

    number: Number
    span: Span


class Extends(NamedTuple):
    """`extends "base.exp"`."""

    path: Text
    span: Span


class ExperimentName(NamedTuple):
    """`experiment pets "…"`."""

    name: Word
    description: Text | None
    span: Span


class Seed(NamedTuple):
    """`seed 42`."""

    value: Value
    span: Span


class Param(NamedTuple):
    """`param epochs = 2`."""

    name: Word
    value: Value
    span: Span


class Component(NamedTuple):
    """A keyword with one component (`data ratings(…)`) or with changes alone (`data(size = 288)`).

    Exactly one of `call` and `changes` is not None.
    """

    keyword: Word
    call: Call | None
    changes: tuple[Argument, ...] | None
    span: Span


class Listing(NamedTuple):
    """`metrics error_rate, accuracy`: components of one kind, none of them after `none`; also `stages none`."""

    keyword: Word
    calls: tuple[Call, ...]
    span: Span


class Groups(NamedTuple):
    """`groups early [stem..layer2], late [layer3, layer4], head [head]`."""

    items: tuple[GroupItem, ...]
    span: Span


class Unread(NamedTuple):
    """A statement with a fault: its keyword, empty where it has none, so that it counts as written.

    The names in its text count as used.
    """

    keyword: Word
    span: Span

    @property
    def names(self) -> list[str]:
        """Every word of its text, keywords included."""
        return words_of(self.span)


class ModelBlock(NamedTuple):
    """`model { … }`: members are components (body, head) and groups, in the order written."""

    members: tuple[Component | Groups | Unread, ...]
    span: Span


class Freeze(NamedTuple):
    """`freeze …` or `unfreeze`.

    `unfreeze` has neither `before` nor items; `freeze before layer4` has `before`; `kept` is the word after `except`.
    """

    unfreeze: bool
    before: Word | None
    items: tuple[LayerItem, ...]
    kept: Word | None
    span: Span


class StageBlock(NamedTuple):
    """`stage head { … }`: members are freeze statements, components (fit, loss, optimizer, data) and callbacks."""

    name: Word
    members: tuple[Component | Freeze | Listing | Unread, ...]
    span: Span


class NoStage(NamedTuple):
    """`stage head none`: the base's stage of this name is left out."""

    name: Word
    span: Span


Statement = (
    Version | Extends | ExperimentName | Seed | Param | Component | Listing | ModelBlock | StageBlock | NoStage | Unread
)


class Document(NamedTuple):
    """A whole file: its statements in the order written, and every fault in it, in the order of the text."""

    source: Source
    statements: tuple[Statement, ...]
    faults: tuple[Diagnostic, ...] = ()
