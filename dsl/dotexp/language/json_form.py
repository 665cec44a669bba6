"""The JSON form of a spec, as `resolve --json` prints it, read into the same tree as the text form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from math import isinf
from typing import Any, TypeVar

from dotexp.language.characters import NAME, experiment_name
from dotexp.language.diagnostics import FORMAT_VERSION, Diagnostic, Related, closest
from dotexp.language.keywords import BY_WORD, MODEL, STAGE, TOP, Form, Keyword, in_place
from dotexp.language.lexer import hidden_characters
from dotexp.language.literals import LONGEST_NUMBER
from dotexp.language.parser import DEEPEST, parse_freeze
from dotexp.language.source import Source, Span, source_from_text
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Constant,
    Document,
    ExperimentName,
    Freeze,
    GroupItem,
    Groups,
    LayerItem,
    Listing,
    ListValue,
    MapValue,
    ModelBlock,
    Number,
    Seed,
    StageBlock,
    Statement,
    Text,
    Unread,
    Value,
    Word,
)

_VERSION, _DESCRIPTION, _STAGES = "format_version", "description", "stages"
_COMPONENT = 'a component is an object such as {"name": "adam", "params": {"wd": 0.1}}, or its name alone'


_T = TypeVar("_T")


class FormError(Exception):
    """Text that is no JSON, or JSON that is no spec; carries the diagnostic."""

    def __init__(self, message: str, span: Span, code: str = "E103", help: str = "") -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, help=help)


def parse_json(source: Source) -> Document:
    """Read a spec in its JSON form. Raises nothing, whatever the text."""
    faults = list(hidden_characters(source))
    try:
        whole = _Reader(source).read()
    except FormError as error:
        return Document(source, (), (*faults, error.diagnostic))
    made = _Maker(faults)
    statements = tuple(made.statements(whole))
    return Document(source, statements, tuple(sorted(faults, key=lambda fault: fault.span.start if fault.span else 0)))


def json_keywords(place: str) -> tuple[Keyword, ...]:
    """Statements of a place that the JSON form has as keys, beside the list `stages`: a resolved spec's own."""
    return tuple(each for each in in_place(place) if each.form in _FORMS and (each.path or each.form in _PATHLESS))


_PATHLESS = (Form.name, Form.layers)
_FORMS = (*_PATHLESS, Form.number, Form.component, Form.listing, Form.settings, Form.block)


def component_call(node: Value) -> Call | None:
    """Return the component that a value of the JSON form stands for; None where it stands for none."""
    if isinstance(node, Text):
        return Call(Word(node.value, node.span), None, node.span)
    if not isinstance(node, MapValue):
        return None
    found = {key.text: value for key, value in node.entries}
    name, provider, params = found.pop("name", None), found.pop("provider", None), found.pop("params", None)
    if found or not isinstance(name, Text) or not isinstance(provider, Text | None):
        return None
    if not isinstance(params, MapValue | None):
        return None
    owner = Word(provider.value, provider.span) if provider and provider.value != "dotexp" else None
    return Call(Word(name.value, name.span), _arguments(params) if params else None, node.span, owner)


def _arguments(params: MapValue) -> tuple[Argument, ...]:
    return tuple(Argument(key, value, _over(key, value)) for key, value in params.entries)


def _over(key: Word, value: Value) -> Span:
    return Span(key.span.source, key.span.start, value.span.end)


