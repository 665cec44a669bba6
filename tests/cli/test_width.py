"""What is printed fits the terminal, at 80 and at 50 columns, and no word is broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dotexp.cli.tables import fitted, screen_width, table
from dotexp.language.diagnostics import Diagnostic, render
from dotexp.language.source import source_from_text
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import REPOSITORY
from spec_runner import QUICK, Done, runner

WIDTHS = (80, 50)
FAULTY = (
    "experiment a\n"
    'data image_list("a long name of a file that names the images.csv", sufix = ".jpg", label = "tags", aug = 3)\n'
    "model { body resnet19 head mlp }\nloss cross_entropy\noptimizer adm\nstage s { fit one_cycle(1, lr = 1) }\n"
)


def words(text: str) -> list[str]:
    return sorted(re.findall(r"[A-Za-z_]\w*", text))


def narrow(width: int, *arguments: str, folder: Path, text: str = "") -> Done:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        done = runner(*arguments, folder=folder, text=text)
    for line in (done.stdout + done.stderr).splitlines():
        assert len(line) <= width or " " not in line.strip(), (width, line)
    return done


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "adam"), ("show", "one_cycle"), ("show", "optimizer"), ("show", "resnet34"), ("show", "image_list"),
        ("plugins",), ("explain", "specs/pets.exp", "data.memory"), ("explain", "specs/movielens.exp", "runtime"),
        ("diff", "specs/digits.exp", "specs/digits-source.exp"), ("diff", "specs/movielens.exp", "specs/jester.exp"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_tables_fit_and_keep_every_word(width: int, arguments: tuple[str, ...]) -> None:
    wide = runner(*arguments, folder=REPOSITORY)
    found = narrow(width, *arguments, folder=REPOSITORY)
    assert found.returncode == wide.returncode
    assert set(words(wide.stdout)) - {"parameter", "bounds", "path"} <= set(words(found.stdout))


@pytest.mark.parametrize("width", WIDTHS)
def test_diagnostics_fit_and_the_caret_stands_under_its_place(width: int, tmp_path: Path) -> None:
    found = narrow(width, "check", "-", folder=tmp_path, text=FAULTY)
    lines = found.stdout.splitlines()
    marked = []
    for number, line in enumerate(lines):
        if match := re.match(r" +\| ( *)(\^+)", line):
            start, end = match.span(2)
            marked.append(lines[number - 1][start:end])
    assert marked == ["sufix", "aug", "resnet19", "adm"]
    assert {"E203", "E204"} <= set(re.findall(r"E\d+", found.stdout))


@pytest.mark.parametrize("width", WIDTHS)
def test_faults_of_the_call_fit(width: int, tmp_path: Path) -> None:
    for arguments in (
        ("explain", "specs/pets.exp", "stage.fit.momentums"), ("diff", "specs/pets.exp", "no-such-run"),
        ("show", "resnett"), ("fmt", "a-file-that-is-not-there.exp"),
    ):  # fmt: skip
        done = narrow(width, *arguments, folder=REPOSITORY)
        assert done.returncode == 2 and done.stderr.startswith("error: ")


@pytest.mark.run
@pytest.mark.parametrize("width", WIDTHS)
def test_plans_runs_and_epochs_fit(width: int, tmp_path: Path) -> None:
    text = QUICK.replace("loss mse", "loss mse\nmetrics rmse, mae").replace("films", f"films{width}")
    (tmp_path / "a.exp").write_text(text.replace("experiment", "experiment", 1))
    assert "learning rate" in narrow(width, "plan", "a.exp", folder=tmp_path).stdout
    done = narrow(width, "run", "a.exp", "--no-report", folder=tmp_path)
    assert done.returncode == 0
    header, row = done.stderr.index("epoch "), done.stderr.index("     1 ")
    assert re.findall(r"\w+", done.stderr[header:row])[:3] == ["epoch", "train_loss", "valid_loss"]
    assert {"rmse", "mae", "seconds"} < set(done.stderr.split())
    for arguments in (("runs", "ls"), ("runs", "show", f"films{width}-1"), ("runs", "compare", f"films{width}-1")):
        found = narrow(width, *arguments, folder=tmp_path)
        assert f"films{width}-1" in found.stdout and "rmse" in found.stdout


CELL = st.text(st.characters(codec="ascii", categories=("Ll", "Nd", "Zs")), max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=5)),
    width=st.integers(20, 120),
)
def test_any_table_fits_unless_a_word_is_too_long(rows: list[list[str]], width: int) -> None:
    written = table(rows, width=width, indent="  ")
    found = sorted(written.replace(";", " ").split())
    assert found == sorted(word for row in rows for cell in row for word in cell.split())
    longest = max((len(word) for word in found), default=0)
    if longest <= width - 8:
        assert max(map(len, written.splitlines()), default=0) <= width


def test_a_table_is_as_it_was_where_it_fits() -> None:
    rows = [("a", "1"), ("long name", "22")]
    plain = "name       number\na               1\nlong name      22"
    assert table(rows, ("name", "number"), right={1}) == plain
    assert table(rows, ("name", "number"), right={1}, width=17) == plain


def test_a_table_that_is_too_wide_wraps_its_text_and_then_its_rows() -> None:
    rows = [("adam", "a number", "the average of gradients divided by the root of the average of squares")]
    assert table(rows, ("name", "type", "what it is"), width=50) == (
        "name  type      what it is\n"
        "adam  a number  the average of gradients divided\n"
        "                by the root of the average of\n"
        "                squares"
    )
    assert table(rows, ("name", "type", "what it is"), width=30) == (
        "adam\n  type: a number\n  what it is: the average of\n"
        "    gradients divided by the\n    root of the average of\n    squares"
    )


def test_lines_break_between_words_only() -> None:
    assert fitted("one two three", None) == "one two three"
    assert fitted("one two three", 9, "  ") == "one two\n  three"
    assert fitted("/a/path/that/is/too/long to break", 12, "  ") == "/a/path/that/is/too/long\n  to break"


def test_what_goes_elsewhere_than_a_terminal_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert screen_width() is None
    for said, width in (("50", 50), ("0", None), ("wide", None), ("-3", None)):
        monkeypatch.setenv("COLUMNS", said)
        assert screen_width() == width


@pytest.mark.parametrize("at", [0, 40, 90, 140, 180])
def test_a_long_line_is_shown_around_its_span(at: int) -> None:
    text = " ".join(f"word{number:02}" for number in range(30))
    source = source_from_text(text, "a.exp")
    start = text.rfind(" ", 0, at) + 1
    drawn = render(Diagnostic("E103", "out of place", source.span(start, start + 6)), 50).splitlines()
    place = drawn[4].index("^")
    assert all(len(line) <= 50 for line in drawn)
    assert drawn[3][place : place + 6] == text[start : start + 6]
    assert set(drawn[3].split()[2:]) <= set(text.split())
