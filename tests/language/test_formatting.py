"""One layout for every way to write a spec: the same experiment, the same comments, and nothing to format twice."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from dotexp.experiment.json import as_json
from dotexp.experiment.text import as_text
from dotexp.language.formatting import formatted
from dotexp.language.layout import WIDEST
from dotexp.language.parser import parse, read
from dotexp.language.source import source_from_text
from fuzz_inputs import corpus, experiment, text_by_grammar
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import COMMENTS, LINES, comments, respaced
from paths import REPOSITORY

from specs import IMAGES, RATINGS, checked, resolved


def fmt(text: str) -> str:
    """Format text that has no errors."""
    document = parse(source_from_text(text))
    assert [fault.message for fault in document.faults if fault.code[0] == "E"] == []
    return formatted(document)


# Any spec


def sound(random: Random) -> str:
    """A spec's text without syntax errors: one that means something, any statements, or a piece of a bundled spec."""
    while True:
        data = random.choice((experiment, experiment, text_by_grammar))(random).data
        if random.random() < 0.2:
            data = random.choice(corpus())
        source, faults = read(data, "f.exp")
        if not faults and not any(fault.code[0] == "E" for fault in parse(source).faults):
            return source.text


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_a_formatted_spec_is_stable_and_has_the_same_comments(seed: int) -> None:
    random = Random(seed)
    text = respaced(sound(random), random, COMMENTS)
    once = fmt(text)
    assert fmt(once) == once
    assert comments(once) == comments(text)
    plain = re.sub(r'r"[^"]*"|"(?:[^"\\]|\\.)*"|#.*', "#", once)
    assert not re.search(r"[ \t]\n|\n\n\n|\A\n|\n\n\Z|\t", plain)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_a_formatted_spec_means_the_same(seed: int) -> None:
    random = Random(seed)
    text = respaced(experiment(random).data.decode("utf-8", "replace"), random, COMMENTS)
    if any(fault.code[0] == "E" for fault in parse(source_from_text(text)).faults):
        return
    before, faults = checked(text)
    after, others = checked(fmt(text))
    assert [(f.code, f.message) for f in others] == [(f.code, f.message) for f in faults]
    assert (before and as_json(before.experiment)) == (after and as_json(after.experiment))
    if before is not None:
        assert fmt(as_text(before.experiment)) == as_text(before.experiment)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_white_space_has_no_say_in_the_layout(seed: int) -> None:
    random = Random(seed)
    plain = respaced(sound(random), random, (" ",))
    assert fmt(respaced(plain, random, LINES)) == fmt(plain)


def test_what_is_generated_resolves_often_enough() -> None:
    found = [checked(experiment(Random(seed)).data.decode("utf-8", "replace"))[0] for seed in range(60)]
    assert sum(each is not None for each in found) > 10


