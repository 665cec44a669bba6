"""Golden syntax errors: text in, diagnostics out."""

from __future__ import annotations

import pytest
from dotexp.language.diagnostics import Diagnostic, render
from dotexp.language.parser import parse
from dotexp.language.source import source_from_text
from dotexp.language.syntax_tree import Component, Faulty, Freeze, Number, StageBlock, Unread

Found = tuple[str, int, int, str, str | None]


def faults(text: str) -> tuple[Diagnostic, ...]:
    return parse(source_from_text(text, "a.exp")).faults


def short(text: str) -> list[Found]:
    return [(f.code, f.span.line, f.span.column, f.span.text, f.suggestion) for f in faults(text) if f.span]


SINGLE: list[tuple[str, Found]] = [
    # statements and members
    ("optimiser adam(wd = 0.1)", ("E109", 1, 1, "optimiser", "optimizer")),
    ("loss mse\noptimiser adam\nseed 3", ("E109", 2, 1, "optimiser", "optimizer")),
    ("track wandb(3),\n  other(2)\nseed 3", ("E109", 1, 1, "track", None)),
    ("sweep grid(epochs = [1, 2])", ("E109", 1, 1, "sweep", None)),
    ("metrics true", ("E103", 1, 9, "true", None)),
    ("stage a { fit f report x }", ("E103", 1, 17, "report", None)),
    ("callbacks", ("E103", 1, 1, "callbacks", None)),
    ("stage a { fit f callbacks }", ("E103", 1, 17, "callbacks", None)),
    ("track tensorboard", ("E109", 1, 1, "track", None)),
    ("sweep {\n  seed in [1, 2]\n}\nloss mse", ("E109", 1, 1, "sweep", None)),
    ("epochs = 3", ("E109", 1, 1, "epochs", "param epochs")),
    ("stage a { freez body fit f }", ("E109", 1, 11, "freez", "freeze")),
    ("model { bdy resnet34 }", ("E109", 1, 9, "bdy", "body")),
    ("stage a { freeze body exept norm fit f }", ("E103", 1, 23, "exept", "except")),
    ("stge a { fit f }\nseed 3", ("E109", 1, 1, "stge", "stage")),
    # in the wrong place
    ("fit one_cycle(3)", ("E103", 1, 1, "fit", None)),
    ("body resnet34", ("E103", 1, 1, "body", None)),
    ("model { body x fit f }", ("E103", 1, 16, "fit", None)),
    ("stage a { fit f metrics x }", ("E103", 1, 17, "metrics", None)),
    ("stage a {\n  fit f\nstage b { fit f }", ("E104", 3, 1, "stage", None)),
    ("stage a {\n  fit f\nloss mse\nmetrics x\n", ("E104", 4, 1, "metrics", None)),
    ("loss mse }", ("E103", 1, 10, "}", None)),
    ("loss mse )", ("E103", 1, 10, ")", None)),
    # incomplete
    ("loss\nseed 3", ("E103", 1, 1, "loss", None)),
    ("seed 3 loss", ("E103", 1, 8, "loss", None)),
    ("param data = 3", ("E103", 1, 7, "data", None)),
    ("param x 3", ("E103", 1, 9, "3", "= 3")),
    ("stage { fit f }", ("E103", 1, 1, "stage", None)),
    ("stage a fit f }", ("E103", 1, 9, "fit", "{ fit")),
    ("stage a b { fit f }", ("E103", 1, 9, "b", None)),
    ('experiment "pets"', ("E103", 1, 12, '"pets"', "pets")),
    ("experiment données", ("E108", 1, 12, "données", None)),
    (f"experiment {'a' * 65}", ("E108", 1, 12, "a" * 65, None)),
    ("extends ../base.exp\nseed 3", ("E103", 1, 9, "..", None)),
    ("extends base/x.exp", ("E103", 1, 9, "base/x.exp", '"base/x.exp"')),
    ('loss "mse"', ("E103", 1, 6, '"mse"', "mse")),
    ("loss 'mse'", ("E106", 1, 6, "'mse'", '"mse"')),
    # signs
    ("loss = mse", ("E103", 1, 6, "=", None)),
    ("seed: 42", ("E103", 1, 5, ":", None)),
    ("seed 42;", ("E102", 1, 8, ";", None)),
    ("data f(a: 1)", ("E103", 1, 9, ":", "=")),
    ("data f(a == 1)", ("E103", 1, 10, "==", "=")),
    ("data f(a 1)", ("E103", 1, 10, "1", "= 1")),
    ("data f(a = 1 b = 2)", ("E103", 1, 14, "b", ", b")),
    ("data f([1 2])", ("E103", 1, 11, "2", ", 2")),
    ("data f([1 -2])", ("E103", 1, 11, "-2", ", -2")),
    ("data f(a = , b = 2)", ("E103", 1, 10, "=", None)),
    ("data f(a = )", ("E103", 1, 10, "=", None)),
    ("data f(a,, b)", ("E103", 1, 10, ",", None)),
    ("metrics a, b,\nseed 3", ("E103", 1, 13, ",", None)),
    ("metrics a b", ("E103", 1, 11, "b", ", b")),
    ("loss a, b", ("E103", 1, 7, ",", None)),
    ("data f(betas = (0.9, 0.99))", ("E103", 1, 16, "(", "[")),
    # arithmetic and numbers
    ("param x = lr/5", ("E110", 1, 11, "lr/5", None)),
    ("param x = 2*3", ("E110", 1, 11, "2*3", "6")),
    ("param x = 5-3", ("E110", 1, 11, "5-3", "2")),
    ("param x = a + b", ("E110", 1, 11, "a + b", None)),
    ("data f(lr = -x)", ("E110", 1, 13, "-", None)),
    ("data f(x = (1 + 2))", ("E110", 1, 12, "(1 + 2)", None)),
    ("data f(some/pets, 3)", ("E110", 1, 8, "some/pets", '"some/pets"')),
    ("param x = 20 %", ("E105", 1, 11, "20 %", "20%")),
    ("param x = - 5", ("E105", 1, 11, "- 5", "-5")),
    ("seed 1,5", ("E105", 1, 6, "1,5", "1.5")),
    ("seed .5", ("E105", 1, 6, ".5", "0.5")),
    ("seed 1_000", ("E105", 1, 6, "1_000", "1000")),
    ("data f(2x)", ("E105", 1, 8, "2x", "2")),
    # brackets
    ("data f(size = [1, 2)", ("E104", 1, 15, "[", None)),
    ("data f(size = 3]", ("E104", 1, 16, "]", ")")),
    ("data f({a = 3)", ("E104", 1, 8, "{", None)),
    ('data f("x", size = 3\nloss mse', ("E104", 1, 7, "(", None)),
    ('data f("x",\nloss mse', ("E104", 1, 7, "(", None)),
    ("stage a { fit f(1 }\nloss mse", ("E104", 1, 16, "(", None)),
    ("stage a { fit f", ("E104", 1, 9, "{", None)),
    ("data f(a, b", ("E104", 1, 7, "(", None)),
    # strings and characters
    ('data f("abc, size = 3)\nloss mse', ("E106", 1, 8, '"', None)),
    (r'data f("\d+")', ("E106", 1, 8, r'"\d+"', r'r"\d+"')),
    ("loss\u00a0mse", ("E102", 1, 5, "\u00a0", " ")),
    ("loss m\u200bse", ("E102", 1, 7, "\u200b", None)),
    ("optimizer ad\u0430m", ("E108", 1, 11, "ad\u0430m", "adam")),
    ("// why\nloss mse", ("E102", 1, 1, "//", "#")),
]


