"""Edits of a spec: what was to change changed, and not a byte beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated

import pytest
from dotexp import Component, Params, Positional, UsageError
from dotexp.commands.rate_edits import Written, peaks_of, rate_text, scaled_rate, stage_of, write_rate
from dotexp.components.registry import Provider, Registry, load_registry
from dotexp.experiment.checking import load
from dotexp.language.edits import Edit, edit_file, edited
from dotexp.language.source import source_from_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

SPEC = """\
experiment photos "a description with 1e-3 in it"

param top = 1e-3      # the rate, 1e-3
data digits(classes = 0..4)
model {
  body resnet18(weights = none)
  head mlp
}
loss cross_entropy
optimizer adam(wd = 1e-3)   # not a rate

stage head { freeze body  fit one_cycle(1,\tLR) }  # 1e-3
stage other { fit one_cycle(epochs = 2, lr = slice(1e-6, top)) }
"""


def spec(tmp_path: Path, lr: str, text: str = SPEC) -> Path:
    """A spec with this rate in its first stage."""
    path = tmp_path / "s.exp"
    path.write_text(text.replace("LR", lr))
    return path


def rewrite(path: Path, *overrides: str, factor: float = 2.5, stage: str = "head") -> tuple[str, Written]:
    """Scale a stage's rate in its file: the text of the new rate, and what is said of it."""
    found, registry = load(path, overrides), load_registry()
    rate = scaled_rate(found, stage, factor, registry)
    return rate.text, write_rate(found, rate, registry)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("1e-3", "2.5e-3", "2.5e-3"),
        ("0.001", "0.0025", "0.0025"),
        ("1E-3", "2.5e-3", "2.5e-3"),
        ("slice(1e-5, 1e-3)", "slice(2.5e-5, 2.5e-3)", "slice(2.5e-5, 2.5e-3)"),
        ("slice( 1e-5 , # first\n 1e-3 )", "slice( 2.5e-5 , # first\n 2.5e-3 )", "slice(2.5e-5, 2.5e-3)"),
        ("slice(first = 0.01)", "slice(first = 0.025)", "slice(first = 0.025)"),
        ("optimizers.slice(1e-3)", "optimizers.slice(2.5e-3)", "optimizers.slice(2.5e-3)"),
        ("[1e-5, 1e-4, 0.001,]", "[2.5e-5, 2.5e-4, 0.0025,]", "[2.5e-5, 2.5e-4, 0.0025]"),
        ('{"head" = 1e-3, early = 2}', '{"head" = 2.5e-3, early = 5}', '{"head" = 2.5e-3, early = 5}'),
    ],
)
def test_numbers_change_in_place(tmp_path: Path, before: str, after: str, said: str) -> None:
    path = spec(tmp_path, before)
    peaks = peaks_of(load(path).experiment, "head")
    text, done = rewrite(path)
    assert path.read_text() == SPEC.replace("LR", after)
    assert (text, done.also) == (said, ())
    scaled = {name: None if peak is None else pytest.approx(2.5 * peak) for name, peak in peaks.items()}
    assert peaks_of(load(path).experiment, "head") == scaled
    assert done.places[0].startswith(f"{path}:12:")


def test_the_place_told_is_the_numbers(tmp_path: Path) -> None:
    path = spec(tmp_path, "slice(1e-5, 1e-3)")
    assert rewrite(path)[1].places == (f"{path}:12:50", f"{path}:12:56")


def test_a_param_is_changed_where_it_stands_and_what_else_names_it_is_told(tmp_path: Path) -> None:
    path = spec(tmp_path, "top")
    text, done = rewrite(path)
    assert path.read_text() == SPEC.replace("LR", "top").replace("top = 1e-3 ", "top = 2.5e-3 ")
    assert text == "2.5e-3"
    assert done == Written((f"{path}:3:13",), ("stage `other`",))


def test_a_param_in_part_of_a_value(tmp_path: Path) -> None:
    path = spec(tmp_path, "slice(1e-5, top)")
    assert rewrite(path)[0] == "slice(2.5e-5, 2.5e-3)"
    expected = SPEC.replace("LR", "slice(2.5e-5, top)").replace("top = 1e-3 ", "top = 2.5e-3 ")
    assert path.read_text() == expected


def test_a_param_named_twice_is_changed_once(tmp_path: Path) -> None:
    path = spec(tmp_path, "[top, top, 1e-2]")
    rewrite(path)
    expected = SPEC.replace("LR", "[top, top, 2.5e-2]").replace("top = 1e-3 ", "top = 2.5e-3 ")
    assert path.read_text() == expected


