"""A file that builds on another may leave out the base's stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from specs import IMAGES, checked

NEW = "stage tune { fit one_cycle(epochs = 1, lr = 1e-3) }\n"


def stages(folder: Path, text: str) -> tuple[list[str], list[str]]:
    (folder / "base.exp").write_text(IMAGES)
    resolved, diagnostics = checked('extends "base.exp"\nexperiment top\n' + text, folder=folder)
    names = [stage.name for stage in resolved.experiment.stages] if resolved else []
    return names, [each.code for each in diagnostics]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("stage head none", ["everything"]),
        ("stage everything none", ["head"]),
        ("stage head none\n" + NEW, ["everything", "tune"]),
        ("stages none\n" + NEW, ["tune"]),
        (NEW + "stages none", ["tune"]),
        ("stages none\nstages fine_tune(1)", ["fine_tune_head", "fine_tune_all"]),
        ("stage head none\nstage everything none\n" + NEW, ["tune"]),
    ],
)
def test_inherited_stages_are_left_out(tmp_path: Path, text: str, left: list[str]) -> None:
    names, codes = stages(tmp_path, text)
    assert names == left
    assert [code for code in codes if code.startswith("E")] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("stage haed none", "E208"),
        ("stages none", "E201"),
        ("stage head none\nstage head none", "E202"),
        ("stage head none\nstage head { fit one_cycle(epochs = 1, lr = 1e-3) }", "E202"),
    ],
)
def test_what_is_no_stage_of_the_base_or_leaves_none_is_an_error(tmp_path: Path, text: str, code: str) -> None:
    names, codes = stages(tmp_path, text)
    assert names == [] and code in codes
