"""Examples that one stage trains on and another holds out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dotexp import SpecError, plan
from PIL import Image

from specs import resolved

SPEC = """
experiment stages
data {data}
model {{ body squeezenet1_1(weights = none) head linear }}
loss cross_entropy
stage first {{ fit flat(epochs = 1, lr = 1e-3) }}
stage second {{ {own} fit flat(epochs = 1, lr = 1e-3) }}
"""
NAMES = [f"{'ab'[i % 2]}/{i:02d}.png" for i in range(24)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs in two sizes, small/a/00.png and large/a/00.png, and tables of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 20, 3), dtype=np.uint8)
    for folder, side in (("small", 10), ("large", 20)):
        for name, image in zip(NAMES, pixels, strict=True):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:side, :side]).save(tmp_path / folder / name)
    for table, names in (("all.csv", NAMES), ("few.csv", NAMES[:16])):
        rows = "".join(f"{name},{name[0]}\n" for name in names)
        (tmp_path / table).write_text(f"file,kind\n{rows}")
    (tmp_path / "linked").symlink_to(tmp_path / "small")
    return tmp_path


def problems(folder: Path, data: str, own: str) -> list[tuple[str, str, str]]:
    spec = resolved(SPEC.format(data=data, own=own), folder=folder)
    found = []
    try:
        plan(spec, notify=found.extend)
    except SpecError as error:
        found.extend(error.diagnostics)
    stages = [d for d in found if "the stage `" in d.message and d.span is not None]
    return [(d.code, d.span.text if d.span else "", d.message) for d in stages]


SMALL = 'image_folder("small", size = 24, batch_size = 2)'


@pytest.mark.parametrize(
    "own",
    [
        "",
        "data(size = 32)",
        "data(resize = squish, batch_size = 4)",
        'data(path = "large")',  # the same names, and so the same split
        'data(path = "linked")',
        'data image_list("all.csv", path = "small", size = 24, batch_size = 2)',  # a table of them all
    ],
)
def test_stages_that_split_alike_are_fine(photos: Path, own: str) -> None:
    assert problems(photos, SMALL, own) == []


def test_a_stage_that_trains_on_what_another_validates_with_is_refused(photos: Path) -> None:
    few = 'data image_list("few.csv", path = "linked", size = 24, batch_size = 2)'
    found = problems(photos, SMALL, few)
    assert [(code, at) for code, at, _ in found] == [("E402", "image_list")] * len(found) and len(found) == 2
    assert any(
        "the stage `second` trains on" in message and "`first` validates with" in message for *_, message in found
    )
    assert any(
        "the stage `first` trains on" in message and "`second` validates with" in message for *_, message in found
    )
    assert "(first: " in found[0][2]


def test_the_test_set_counts_as_well(photos: Path) -> None:
    table = 'image_list("all.csv", path = "small", test = 20%, size = 24, batch_size = 2)'
    found = problems(photos, table, 'data(table = "few.csv")')
    assert any("`first` tests with" in message for *_, message in found)


def test_the_same_names_in_another_folder_are_a_warning(photos: Path) -> None:
    table = 'image_list("all.csv", path = "small", size = 24, batch_size = 2)'
    found = problems(photos, table, 'data(table = "few.csv", path = "large")')
    assert {code for code, *_ in found} == {"W505"}
    assert "in another folder (first: " in found[0][2]


RATINGS = """
experiment films
data ratings("all.csv", header = false, batch_size = 4)
model embedding_dot_bias(factors = 4)
loss mse
stage first {{ fit flat(epochs = 1, lr = 1e-3) }}
stage second {{ {own} fit flat(epochs = 1, lr = 1e-3) }}
"""


def test_ratings_of_stages_are_held_against_each_other(tmp_path: Path) -> None:
    rows = [f"u{user},i{item},{(user + item) % 5}" for user in range(6) for item in range(6)]
    (tmp_path / "all.csv").write_text("\n".join(rows))
    (tmp_path / "few.csv").write_text("\n".join(rows[::-1][:33]))

    def found(own: str) -> list[str]:
        try:
            plan(resolved(RATINGS.format(own=own), folder=tmp_path))
        except SpecError as error:
            return [d.message for d in error.diagnostics if "the stage `" in d.message]
        return []

    assert found("") == found("data(batch_size = 2)") == []
    assert any("the stage `second` trains on" in message for message in found('data(path = "few.csv")'))