class _Maker:
    """Makes statements of the values under their keywords."""

    def __init__(self, faults: list[Diagnostic]) -> None:
        self.faults = faults

    def statements(self, whole: MapValue) -> Iterator[Statement]:
        description = next((value for key, value in whole.entries if key.text == _DESCRIPTION), None)
        for key, value in self.known(whole, TOP, (_VERSION, _DESCRIPTION, _STAGES)):
            try:
                yield from self.statement(key, value, description)
            except FormError as error:
                self.faults.append(error.diagnostic)
                yield Unread(key, _over(key, value))

    def known(self, whole: MapValue, place: str, others: tuple[str, ...]) -> Iterator[tuple[Word, Value]]:
        """Entries with a keyword of this place or another known key; E109 for the rest, E202 for those given twice."""
        keys = [*(each.word for each in json_keywords(place)), *others]
        seen: dict[str, Span] = {}
        for key, value in whole.entries:
            if key.text not in keys:
                message = f"the JSON form of a spec has no `{key.text}` here"
                near = closest(key.text, keys)
                help = f"did you mean `{near}`?" if near else f"it has {', '.join(keys)}"
                self.faults.append(Diagnostic("E109", message, key.span, help=help))
            elif key.text in seen:
                first = (Related("first given here", seen[key.text]),)
                self.faults.append(Diagnostic("E202", f"`{key.text}` stands twice", key.span, related=first))
            else:
                seen[key.text] = key.span
                yield key, value

    def statement(self, key: Word, value: Value, description: Value | None) -> Iterator[Statement]:
        span, keyword = _over(key, value), BY_WORD.get(key.text)
        if key.text == _VERSION:
            if not isinstance(value, Number) or value.value != FORMAT_VERSION:
                raise FormError(f"this version reads JSON of `format_version` {FORMAT_VERSION}", value.span)
        elif key.text == _STAGES and isinstance(value, ListValue):
            yield from filter(None, map(self.sound_stage, value.items))
        elif keyword is None:
            if not isinstance(value, Text):
                raise _wrong(value, "text in quotes")
        elif keyword.form is Form.name:
            name = self.name(value)
            fault = experiment_name(name.text, name.span)
            self.faults += [fault] if fault else []
            yield ExperimentName(
                name, description if isinstance(description, Text) and description.value else None, span
            )
        elif keyword.form is Form.number:
            yield Seed(value, span)
        elif keyword.form is Form.settings:
            yield Component(key, None, _arguments(_object(value)), span)
        elif keyword.form is Form.block:
            yield self.model(key, _object(value), span)
        else:
            yield self.components(keyword, key, value, span)

    def components(self, keyword: Keyword, key: Word, value: Value, span: Span) -> Component | Listing:
        """A statement of one component, or of several."""
        if keyword.form is Form.listing:
            return Listing(key, tuple(_call(each) for each in _items(value)), span)
        return Component(key, _call(value), None, span)

    def model(self, key: Word, value: MapValue, span: Span) -> Component | ModelBlock:
        """A whole model, whose groups are its own, or a body with a head."""
        entries = dict(self.known(value, MODEL, (key.text,)))
        for word, each in entries.items():
            if word.text == key.text:
                return Component(key, _call(each), None, span)
        members: list[Component | Groups] = []
        for word, each in entries.items():
            place = _over(word, each)
            if BY_WORD[word.text].form is Form.component:
                members.append(Component(word, _call(each), None, place))
            else:
                members.append(self.groups(each, place))
        return ModelBlock(tuple(members), span)

    def groups(self, value: Value, span: Span) -> Groups:
        return Groups(tuple(self.group(_object(each)) for each in _items(value)), span)

    def group(self, value: MapValue) -> GroupItem:
        found: Mapping[str, Value] = {key.text: each for key, each in value.entries}
        layers = found.get("layers")
        if found.keys() != {"name", "layers"} or not isinstance(layers, ListValue):
            raise FormError('a group is an object such as {"name": "early", "layers": ["stem"]}', value.span)
        words = [self.name(each) for each in layers.items]
        items = tuple(LayerItem(word, None, word.span) for word in words)
        return GroupItem(self.name(found["name"]), items, value.span)

    def sound_stage(self, value: Value) -> StageBlock | None:
        """A stage, or None with its fault reported."""
        try:
            return self.stage(value)
        except FormError as error:
            self.faults.append(error.diagnostic)
            return None

    def stage(self, value: Value) -> StageBlock:
        stage = _object(value)
        name: Word | None = None
        members: list[Component | Freeze | Listing] = []
        for key, each in self.known(stage, STAGE, ("name",)):
            keyword = BY_WORD.get(key.text)
            if keyword is None:
                name = self.name(each)
            elif keyword.form is Form.layers:
                members += [] if isinstance(each, Constant) else [self.freeze(each)]
            else:
                members.append(self.components(keyword, key, each, _over(key, each)))
        if name is None:
            raise FormError("a stage needs a `name`", value.span, "E201")
        return StageBlock(name, tuple(members), value.span)

    def freeze(self, value: Value) -> Freeze:
        if not isinstance(value, Text):
            raise _wrong(value, "text as behind `freeze`, or null")
        freeze, faults = parse_freeze(source_from_text(value.value))
        if freeze is None:
            raise FormError(f"this is no freeze statement: {faults[0].message}", value.span)
        placed: Freeze = _placed(freeze, value.span)
        return placed

    def name(self, value: Value) -> Word:
        if not isinstance(value, Text) or not re.fullmatch(NAME, value.value):
            raise FormError("a name is text of letters, digits, `_` and inner `-`", value.span, "E108")
        return Word(value.value, value.span)


