"""Parsing: documents with exact spans, limits, and nothing raised whatever the text."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from dotexp.language.diagnostics import Diagnostic, render
from dotexp.language.keywords import RESERVED
from dotexp.language.parser import language, parse, parse_freeze, parse_value, read
from dotexp.language.source import HIDDEN, Source, Span, source_from_text
from dotexp.language.syntax_tree import (
    Call,
    Component,
    Constant,
    Document,
    Freeze,
    Groups,
    ListValue,
    MapValue,
    ModelBlock,
    Number,
    NumberRange,
    Param,
    Seed,
    StageBlock,
    Text,
    Unread,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.parsers.lalr_analysis import Shift
from work import lines_executed

EXAMPLE = """dotexp 1
extends "base.exp"
experiment pets "all of it"
seed 42
param epochs = 2
data image_folder("data/pets", valid = 20%, size = 224, augment = vision.standard,)
model {
  body resnet34(weights = run("a b"))
  head(p = [512, -1e-3], y_range = 0..5.5)
  groups early [stem..layer2], [layer3, layer4,], head [head]
}
loss cross_entropy
optimizer(wd = 0.1)
metrics error_rate, accuracy
stage head {
  freeze stem..layer1, body except batchnorm
  fit one_cycle(epochs, lr = {head = 1e-3, "a key" = none})
  data(size = 288)
}
stage everything { unfreeze fit flat(true) }
stage last { freeze before layer4 fit flat(1) }
stages fine_tune(3)
runtime(device = cpu)
"""


def parsed(text: str) -> Document:
    document = parse(source_from_text(text))
    assert document.faults == (), [render(fault) for fault in document.faults]
    return document


def value(text: str) -> Any:
    found, faults = parse_value(source_from_text(text))
    assert faults == (), faults
    return found


def spans(node: Any) -> Iterator[Span]:
    if isinstance(node, Span):
        yield node
    elif isinstance(node, tuple):
        for item in node:
            yield from spans(item)
    elif is_dataclass(node) and not isinstance(node, Source):
        for part in fields(node):
            yield from spans(getattr(node, part.name))


def inside(document: Document, faults: tuple[Diagnostic, ...]) -> bool:
    length = len(document.source.text)
    related = [place.span for fault in faults for place in fault.related]
    places = [*spans(document.statements), *(fault.span for fault in faults if fault.span), *related]
    return all(fault.span for fault in faults) and all(0 <= s.start <= s.end <= length for s in places)


# Documents


def test_every_statement_is_read() -> None:
    names = [type(statement).__name__ for statement in parsed(EXAMPLE).statements]
    assert names == [
        *("Version", "Extends", "ExperimentName", "Seed", "Param", "Component", "ModelBlock", "Component", "Component"),
        *("Listing", "StageBlock", "StageBlock", "StageBlock", "Component", "Component"),
    ]


def test_spans_of_statements_are_their_text() -> None:
    texts = [statement.span.text for statement in parsed(EXAMPLE).statements]
    assert texts[:5] == ["dotexp 1", 'extends "base.exp"', 'experiment pets "all of it"', "seed 42", "param epochs = 2"]
    assert texts[7:10] == ["loss cross_entropy", "optimizer(wd = 0.1)", "metrics error_rate, accuracy"]
    assert texts[11:] == [
        "stage everything { unfreeze fit flat(true) }",
        "stage last { freeze before layer4 fit flat(1) }",
        "stages fine_tune(3)",
        "runtime(device = cpu)",
    ]


def test_a_component_and_its_arguments() -> None:
    data = parsed(EXAMPLE).statements[5]
    assert isinstance(data, Component) and data.call is not None and data.changes is None
    assert (data.keyword.text, data.call.name.text, data.call.owner) == ("data", "image_folder", None)
    arguments = data.call.arguments or ()
    assert [a.span.text for a in arguments] == ['"data/pets"', "valid = 20%", "size = 224", "augment = vision.standard"]
    assert [a.name.span.text if a.name else None for a in arguments] == [None, "valid", "size", "augment"]
    path, valid, size, augment = (a.value for a in arguments)
    assert isinstance(path, Text) and path.value == "data/pets"
    assert isinstance(valid, Number) and (valid.value, valid.percent, valid.span.text) == (0.2, True, "20%")
    assert isinstance(size, Number) and (size.value, size.percent) == (224, False)
    assert isinstance(augment, Call) and augment.owner is not None and augment.arguments is None
    assert (augment.owner.text, augment.name.text, augment.span.text) == ("vision", "standard", "vision.standard")


def test_a_model_block() -> None:
    model = parsed(EXAMPLE).statements[6]
    assert isinstance(model, ModelBlock)
    body, head, groups = model.members
    assert isinstance(body, Component) and body.span.text == 'body resnet34(weights = run("a b"))'
    assert isinstance(head, Component) and head.call is None and head.changes is not None
    listed, bounds = (argument.value for argument in head.changes)
    assert isinstance(listed, ListValue) and [i.span.text for i in listed.items] == ["512", "-1e-3"]
    assert isinstance(bounds, NumberRange) and (bounds.low.value, bounds.high.value) == (0, 5.5)
    assert bounds.span.text == "0..5.5"
    assert isinstance(groups, Groups)
    assert [item.name.text if item.name else None for item in groups.items] == ["early", None, "head"]
    assert [[layer.span.text for layer in item.layers] for item in groups.items] == [
        ["stem..layer2"],
        ["layer3", "layer4"],
        ["head"],
    ]
    assert [item.span.text for item in groups.items] == ["early [stem..layer2]", "[layer3, layer4,]", "head [head]"]


def test_a_stage() -> None:
    stage = parsed(EXAMPLE).statements[10]
    assert isinstance(stage, StageBlock) and stage.name.text == "head"
    freeze, fit, data = stage.members
    assert isinstance(freeze, Freeze) and freeze.kept is not None and freeze.before is None and not freeze.unfreeze
    assert [item.span.text for item in freeze.items] == ["stem..layer1", "body"]
    assert (freeze.items[0].first.text, freeze.items[0].last and freeze.items[0].last.text) == ("stem", "layer1")
    assert (freeze.kept.text, freeze.span.text) == ("batchnorm", "freeze stem..layer1, body except batchnorm")
    assert isinstance(fit, Component) and fit.call is not None and fit.call.arguments is not None
    rates = fit.call.arguments[1].value
    assert isinstance(rates, MapValue) and rates.span.text == '{head = 1e-3, "a key" = none}'
    assert [(key.text, key.span.text, entry.span.text) for key, entry in rates.entries] == [
        ("head", "head", "1e-3"),
        ("a key", '"a key"', "none"),
    ]
    assert isinstance(data, Component) and data.span.text == "data(size = 288)"


def test_the_forms_of_freeze() -> None:
    everything, last = parsed(EXAMPLE).statements[11:13]
    assert isinstance(everything, StageBlock) and isinstance(last, StageBlock)
    thawed, before = everything.members[0], last.members[0]
    assert isinstance(thawed, Freeze) and thawed.unfreeze and thawed.span.text == "unfreeze"
    assert isinstance(before, Freeze) and before.before is not None and before.before.text == "layer4"
    assert (before.items, before.kept, before.unfreeze) == ((), None, False)


@pytest.mark.parametrize("word", sorted(set(RESERVED) - {"true", "false", "none"}))
def test_keywords_are_ordinary_words_where_a_word_may_stand(word: str) -> None:
    text = (
        f"experiment {word} data d({word} = {word}, x = [{word}, {word}(1)], y = {{{word} = {word}}}, z = v.{word})\n"
        f"model {{ groups {word} [{word}..{word}] }} stage {word} {{ fit f }} loss v.{word}"
    )
    assert len(parsed(text).statements) == 5


def test_body_and_head_are_layers_in_freeze() -> None:
    stage = parsed("stage head { freeze stem..head, body fit f }").statements[0]
    assert isinstance(stage, StageBlock) and isinstance(stage.members[0], Freeze)
    assert [item.span.text for item in stage.members[0].items] == ["stem..head", "body"]


@pytest.mark.parametrize("text", ["", "# only this", "\n\n", "\ufeff"])
def test_an_empty_file_is_an_empty_document(text: str) -> None:
    assert parsed(text).statements == ()


# Regression tests for known traps


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind(end: str) -> None:
    document = parsed(f"# comment{end}loss mse{end}seed 1")
    assert [statement.span.line for statement in document.statements] == [2, 3]


def test_a_long_string_is_read_in_linear_time() -> None:
    start = time.process_time()
    parsed('extends "' + "a" * 1_000_000 + '"')
    parse(source_from_text('extends "' + "\\n" * 500_000))
    assert time.process_time() - start < 5


@pytest.mark.parametrize("opening", ["[", "{a = ", "f("])
def test_nesting_beyond_the_limit_is_a_fault(opening: str) -> None:
    document = parse(source_from_text("param x = " + opening * 1000 + "\nseed 3"))
    faults = document.faults
    assert "E107" in {fault.code for fault in faults}
    assert inside(document, faults)


def test_nesting_up_to_the_limit_is_none() -> None:
    assert repr(parsed("param x = " + "[" * 64 + "1" + "]" * 64))
    closed = source_from_text("param x = " + "[" * 65 + "1" + "]" * 65 + " seed 3")
    document = parse(closed)
    faults = document.faults
    assert [fault.code for fault in faults] == ["E107"]
    assert [type(each) for each in document.statements] == [Unread, Seed]


def test_a_long_number_is_a_fault() -> None:
    assert [fault.code for fault in parse(source_from_text("seed " + "1" * 5000)).faults] == ["E107"]


def test_a_byte_order_mark_counts_no_column_and_an_emoji_one() -> None:
    found = parse(source_from_text('\ufeffextends "😀" x')).faults
    assert [(fault.code, fault.span.column if fault.span else 0) for fault in found] == [("E103", 13)]


def test_nothing_is_cached_on_disk() -> None:
    assert not language().lark.options.cache


@pytest.mark.process
def test_the_import_is_light() -> None:
    heavy = ("torch", "numpy", "rich", "click")
    code = f"import sys, dotexp.language.parser; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_ten_thousand_lines() -> None:
    text = "stage head {\n  fit one_cycle(epochs = 4, lr = [1e-3, 2e-3])  # comment\n}\nmetrics a, b\n"
    assert len(parsed(text * 2500).statements) == 5000
    small, middle, large = (lines_executed(lambda n=n: parsed(text * n)) for n in (50, 100, 200))  # type: ignore[misc]
    assert large - middle < 2.5 * (middle - small), "four times as much if quadratic"


# What recovery needs of Lark


def test_the_internals_of_lark_that_recovery_uses() -> None:
    run = language().lark.parse_interactive("", start="start")
    state = run.parser_state
    assert state.state_stack == [state.parse_conf.start_state] and state.value_stack == []
    assert state.parse_conf.states[state.state_stack[0]]["SEED"][0] is Shift
    assert state.parse_conf.states is state.parse_conf.parse_table.states
    assert set(state.parse_conf.parse_table.end_states) == {"start", "only_value", "only_freeze", "only_listing"}
    lists = language().lists
    assert set(lists.values()) == {"top", "model", "stage"} and lists[state.state_stack[0]] == "top"


def test_the_grammar_is_lalr_without_conflicts() -> None:
    plain = Lark.open_from_package("dotexp.language", "experiment.lark", parser="lalr", lexer="basic", start="start")
    assert len(plain.parse(EXAMPLE).children) == len(parsed(EXAMPLE).statements)


# One value, one freeze


def test_values() -> None:
    assert value("3").value == 3
    assert value('"a"').value == "a"
    assert value("0..5").high.value == 5
    assert isinstance(value("none"), Constant) and value("none").value is None
    assert value("adam(wd = 0.1)").arguments[0].value.value == 0.1
    assert value("[loss, data]").items[0].name.text == "loss"


@pytest.mark.parametrize("text", ["", "loss", "1 2", "a, b", "[1", "seed 3", "x = 3", "1 +", ")", "f(1"])
def test_values_that_are_none(text: str) -> None:
    found, faults = parse_value(source_from_text(text))
    assert found is None and faults


def test_freezes() -> None:
    for text in ("before layer4", "freeze before layer4"):
        freeze, faults = parse_freeze(source_from_text(text))
        assert faults == () and freeze is not None and freeze.before is not None and freeze.before.text == "layer4"
    assert parse_freeze(source_from_text("unfreeze"))[0] is not None
    freeze, _ = parse_freeze(source_from_text("body except norm"))
    assert freeze is not None and freeze.kept is not None and freeze.span.text == "body except norm"


@pytest.mark.parametrize("text", ["", "3", "body,", "data", "body fit"])
def test_freezes_that_are_none(text: str) -> None:
    found, faults = parse_freeze(source_from_text(text))
    assert found is None and faults


# Bytes


def test_bytes_are_utf_8() -> None:
    source, faults = read("\ufeffseed 1\r\n# é".encode(), "a.exp", Path("specs"))
    assert (source.text, source.name, source.folder, faults) == ("seed 1\n# é", "a.exp", Path("specs"), ())


@pytest.mark.parametrize(
    ("data", "code", "place", "said"),
    [
        (b"seed 1\r\n# caf\xe9 x", "E101", (2, 6), "Windows-1252"),
        (b"seed 1\n\0", "E101", (2, 1), "spec"),
        ("seed 1".encode("utf-16"), "E101", (1, 1), "UTF-8"),
        ("seed 1".encode("utf-32"), "E101", (1, 1), "UTF-8"),
        (b"#" * (1024 * 1024 + 1), "E107", (1, 1), "spec"),
        (b"\xf0\x9f\x98\x80\xff", "E101", (1, 2), "UTF-8"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, code: str, place: tuple[int, int], said: str) -> None:
    source, faults = read(data, "a.exp", Path())
    assert [fault.code for fault in faults] == [code] and source.text == ""
    span = faults[0].span
    assert span is not None and (span.line, span.column) == place
    assert said in faults[0].help and "a.exp" in render(faults[0])


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    source, faults = read(data, "a.exp", Path())
    assert all(render(fault) for fault in (*faults, *parse(source).faults))


# Any text

SIGNS = '= , . .. ( ) [ ] { } : ; * / + - % == # \' " @ x adam 1 .5 2x 1e999 "a" r"\\d" "\\d" report sweep callbacks'
ODD = ("\u00a0", "\u200b", "ad\u0430m", "\ud800", "“a”", "stge", "optimiser", "\n", "\n", "\n", "\x00", "exept")
PIECES = (*RESERVED, *SIGNS.split(), *ODD)


def robust(text: str) -> None:
    source = source_from_text(text)
    for document, faults in (
        (parse(source), parse(source).faults),
        *((Document(source, ()), result[1]) for result in (parse_value(source), parse_freeze(source))),
    ):
        assert inside(document, faults)
        for fault in faults:
            (render(fault) + (fault.suggestion or "")).encode()


@pytest.mark.parametrize(
    "text", ["(a\ud800b)", "x = (a\x00 b)", "data a(b = (\u202ec))", "stage 'a\ud800' { }", "loss 'm\x1bse'"]
)
def test_no_suggestion_repeats_a_character_that_no_spec_may_hold(text: str) -> None:
    source = source_from_text(text)
    faults = (*parse(source).faults, *parse_value(source)[1])
    assert faults
    assert [fault for fault in faults if fault.suggestion and HIDDEN.search(fault.suggestion)] == []


@given(st.text())
def test_no_text_raises(text: str) -> None:
    robust(text)


def test_a_broken_string_at_the_end_of_an_open_block_ends() -> None:
    assert [fault.code for fault in parse(source_from_text('stage a { fit f loss "x')).faults] == ["E104", "E106"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(["", " "]))
def test_no_mixture_of_words_raises(pieces: list[str], space: str) -> None:
    robust(space.join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damaged_spec_raises(data: st.DataObject) -> None:
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 30))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:]
    robust(text)


def test_a_sign_before_a_signed_number() -> None:
    assert [fault.code for fault in parse(source_from_text("data f(--1e-3)")).faults] == ["E110"]


# Any valid spec

WORDS = st.sampled_from(["a", "b_2", "one-cycle", "été", "_x"])
ANY_WORDS = WORDS | st.sampled_from(sorted(set(RESERVED) - {"true", "false", "none"}))
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(1e-9, 1e9).map(lambda number: f"{number:.6e}"),
    st.decimals(-99, 99, places=2).map(lambda number: f"{number}%"),
)
RANGES = st.tuples(NUMBERS, NUMBERS).map("..".join)
PLAIN = st.one_of(NUMBERS, RANGES, st.sampled_from(['"a b"', r'r"\d"', "true", "none"]))


def extend(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    argument = items | st.tuples(ANY_WORDS, items).map(" = ".join)
    entry = st.tuples(ANY_WORDS | st.just('"a key"'), items).map("=".join)
    comma = st.sampled_from(["", ",", " , # why\n"])

    def bracketed(one: st.SearchStrategy[str], left: str, right: str) -> st.SearchStrategy[str]:
        some = st.tuples(st.lists(one, min_size=1, max_size=3).map(",\n".join), comma).map("".join)
        return (some | st.just("")).map(lambda inner: f"{left}{inner}{right}")

    return st.one_of(
        bracketed(items, "[", "]"),
        bracketed(entry, "{", "}"),
        st.tuples(ANY_WORDS, bracketed(argument, "(", ")")).map("".join),
        st.tuples(WORDS, ANY_WORDS).map(".".join),
    )


ITEMS = st.recursive(PLAIN | ANY_WORDS, extend, max_leaves=6)
CHANGES = st.lists(st.tuples(ANY_WORDS, ITEMS).map(" = ".join), max_size=3).map(lambda items: f"({', '.join(items)})")
CALLS = st.tuples(WORDS, st.just("") | CHANGES).map("".join)
FREEZES = st.sampled_from(["freeze body", "unfreeze", "freeze before layer4", "freeze a..head, b except norm"])


def led(*keywords: str) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(keywords), st.one_of(CALLS.map(" ".__add__), CHANGES)).map("".join)


def blocks(head: st.SearchStrategy[str], members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(head, st.lists(members, max_size=4).map(" ".join)).map(
        lambda parts: f"{parts[0]} {{ {parts[1]} }}"
    )


STATEMENTS = st.one_of(
    led("data", "loss", "optimizer", "model", "stages"),
    st.tuples(WORDS, PLAIN | CALLS).map(lambda parts: f"param {parts[0]} = {parts[1]}"),
    st.lists(CALLS, min_size=1, max_size=3).map(lambda calls: "metrics " + ", ".join(calls)),
    blocks(st.just("model"), led("body", "head") | st.just("groups a [b..c, d], [e]")),
    blocks(ANY_WORDS.map("stage ".__add__), led("fit", "loss", "data", "optimizer") | FREEZES),
    st.sampled_from(["seed 3", 'experiment stage "b"', "runtime(a = 1)", "dotexp 1", 'extends "b.exp"']),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STATEMENTS, max_size=6), st.sampled_from([" ", "\n", "\t# why\n"]))
def test_valid_specs_have_no_faults(statements: list[str], space: str) -> None:
    document = parsed(space.join(statements))
    assert [statement.span.text for statement in document.statements] == statements
    assert inside(document, ())


def test_a_param_holds_any_value() -> None:
    statement = parsed("param x = {a = [1, f(2)]}").statements[0]
    assert isinstance(statement, Param) and statement.value.span.text == "{a = [1, f(2)]}"


@pytest.mark.parametrize("written", ["\u221e", "\u0663", "\uff13", "\u20ac"])
def test_a_character_that_is_none_of_the_language_is_one_fault_where_a_value_belongs(written: str) -> None:
    found = parse(source_from_text(f"optimizer adam(wd = {written})", "t.exp")).faults
    assert [fault.code for fault in found] == ["E102"]