@pytest.mark.parametrize(("text", "expected"), SINGLE, ids=[text[:30].replace("\n", "/") for text, _ in SINGLE])
def test_one_mistake_is_one_fault(text: str, expected: Found) -> None:
    assert short(text) == [expected]


SIX = """experiment pets
optimiser adam(wd = 0.1)
loss = cross_entropy
data image_folder("data/pets", valid = .2, size 224
stage head {
  freez body
  fit one_cycle(epochs = 4, lr = 2*3)
}
stage rest { unfreeze fit flat(epochs = 3) }
"""


def test_several_mistakes_are_as_many_faults() -> None:
    assert short(SIX) == [
        ("E109", 2, 1, "optimiser", "optimizer"),
        ("E103", 3, 6, "=", None),
        ("E104", 4, 18, "(", None),
        ("E105", 4, 40, ".2", "0.2"),
        ("E103", 4, 49, "224", "= 224"),
        ("E109", 6, 3, "freez", "freeze"),
        ("E110", 7, 34, "2*3", "6"),
    ]


def test_what_can_be_understood_is_kept() -> None:
    document = parse(source_from_text(SIX))
    assert [statement.span.text.split("\n")[0] for statement in document.statements] == [
        "experiment pets",
        "optimiser adam(wd = 0.1)",
        "loss = cross_entropy",
        'data image_folder("data/pets", valid = .2, size 224',
        "stage head {",
        "stage rest { unfreeze fit flat(epochs = 3) }",
    ]
    assert [type(statement) for statement in document.statements[1:4]] == [Component, Component, Unread]
    head = document.statements[4]
    assert isinstance(head, StageBlock)
    assert [(type(member), member.span.text) for member in head.members] == [
        (Freeze, "freez body"),
        (Component, "fit one_cycle(epochs = 4, lr = 2*3)"),
    ]
    fit = head.members[1]
    assert isinstance(fit, Component) and fit.call is not None
    epochs, lr = fit.call.arguments or ()
    assert isinstance(epochs.value, Number) and lr.value == Faulty(lr.value.span)