def _wrong(value: Value, wanted: str) -> FormError:
    return FormError(f"here stands {wanted}", value.span, "E206")


def _object(value: Value) -> MapValue:
    if not isinstance(value, MapValue):
        raise _wrong(value, "an object in braces")
    return value


def _items(value: Value) -> tuple[Value, ...]:
    if not isinstance(value, ListValue):
        raise _wrong(value, "a list in brackets")
    return value.items


def _call(value: Value) -> Call:
    call = component_call(value)
    if call is None:
        raise FormError("this is no component", value.span, "E206", _COMPONENT)
    return call


def _placed(node: Any, span: Span) -> Any:
    """Return a tree whose every node stands at `span`."""
    if isinstance(node, Span):
        return span
    if not isinstance(node, tuple):
        return node
    parts = (_placed(part, span) for part in node)
    return type(node)(*parts) if hasattr(node, "_fields") else tuple(parts)


# JSON with places

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?(?![\w.])")
_WORD = re.compile(r"(?:true|false|null)(?!\w)")
_CONSTANTS = {"true": True, "false": False, "null": None}


class _Reader:
    """Reads JSON into nodes of the syntax tree."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.at = 0
        self.depth = 0

    def read(self) -> MapValue:
        """Read the whole text, an object."""
        value = self.value()
        if self.next():
            raise self.wrong("the text goes on behind the end of its JSON")
        assert isinstance(value, MapValue), "a text that begins with a brace is an object"
        return value

    def next(self) -> str:
        """Go on to the next sign and return it; empty at the end."""
        match = _SPACE.match(self.source.text, self.at)
        self.at = match.end() if match else self.at
        return self.source.text[self.at : self.at + 1]

    def wrong(self, message: str, code: str = "E103", start: int | None = None) -> FormError:
        first = self.at if start is None else start
        return FormError(message, self.source.span(first, min(max(first + 1, self.at), len(self.source.text))), code)

    def value(self) -> Value:
        sign, start = self.next(), self.at
        if sign == "{":
            entries = self.several("}", self.entry)
            return MapValue(tuple(entries), self.source.span(start, self.at))
        if sign == "[":
            items = self.several("]", self.value)
            return ListValue(tuple(items), self.source.span(start, self.at))
        if sign == '"':
            return self.text()
        if match := _NUMBER.match(self.source.text, self.at):
            return self.number(match)
        if match := _WORD.match(self.source.text, self.at):
            self.at = match.end()
            return Constant(_CONSTANTS[match[0]], self.source.span(start, self.at))
        raise self.wrong("this is no value of JSON" if sign else "the JSON ends before it is complete")

    def several(self, end: str, one: Callable[[], _T]) -> list[_T]:
        """Read what stands in brackets, with commas between."""
        start, self.depth = self.at, self.depth + 1
        self.at += 1
        if self.depth > DEEPEST:
            raise self.wrong(f"brackets stand in brackets {DEEPEST} deep at most", "E107", start)
        made: list[_T] = []
        while self.next() != end:
            if made:
                if self.next() != ",":
                    raise self.wrong(f"a `,` or `{end}` stands here" if self.next() else f"`{end}` is missing")
                self.at += 1
            made.append(one())
        self.at += 1
        self.depth -= 1
        return made

    def entry(self) -> tuple[Word, Value]:
        if self.next() != '"':
            raise self.wrong("a key in double quotes stands here")
        key = self.text()
        if self.next() != ":":
            raise self.wrong("a `:` stands behind a key")
        self.at += 1
        return Word(key.value, key.span), self.value()

    def text(self) -> Text:
        match, start = _STRING.match(self.source.text, self.at), self.at
        if match is None:
            raise self.wrong("this string is not closed", "E106")
        self.at = match.end()
        try:
            value = json.loads(match[0])
        except ValueError:
            raise self.wrong("this string has a control or an escape that JSON does not have", "E106", start) from None
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            raise self.wrong("this string has a character that text cannot hold", "E106", start)
        return Text(value, self.source.span(start, self.at))

    def number(self, match: re.Match[str]) -> Number:
        start, self.at = self.at, match.end()
        if sum(character.isdigit() for character in match[0]) > LONGEST_NUMBER:
            raise self.wrong(f"a number has at most {LONGEST_NUMBER} digits", "E107", start)
        value = float(match[0]) if match[1] or match[2] else int(match[0])
        if isinf(float(value)):
            raise self.wrong("this number is beyond the largest one, about 1.8e308", "E105", start)
        return Number(value, self.source.span(start, self.at))
