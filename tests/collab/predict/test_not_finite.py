"""Predictions of a model whose outputs are no numbers: never an answer, for pairs as for images."""

from __future__ import annotations

import json
from pathlib import Path

import dotexp
import polars as pl
import pytest
from dotexp import UsageError, Workspace
from dotexp.engine.build.weights import load_weights, save_weights
from spec_runner import QUICK, runner

pytestmark = pytest.mark.run


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a finished run."""
    (tmp_path / "films.exp").write_text(QUICK)
    dotexp.run(tmp_path / "films.exp", runs=tmp_path / "runs", report=False)
    return tmp_path


def poison(folder: Path, item: str | None) -> None:
    """Put NaN into the row of an item in every table of items, or, for None, into all weights."""
    run = Workspace(folder / "runs").open("films")
    code = None if item is None else run.read_facts().vocabulary["items"].index(item) + 1
    tensors = load_weights(run.model)
    for name, tensor in tensors.items():
        if code is None:
            tensor.fill_(float("nan"))
        elif "item" in name:
            tensor[code] = float("nan")
    save_weights(tensors, run.model)


@pytest.mark.parametrize("form", [[], ["--json"], ["--json-lines"]])
def test_a_model_without_a_single_number_is_an_error(films: Path, form: list[str]) -> None:
    poison(films, None)
    for inputs in (["1:2"], ["1:2", "3:4", "no-one:2"]):
        done = runner("predict", "films", *inputs, *form, folder=films)
        assert done.returncode == 2 and done.stdout == ""
        assert "not a finite number" in done.stderr and ("more input" in done.stderr) == (len(inputs) > 1)
        with pytest.raises(UsageError, match="not a finite number"):
            dotexp.predict("films", inputs, runs=films / "runs")


def test_pairs_without_a_number_are_rows_with_their_error(films: Path) -> None:
    poison(films, "2")
    done = runner("predict", "films", "1:2", "1:3", "4:2", "--json", folder=films)
    rows = json.loads(done.stdout)["predictions"]
    assert done.returncode == 0 and ["error" in row for row in rows] == [True, False, True]
    assert "2 of 3 inputs have no answer" in done.stderr and "NaN" not in done.stdout
    assert "1 2: error: the model's output" in runner("predict", "films", "1:2", "1:3", folder=films).stdout


@pytest.mark.parametrize("name", ["o.csv", "o.parquet", "o.jsonl"])
def test_a_file_of_predictions_counts_them(films: Path, name: str) -> None:
    poison(films, "2")
    (films / "pairs.csv").write_text("1,2\n1,3\n4,2\n5,3\n")
    done = runner("predict", "films", "pairs.csv", "--out", name, folder=films)
    assert done.returncode == 0 and "4 rows, 2 of them with an error" in done.stdout
    read = {"o.csv": pl.read_csv, "o.parquet": pl.read_parquet, "o.jsonl": pl.read_ndjson}[name]
    table = read(films / name)
    assert [value is None for value in table["value"]] == [True, False, True, False]
    assert [error is not None and "finite" in error for error in table["error"]] == [True, False, True, False]
