"""What each rule of experiment.lark makes: the nodes of document.py, spans included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lark import Transformer

from dotexp.language.lexer import Lexeme
from dotexp.language.literals import number_value, unquote
from dotexp.language.source import Span
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Constant,
    ExperimentName,
    Extends,
    Freeze,
    GroupItem,
    Groups,
    LayerItem,
    Listing,
    ListValue,
    MapValue,
    ModelBlock,
    NoStage,
    Number,
    NumberRange,
    Param,
    Seed,
    StageBlock,
    Statement,
    Text,
    Value,
    Version,
    Word,
)

_CONSTANTS = {"true": True, "false": False, "none": None}

Children = list[Any]
"""What stands under a rule, punctuation included: lexemes and nodes, each with its span."""


class Arguments(NamedTuple):
    """The parentheses of a call and what is in them, on the way to a Call or a Component."""

    items: tuple[Argument, ...]
    span: Span


class Builder(Transformer[Lexeme, Any]):
    """Makes a document's nodes as the parser reduces: one method a rule, named like it."""

    # Statements

    def start(self, children: Children) -> tuple[Statement, ...]:
        """All statements."""
        return tuple(children)

    def only_value(self, children: Children) -> Value:
        """A value alone."""
        value: Value = children[0]
        return value

    def only_freeze(self, children: Children) -> Freeze:
        """A freeze statement alone, its keyword present or not."""
        freeze: Freeze = children[0]
        return freeze

    def only_listing(self, children: Children) -> ListValue:
        """Components alone, as behind `metrics`."""
        return ListValue(_nodes(children), _span(children))

    def version(self, children: Children) -> Version:
        """`dotexp 1`."""
        return Version(_number(children[1]), _span(children))

    def extends(self, children: Children) -> Extends:
        """`extends "base.exp"`."""
        return Extends(_text(children[1]), _span(children))

    def experiment(self, children: Children) -> ExperimentName:
        """`experiment pets "…"`."""
        description = _text(children[2]) if len(children) > 2 else None
        return ExperimentName(children[1], description, _span(children))

    def seed(self, children: Children) -> Seed:
        """`seed 42`."""
        return Seed(children[1], _span(children))

    def param(self, children: Children) -> Param:
        """`param epochs = 2`."""
        return Param(_word(children[1]), children[3], _span(children))

    def component(self, children: Children) -> Component:
        """A keyword with a component, or with changes to the one in force."""
        keyword, choice = children
        if isinstance(choice, Arguments):
            return Component(_word(keyword), None, choice.items, _span(children))
        return Component(_word(keyword), choice, None, _span(children))

    def listing(self, children: Children) -> Listing:
        """`metrics error_rate, accuracy`, `callbacks none`."""
        return Listing(_word(children[0]), _nodes(children), _span(children))

    def model(self, children: Children) -> ModelBlock:
        """`model { … }`."""
        return ModelBlock(_nodes(children), _span(children))

    def stage(self, children: Children) -> StageBlock | NoStage:
        """`stage head { … }`, `stage head none`."""
        if len(children) == 3 and _type(children[2]) == "NONE":
            return NoStage(children[1], _span(children))
        return StageBlock(children[1], _nodes(children[2:]), _span(children))

    # Members

    def groups(self, children: Children) -> Groups:
        """`groups early [stem..layer2], …`."""
        return Groups(_nodes(children), _span(children))

    def group(self, children: Children) -> GroupItem:
        """`early [stem..layer2]`."""
        name = children[0] if isinstance(children[0], Word) else None
        layers = tuple(child for child in children if isinstance(child, LayerItem))
        return GroupItem(name, layers, _span(children))

    def layer(self, children: Children) -> LayerItem:
        """`layer4` or `stem..layer1`."""
        return LayerItem(children[0], children[2] if len(children) > 2 else None, _span(children))

    def freeze(self, children: Children) -> Freeze:
        """`freeze …` or `unfreeze`."""
        if len(children) == 1:
            return Freeze(True, None, (), None, _span(children))
        frozen: Freeze = children[1]
        return Freeze(False, frozen.before, frozen.items, frozen.kept, _span(children))

    def frozen(self, children: Children) -> Freeze:
        """What a freeze statement says behind its keyword."""
        kept = _word(children[-1]) if _type(children[-1]) == "NAME" else None
        before = children[1] if _type(children[0]) == "BEFORE" else None
        items = tuple(child for child in children if isinstance(child, LayerItem))
        return Freeze(False, before, items, kept, _span(children))

    # Values

    def call(self, children: Children) -> Call:
        """`adam`, `adam(wd = 0.1)`, `vision.resnet34`."""
        last = children[-1]
        arguments = last.items if isinstance(last, Arguments) else None
        words = [child for child in children if isinstance(child, Word)]
        return Call(words[-1], arguments, _span(children), words[0] if len(words) > 1 else None)

    def arguments(self, children: Children) -> Arguments:
        """`(a, b = 1)`."""
        return Arguments(_nodes(children), _span(children))

    def argument(self, children: Children) -> Argument:
        """`a` or `b = 1`."""
        name = children[0] if len(children) > 1 else None
        return Argument(name, children[-1], _span(children))

    def literal(self, children: Children) -> Value:
        """A number, a range, a string, a constant, a list or a map."""
        first, span = children[0], _span(children)
        match first.type:
            case "NUMBER" if len(children) > 1:
                return NumberRange(_number(first), _number(children[2]), span)
            case "NUMBER":
                return _number(first)
            case "STRING":
                return _text(first)
            case "CONSTANT" | "NONE":
                return Constant(_CONSTANTS[first.meant], span)
            case "LSQB":
                return ListValue(_nodes(children), span)
            case _:
                return MapValue(_nodes(children), span)

    def entry(self, children: Children) -> tuple[Word, Value]:
        """`key = value` in a map."""
        key, _, value = children
        word = key if isinstance(key, Word) else Word(unquote(key.meant), key.span)
        return word, value

    def word(self, children: Children) -> Word:
        """A name, or a keyword that stands for one."""
        return _word(children[0])


def _span(children: Sequence[Any]) -> Span:
    first, last = children[0], children[-1]
    source = first.source if isinstance(first, Lexeme) else first.span.source
    start = first.start if isinstance(first, Lexeme) else first.span.start
    return Span(source, start, last.end if isinstance(last, Lexeme) else last.span.end)


def _nodes(children: Children) -> tuple[Any, ...]:
    return tuple(child for child in children if not isinstance(child, Lexeme))


def _type(child: Any) -> str:
    return child.type if isinstance(child, Lexeme) else ""


def _word(lexeme: Lexeme) -> Word:
    return Word(lexeme.meant, lexeme.span)


def _number(lexeme: Lexeme) -> Number:
    return Number(number_value(lexeme.meant), lexeme.span, lexeme.meant.endswith("%"))


def _text(lexeme: Lexeme) -> Text:
    return Text(unquote(lexeme.meant), lexeme.span)
