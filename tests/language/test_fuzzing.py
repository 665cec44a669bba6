"""Random input through everything that a stranger's text goes through, and the faults that fuzzing found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import fuzzing
import pytest
from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.experiment.experiment import Model
from dotexp.experiment.text import as_text
from dotexp.language.diagnostics import SpecError, as_json, render
from dotexp.planning.plan import LayerCount
from dotexp.planning.planner import MOST_STEPS, make_plan
from fuzz_inputs import Case, random_bytes
from fuzzing import KINDS, check_spec, check_text, fuzz
from hypothesis import given, settings
from hypothesis import strategies as st
from work import lines_executed

from specs import IMAGES, RATINGS, checked, faults, resolved

INPUTS = {"bytes": 800, "mutate": 300, "grammar": 250, "resolve": 120, "plan": 120}


@pytest.mark.parametrize("kind", KINDS)
def test_random_inputs_give_diagnostics_and_nothing_else(kind: str) -> None:
    done, failures = fuzz(kind, INPUTS[kind], seed=0)
    assert (done, [str(failure) for failure in failures]) == (INPUTS[kind], [])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_any_seed(kind: str, seed: int) -> None:
    assert fuzz(kind, 1, seed=seed) == (1, [])


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=200), overrides=st.lists(st.text(max_size=30), max_size=2))
def test_any_bytes_and_any_overrides(data: bytes, overrides: list[str]) -> None:
    case = Case(data, tuple(overrides))
    check_text(case, Random(0))
    check_spec(case, Random(0))


# What it found


@pytest.mark.parametrize("escape", ["\\u007f", "\\u0085", "\\u2028", "\\u202e", "\\ufffe", "\\u0001", "\\u0008"])
def test_text_that_holds_an_escaped_control_resolves_to_itself(escape: str) -> None:
    found = resolved(RATINGS.replace("experiment films", f'experiment films "{escape}"'))
    assert escape in as_text(found.experiment)
    assert resolved(as_text(found.experiment)).experiment == found.experiment


def test_a_value_with_a_control_in_it_is_not_shown_raw() -> None:
    _, diagnostics = checked('extends "\\u001b[2J\\u0007"')
    assert not any(sign in render(d) for d in diagnostics for sign in "\x1b\x07")


def work(text: str) -> int:
    """Lines executed to check a text, and to draw what is wrong with it."""

    def check() -> None:
        _, diagnostics = checked(text)
        as_json(diagnostics)
        assert all(render(d) for d in diagnostics)

    return lines_executed(check)


MANY: dict[str, Callable[[int], str]] = {
    "params one after another": lambda n: "".join(f"param a{i} = a{i + 1}\n" for i in range(n)),
    "one circle of params": lambda n: "".join(f"param a{i} = a{(i + 1) % n}\n" for i in range(n)),
    "lists of params that double": lambda n: "".join(f"param a{i} = [a{i + 1}, a{i + 1}]\n" for i in range(n)),
    "stages": lambda n: IMAGES + "".join(f"stage s{i} {{ fit flat(1, 1e-3) }}\n" for i in range(n)),
    "faults on one line": lambda n: "stage a { " * n,
    "unknown names on one line": lambda n: f"model {{ body resnet18 head mlp([{', '.join('x' * n)}]) }}",
}


@pytest.mark.parametrize("what", MANY)
def test_the_work_grows_with_the_text_and_not_faster(what: str) -> None:
    """From 100 to 200 and on to 400: what is added doubles if it is linear, and is four times as much if quadratic."""
    work(MANY[what](100))  # what is made once
    small, middle, large = (work(MANY[what](n)) for n in (100, 200, 400))
    assert large - middle < 2.5 * (middle - small)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("param a = b\nparam b = a\nparam c = a", ["a → b → a"]),
        ("param c = a\nparam b = a\nparam a = [b, b]", ["b → a → b"]),
        ("param a = a\nparam b = c\nparam c = {x = b}", ["a → a", "b → c → b"]),
    ],
)
def test_every_circle_of_params_is_told_once(text: str, said: list[str]) -> None:
    _, diagnostics = checked(text)
    circles = [d.message for d in diagnostics if d.code == "E209"]
    assert circles == [f"params name each other in a circle: {each}" for each in said]


class Many:
    """A probe that knows of data with very many examples."""

    def data_facts(self, use: Use, seed: int) -> DataFacts:
        return DataFacts("ratings", 10**9, 10, entities={"users": 5, "items": 5}, range=(0.0, 5.0))

    def layer_counts(self, model: Model, facts: DataFacts) -> tuple[LayerCount, ...]:
        return (LayerCount("model", 10),)

    def missing_weights(self, model: Model) -> Sequence[str]:
        """Say that none are missing."""
        return ()

    def run_folder(self, run: str) -> Path:
        raise AssertionError(run)


def test_a_stage_of_endless_steps_is_refused_at_its_policy() -> None:
    text = RATINGS.replace("epochs = 1", "epochs = 100000")
    with pytest.raises(SpecError) as caught:
        make_plan(resolved(text), Many())
    (fault,) = [d for d in caught.value.diagnostics if d.code == "E207"]
    assert f"{MOST_STEPS:,}" in fault.message and fault.span is not None and "one_cycle" in fault.span.text


def test_a_base_that_is_a_device_is_refused() -> None:
    assert faults('extends "/dev/zero"')[0] == ("E211", '"/dev/zero"')


# The fuzzer itself


def test_the_fuzzer_notices_an_exception_and_an_endless_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(case: Case, random: Random) -> None:
        raise KeyError(case.data)

    def endless(case: Case, random: Random) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzzing, "BUDGET", 0.05)
    for check, what in ((raising, "KeyError"), (endless, "SlowError")):
        monkeypatch.setattr(fuzzing, "KINDS", {"bytes": (random_bytes, check)})
        done, failures = fuzz("bytes", 5, seed=0, keep=2)
        assert done == 2 and all(what in str(failure) for failure in failures)