def test_a_param_of_a_param(tmp_path: Path) -> None:
    path = spec(tmp_path, "rates", "param rates = slice(top)\n" + SPEC)
    path.write_text(path.read_text().replace("param rates", "# which\nparam rates"))
    before = path.read_text()
    assert rewrite(path)[0] == "slice(2.5e-3)"
    assert path.read_text() == before.replace("top = 1e-3 ", "top = 2.5e-3 ")


class StepsParams(Params):
    """Rates by a constant ratio from the last group backwards."""

    last: Annotated[float, Positional()] = Field(gt=0, le=1e4, description="the last group's")
    ratio: float = Field(2.0, gt=0, le=1e4, description="of each to the one before")


def steps_rates(params: StepsParams, groups: int) -> tuple[float, ...]:
    """The rates."""
    return tuple(params.last / params.ratio ** (groups - 1 - i) for i in range(groups))


def test_a_component_whose_numbers_are_not_all_rates_becomes_a_list(tmp_path: Path) -> None:
    steps = Component("learning_rate", "steps", StepsParams, f"{__name__}:steps_rates", provider="acme")
    registry = Registry((*load_registry().providers, Provider("acme", (steps,))))
    path = spec(tmp_path, "steps(8e-3, ratio = 4)")
    found = load(path, registry=registry)
    rate = scaled_rate(found, "head", 2.5, registry)
    assert rate.text == "[1.25e-3, 5e-3, 2e-2]"
    write_rate(found, rate, registry)
    assert path.read_text() == SPEC.replace("LR", "[1.25e-3, 5e-3, 2e-2]")


# Rates that stand elsewhere: the file is as it was, and the message says what to write where.


def refusal(path: Path, *overrides: str, stage: str = "head") -> str:
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        rewrite(path, *overrides, stage=stage)
    assert path.read_bytes() == before
    return str(caught.value)


def test_a_rate_of_the_base(tmp_path: Path) -> None:
    base = spec(tmp_path, "1e-3")
    path = tmp_path / "child.exp"
    path.write_text('extends "s.exp"\nexperiment child\n')
    said = refusal(path)
    assert f"stands in the base file, at {base}:12:44: write lr = 2.5e-3 there" in said
    assert f"repeat the stage `head` with it in {path}" in said
    assert base.read_text() == SPEC.replace("LR", "1e-3")


def test_a_param_of_the_base(tmp_path: Path) -> None:
    base = spec(tmp_path, "1e-3")
    path = tmp_path / "child.exp"
    path.write_text('extends "s.exp"\nexperiment child\nstage head { freeze body  fit one_cycle(1, top) }\n')
    said = refusal(path)
    assert f"is a param of the base file {base}" in said and "comes to lr = 2.5e-3" in said
    path.write_text(path.read_text() + "param top = 0.02\n")
    rewrite(path)
    assert path.read_text().endswith("param top = 0.05\n")


def test_a_rate_given_on_the_command_line(tmp_path: Path) -> None:
    path = spec(tmp_path, "top")
    said = refusal(path, "stage.head.fit.lr=1e-2")
    assert "give --set stage.head.fit.lr='2.5e-2' in its place" in said
    assert "--set stage.head.fit.lr='2.5e-2' as well" in refusal(path, "top=1e-2")


def test_no_text_is_written_to_be_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = spec(tmp_path, "slice(1e-5, top)")
    found, registry = load(path), load_registry()

    def refuse(*arguments: object) -> None:
        raise AssertionError("text is parsed")

    monkeypatch.setattr("dotexp.language.parser.tokenise", refuse)
    write_rate(found, scaled_rate(found, "head", 2.5, registry), registry)
    monkeypatch.undo()
    assert peaks_of(load(path).experiment, "head")["head"] == 2.5e-3


def test_other_overrides_stay_out_of_the_file(tmp_path: Path) -> None:
    path = spec(tmp_path, "1e-3")
    rewrite(path, "stage.head.fit.epochs=7", "optimizer.wd=0.5")
    assert path.read_text() == SPEC.replace("LR", "2.5e-3")


def test_a_rate_of_a_stages_statement(tmp_path: Path) -> None:
    text = SPEC[: SPEC.index("stage head")] + "stages fine_tune(2, lr = 1e-3)\n"
    path = spec(tmp_path, "", text)
    said = refusal(path, stage="fine_tune_all")
    assert (
        f"one that the `stages` statement of {path} stands for: write it out with"
        " lr = slice(first = 1.25e-5, second = 1.25e-3)" in said
    )


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, registry = load(spec(tmp_path, "1e-3")), load_registry()
    source = source_from_text(found.source.text, "<stdin>")
    piped = found._replace(document=found.document._replace(source=source))
    with pytest.raises(UsageError, match=r"standard input cannot be written to: write lr = 2\.5e-3"):
        write_rate(piped, scaled_rate(found, "head", 2.5, registry), registry)