RENDERED = {
    "loss mse\n\toptimiser adam": """\
error[E109]: unknown statement `optimiser`
 --> a.exp:2:2
  |
2 | \toptimiser adam
  | \t^^^^^^^^^ did you mean `optimizer`?""",
    "stage a {\n  fit f\nstage b { fit f }": """\
error[E104]: `stage` cannot stand inside a stage: is a `}` missing before it?
 --> a.exp:3:1
  |
3 | stage b { fit f }
  | ^^^^^
note: opened here
 --> a.exp:1:9
  |
1 | stage a {
  |         ^""",
    'data f("x",\n  size = 3\nloss mse': """\
error[E104]: this `(` is not closed
 --> a.exp:1:7
  |
1 | data f("x",
  |       ^
  = a `)` is missing before line 3""",
    "param x = lr/5": """\
error[E110]: `lr/5` is arithmetic, which the language does not have
 --> a.exp:1:11
  |
1 | param x = lr/5
  |           ^^^^
  = write the number itself; `param NAME = …` gives it a name""",
    "track wandb(9)": """\
error[E109]: this version does not have the statement `track` yet
 --> a.exp:1:1
  |
1 | track wandb(9)
  | ^^^^^""",
    "fit one_cycle(3)": """\
error[E103]: `fit` belongs inside a stage, not at the top of a file
 --> a.exp:1:1
  |
1 | fit one_cycle(3)
  | ^^^""",
    "seed": """\
error[E103]: `seed` is not complete: it needs a number, such as `seed 42`
 --> a.exp:1:1
  |
1 | seed
  | ^^^^""",
}


@pytest.mark.parametrize("text", RENDERED)
def test_how_a_fault_is_shown(text: str) -> None:
    assert "\n".join(render(fault) for fault in faults(text)) == RENDERED[text]


def test_many_damaged_lines_are_as_many_faults() -> None:
    text = "loss a, b\nseed 3\n" * 500
    assert [(code, line) for code, line, *_ in short(text)] == [("E103", 2 * n + 1) for n in range(500)]