# Where things stand


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("", ""),
        (" \n\t\n", ""),
        ("# alone", "# alone\n"),
        ("\n\n\nseed 1\n\n\n\nloss mse\n\n\n", "seed 1\n\nloss mse\n"),
        ("loss mse  seed 1", "loss mse\nseed 1\n"),
        ("experiment\n a\n\n  \"x\"", 'experiment a "x"\n'),
        ("param a=[1 ,2 , 3]", "param a = [1, 2, 3]\n"),
        ("param a=[1,2 , 3,]", "param a = [\n  1,\n  2,\n  3,\n]\n"),
        ('param a={b=1,"c d" = .. }'.replace("..", "0 .. 9"), 'param a = {b = 1, "c d" = 0..9}\n'),
        ("param a = []", "param a = []\n"),
        ("data vision . digits ( size=8 )", "data vision.digits(size = 8)\n"),
        ("runtime ( threads=1 )", "runtime(threads = 1)\n"),
        ("metrics a,b", "metrics a, b\n"),
        ("stage a{fit flat(1)}", "stage a { fit flat(1) }\n"),
        ("stage a {\n\n\nfit flat(1)\n\n}", "stage a { fit flat(1) }\n"),
        ("stage a{freeze b.. c,d except norm fit flat}", "stage a {\n  freeze b..c, d except norm\n  fit flat\n}\n"),
        ("stage a {\n\n\nunfreeze\n\n\nfit flat\n\n}", "stage a {\n  unfreeze\n\n  fit flat\n}\n"),
        ("stage a none", "stage a none\n"),
        ("model{}", "model {}\n"),
        ("stage a { unfreeze fit flat } loss mse", "stage a {\n  unfreeze\n  fit flat\n}\n\nloss mse\n"),
        ("seed 1\n# why\nstage a { unfreeze fit flat }", "seed 1\n\n# why\nstage a {\n  unfreeze\n  fit flat\n}\n"),
        ("seed +1e-3\nparam b = 0.10\nparam c = 20%", "seed +1e-3\nparam b = 0.10\nparam c = 20%\n"),
        (r'extends r"a\b"' + '\nexperiment a "\\u00e9"', r'extends r"a\b"' + '\nexperiment a "\\u00e9"\n'),
        ("model { groups a[b..c],[d],e [f] }", "model { groups a [b..c], [d], e [f] }\n"),
    ],
)  # fmt: skip
def test_layout(text: str, layout: str) -> None:
    assert fmt(text) == layout
    assert fmt(layout) == layout


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("seed 1# a", "seed 1  # a\n"),
        ("seed 1\n# a\n\n# b\nloss mse", "seed 1\n# a\n\n# b\nloss mse\n"),
        ("seed 1 # a\nloss cross_entropy # b", "seed 1              # a\nloss cross_entropy  # b\n"),
        ("seed 1 # a\n       # b\n\nloss mse", "seed 1  # a\n        # b\n\nloss mse\n"),
        ("seed 1 # a\n  # b\nloss mse", "seed 1  # a\n# b\nloss mse\n"),
        ("seed # a\n1", "# a\nseed 1\n"),
        ("seed # a\n\n# b\n1 # c", "# a\n\n# b\nseed 1  # c\n"),
        ("# x\n\nseed # a\n1", "# x\n\n# a\nseed 1\n"),
        ("stage a # x\n{ fit flat }", "stage a {  # x\n  fit flat\n}\n"),
        ("stage a { # x\nfit flat }", "stage a {  # x\n  fit flat\n}\n"),
        ("stage a\n# x\n{ # y\nfit flat }", "stage a {\n  # x\n  # y\n  fit flat\n}\n"),
        ("stage a { fit flat # x\n}", "stage a {\n  fit flat  # x\n}\n"),
        ("stage a { fit flat\n# x\n}", "stage a {\n  fit flat\n  # x\n}\n"),
        ("stage a { fit flat } # x", "stage a { fit flat }  # x\n"),
        ("stage a {\n# x\n}", "stage a {\n  # x\n}\n"),
        ("loss f(a # x\n, b)", "loss f(\n  a,  # x\n  b,\n)\n"),
        ("loss f(a, # x\n b)", "loss f(\n  a,  # x\n  b,\n)\n"),
        ("loss f(a # x\n, # y\n b)", "loss f(\n  a,  # x\n  # y\n  b,\n)\n"),
        ("loss f(a\n # x\n, # y\n b)", "loss f(\n  a,\n  # x\n  # y\n  b,\n)\n"),
        ("loss f( # x\n a)", "loss f(  # x\n  a,\n)\n"),
        ("loss f\n# x\n(a)", "loss f(\n  # x\n  a,\n)\n"),
        ("loss f(a\n# x\n)", "loss f(\n  a,\n  # x\n)\n"),
        ("loss f(a,\n\n# x\n\nb)", "loss f(\n  a,\n\n  # x\n\n  b,\n)\n"),
        ("loss f( # x\n)", "loss f(  # x\n)\n"),
        ("loss f(b = # x\n 1)", "loss f(\n  # x\n  b = 1,\n)\n"),
        ("param a = [\n[1], # x\n# y\n[2]]", "param a = [\n  [1],  # x\n  # y\n  [2],\n]\n"),
        ("metrics # x\na", "metrics  # x\n  a\n"),
        ("metrics a, # x\n b # y\nseed 1", "metrics\n  a,  # x\n  b   # y\nseed 1\n"),
        ("metrics a,\n # x\n b", "metrics\n  a,\n  # x\n  b\n"),
        ("metrics f(a # x\n)", "metrics f(\n  a,  # x\n)\n"),
        ("seed 1\n\n# end\n\n\n", "seed 1\n\n# end\n"),
    ],
)  # fmt: skip
def test_comments_stay_where_they_belong(text: str, layout: str) -> None:
    assert fmt(text) == layout
    assert fmt(layout) == layout


def test_a_statement_that_is_too_long_has_an_argument_a_line() -> None:
    name = "x" * (WIDEST - len("data d(a = , b = 1)"))
    assert fmt(f"data d(a = {name}, b = 1)") == f"data d(a = {name}, b = 1)\n"
    assert fmt(f"data d(a = {name}x, b = 1)") == f"data d(\n  a = {name}x,\n  b = 1,\n)\n"
    assert fmt(f"data d(a = {name}, b = 1) # a comment is not counted").count("\n") == 1
    long = ", ".join(["accuracy"] * 12)
    assert fmt(f"metrics {long}") == "metrics\n" + ",\n".join(["  accuracy"] * 12) + "\n"
    assert fmt(f"stage a {{ fit f({name}, {name}) }}").splitlines()[:3] == ["stage a {", "  fit f(", f"    {name},"]


def test_no_line_of_what_can_be_broken_is_too_long() -> None:
    text = as_text(resolved(IMAGES).experiment) + as_text(resolved(RATINGS).experiment)
    assert max(len(line) for line in text.splitlines() if '"' not in line) <= WIDEST


def test_former_spellings_stay() -> None:
    text = IMAGES.replace("accuracy", "accuracy\nreport  most_confused")
    assert "report most_confused\n" in fmt(text)


SPECS = sorted([*(REPOSITORY / "specs").glob("*.exp"), *(REPOSITORY / "dsl/dotexp/templates").glob("*.exp")])


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_bundled_specs_are_formatted(path: Path) -> None:
    assert fmt(path.read_text()) == path.read_text()