def test_a_rate_out_of_bounds_is_not_written(tmp_path: Path) -> None:
    path = spec(tmp_path, "1e3")
    found, registry = load(path), load_registry()
    with pytest.raises(UsageError, match=r":12:44 cannot be rewritten: write lr = 2e4 yourself"):
        write_rate(found, scaled_rate(found, "head", 20.0, registry), registry)
    assert path.read_text() == SPEC.replace("LR", "1e3")


def test_a_file_that_changed_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    path = spec(tmp_path, "1e-3")
    found, registry = load(path), load_registry()
    path.write_text("# edited\n" + path.read_text())
    with pytest.raises(UsageError, match="is not what it was when it was read: it is left as it is"):
        write_rate(found, scaled_rate(found, "head", 2.5, registry), registry)
    path.unlink()
    with pytest.raises(UsageError, match="cannot read"):
        write_rate(found, scaled_rate(found, "head", 2.5, registry), registry)


# Files.


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_the_mark_at_the_start_stay(tmp_path: Path, ends: str, mark: str) -> None:
    path = tmp_path / "s.exp"
    path.write_bytes((mark + SPEC.replace("LR", "slice(1e-5,\n1e-3)")).replace("\n", ends).encode())
    rewrite(path)
    assert path.read_bytes() == (mark + SPEC.replace("LR", "slice(2.5e-5,\n2.5e-3)")).replace("\n", ends).encode()


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path = spec(tmp_path, "1e-3")
    path.chmod(0o640)
    link = tmp_path / "link.exp"
    link.symlink_to(path)
    rewrite(link)
    assert link.is_symlink() and path.read_text() == SPEC.replace("LR", "2.5e-3")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.exp", "s.exp"], "nothing temporary is left"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    path = spec(tmp_path, "1e-3")
    tmp_path.chmod(0o500)
    try:
        assert "cannot be written: Permission denied" in refusal(path)
    finally:
        tmp_path.chmod(0o700)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_not_edited_stays_whatever_the_file_holds(tmp_path: Path, data: st.DataObject) -> None:
    """The pieces of a file between letters that are edited are its bytes still."""
    between = st.text(st.sampled_from("a# \u00e9\u2028\U0001f600"), max_size=4)
    pieces = data.draw(st.lists(st.tuples(between, st.sampled_from(["\n", "\r\n", "\r", ""])), min_size=1, max_size=8))
    mark = data.draw(st.sampled_from(["", "\ufeff"]))
    path = tmp_path / "any.exp"
    path.write_bytes((mark + "X".join(text + end for text, end in pieces)).encode())
    source = source_from_text(path.read_bytes().decode(), str(path))
    edits = [Edit(i, i + 1, f"<{i}>") for i, letter in enumerate(source.text) if letter == "X"]
    edit_file(source, edits)
    after = path.read_bytes().decode()
    assert source_from_text(after).text == edited(source.text, edits)
    numbered = iter(edits)
    expected = mark + pieces[0][0] + pieces[0][1]
    for text, end in pieces[1:]:
        expected += next(numbered).text + text + end
    assert after == expected


@pytest.mark.parametrize(
    ("rate", "exponent", "text"),
    [
        (2.3e-3, True, "2.3e-3"), (2.3e-3, False, "0.0023"), (1e-5, False, "1e-5"), (0.5, True, "5e-1"),
        (12.0, False, "12"), (1234.0, False, "1234"), (1.0, True, "1e0"), (9.999e-4, True, "1e-3"), (2e4, False, "2e4"),
    ],
)  # fmt: skip
def test_rates_are_written_shortly(rate: float, exponent: bool, text: str) -> None:
    assert rate_text(rate, exponent) == text
    assert float(text) == pytest.approx(rate, rel=0.005)


def test_a_stage_is_found_by_name_or_by_being_alone(tmp_path: Path) -> None:
    experiment = load(spec(tmp_path, "1e-3")).experiment
    assert stage_of(experiment, "other").name == "other"
    with pytest.raises(UsageError, match="say which stage: the experiment's are head, other"):
        stage_of(experiment, None)
    with pytest.raises(UsageError, match="there is no stage `hed`: the experiment's are head, other"):
        stage_of(experiment, "hed")
    assert stage_of(experiment.replace(stages=experiment.stages[1:]), None).name == "other"
