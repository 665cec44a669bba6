"""Predictions for images of which some cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import dotexp
import numpy as np
import pytest
from dotexp.runs.folder import RunFolder
from PIL import Image
from spec_runner import runner

pytestmark = pytest.mark.run

SPEC = """
experiment photos
data image_folder("photos", valid = 4, size = 32, batch_size = 4, augment = [flip(p = 1)])
model { body squeezenet1_1(weights = none)  head linear }
loss cross_entropy
stage train { fit flat(epochs = 1, lr = 1e-3) }
runtime(threads = 1)
"""
BAD = {"03.png": b"no image", "10.png": b"", "18.png": b"<html>404</html>"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """A run, and beside it a folder `new` of 16 images and 3 files that are none."""
    folder = tmp_path_factory.mktemp("predicting")
    random = np.random.default_rng(0)
    for place in ("photos/a", "photos/b", "new"):
        (folder / place).mkdir(parents=True)
        for i in range(19):
            Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / place / f"{i:02d}.png")
    for name, held in BAD.items():
        (folder / "new" / name).write_bytes(held)
    (folder / "photos.exp").write_text(SPEC)
    return folder, dotexp.run(folder / "photos.exp", runs=folder / "runs")


@pytest.mark.parametrize("tta", [0, 2])
def test_a_bad_image_is_a_row_with_its_error_and_the_rest_is_answered(photos: tuple[Path, RunFolder], tta: int) -> None:
    folder, run = photos
    answers = {Path(each.input["input"]).name: each for each in dotexp.predict(run, folder / "new", tta=tta)}
    assert list(answers) == [f"{i:02d}.png" for i in range(19)]
    assert {name for name, answer in answers.items() if answer.error} == set(BAD)
    assert "it is no image" in answers["03.png"].error and "empty file" in answers["10.png"].error
    assert "a web page (HTML)" in answers["18.png"].error and answers["18.png"].value is None
    good = [str(folder / "new" / name) for name in answers if name not in BAD]
    alone = {Path(each.input["input"]).name: each for each in dotexp.predict(run, good, tta=tta)}
    for name, answer in alone.items():
        assert answers[name].value == answer.value
        assert answers[name].probabilities == pytest.approx(answer.probabilities, abs=1e-6)


def test_the_command_line_answers_the_rest_and_counts_the_bad(photos: tuple[Path, RunFolder]) -> None:
    folder, _ = photos
    done = runner("predict", "photos", "new", folder=folder)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 19
    assert "new/10.png: error: the image new/10.png cannot be read: it is an empty file" in done.stdout
    assert done.stderr == "warning: 3 of 19 inputs have no answer; each is a row with its error\n"
    rows = json.loads(runner("predict", "photos", "new", "--json", folder=folder).stdout)["predictions"]
    assert [set(row) for row in rows if "error" in row] == [{"input", "error"}] * 3
    lines = runner("predict", "photos", "new", "--json-lines", folder=folder).stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_where_nothing_can_be_read_the_call_is_wrong(photos: tuple[Path, RunFolder]) -> None:
    folder, run = photos
    done = runner("predict", "photos", "new/03.png", "new/10.png", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the image new/03.png cannot be read: it is no image, but text: no image (and 1 more input)" in done.stderr
    for tta in (0, 1):
        with pytest.raises(dotexp.UsageError, match=r"10\.png cannot be read: it is an empty file$"):
            dotexp.predict(run, folder / "new" / "10.png", tta=tta)
    assert runner("predict", "photos", "new/gone.png", "new/00.png", folder=folder).returncode == 2
