"""The saved parser table is that of the grammar."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files

import lark
import pytest
from dotexp.language.lalr import TABLE, build_parser, load_parser, made_of, table_text
from dotexp.language.parser import language, parse
from dotexp.language.source import source_from_text

from specs import IMAGES


def test_the_saved_table_is_the_grammars() -> None:
    saved = (files("dotexp.language") / TABLE).read_text(encoding="utf-8")
    if json.loads(saved)["made_of"]["lark"] != lark.__version__:
        pytest.skip("the table was saved by another version of Lark, and is not used with this one")
    cure = "run: python -m dotexp.language.lalr > dsl/dotexp/language/experiment.json"
    assert json.loads(saved)["made_of"] == made_of(), cure
    assert table_text(build_parser()) == saved, cure


@pytest.mark.process
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_table_does_not_depend_on_the_order_of_sets(seed: str) -> None:
    command = [sys.executable, "-m", "dotexp.language.lalr"]
    done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True)
    assert done.stdout.decode() == table_text(build_parser())


def test_a_text_parses_alike_with_the_saved_table_and_with_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_from_text(IMAGES)
    with_table = parse(source)
    language.cache_clear()
    monkeypatch.setattr("dotexp.language.parser.load_parser", build_parser)
    assert parse(source) == with_table
    monkeypatch.undo()
    language.cache_clear()


def test_a_table_of_another_grammar_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dotexp.language.lalr.made_of", lambda: {"lark": "another", "grammar": "another"})
    parser = load_parser(None)  # type: ignore[arg-type]
    assert parser.source_path != "<deserialized>"
