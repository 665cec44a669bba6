"""Images that a table or their names label: what is read, how it is split, and every fault with its line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dotexp as api
import numpy as np
import polars as pl
import pytest
import torch
from dotexp import ComponentError, DataContext, SpecError, Use
from dotexp.components.registry import load_registry
from dotexp.sdk.data import Named
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.list_params import ImageListParams
from dotexp_vision.data.listed import build
from dotexp_vision.data.params import OnBad
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from specs import faults, resolved

PETS = ("great_dane_1.png", "great_dane_22.png", "pug_1.png", "pug_2.png", "sphynx_1.png", "sphynx_7.png")


def draw(folder: Path, names: Sequence[str]) -> Path:
    """Image files, each of a grey of its own: 10, 20, …"""
    for number, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (10 * number,) * 3).save(folder / name)
    return folder


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def load(table: Path, seed: int = 42, **more: object) -> ImageData:
    return build(ImageListParams.model_validate({"table": table, "size": 4, **more}), DataContext(seed))


def column(name: str) -> Use:
    (component,) = load_registry().find("image_split", "column")
    return Use(component=component, params=component.params(column=name))


def refusal(table: Path, field: str, code: str = "E402", **more: object) -> str:
    with pytest.raises(ComponentError) as caught:
        load(table, **more)
    assert (caught.value.problem.code, caught.value.problem.field) == (code, field)
    return f"{caught.value}\n({caught.value.problem.help})"


def names(data: ImageData, part: str) -> list[str]:
    found = data.part(part)
    assert isinstance(found, Named)
    return list(found.names)


def whole(data: ImageData, part: str) -> tuple[list[int], Tensor]:
    """Greys of a part's images, and its targets."""
    taken = data.part(part)
    (batch,) = taken.batches(torch.arange(len(taken)), len(taken), None, torch.device("cpu"))
    return (batch.inputs[0][:, 0, 0, 0] * 255).round().int().tolist(), batch.targets


def test_the_lessons_pattern_on_a_flat_folder(tmp_path: Path) -> None:
    draw(tmp_path, PETS)
    data = load(tmp_path, label=r"(.+)_\d+\.png$", valid=2)
    assert data.facts.classes == ("great_dane", "pug", "sphynx") and data.facts.task == "classification"
    assert (data.facts.train, data.facts.valid) == (4, 2)
    for part in ("train", "valid"):
        greys, targets = whole(data, part)
        assert [PETS[grey // 10 - 1] for grey in greys] == names(data, part)
        assert targets.tolist() == [(grey // 10 - 1) // 2 for grey in greys]
    assert data.facts.counts == tuple(torch.bincount(whole(data, "train")[1], minlength=3).tolist())


def test_a_table_with_a_header(tmp_path: Path) -> None:
    draw(tmp_path / "images", ("a.png", "b.png", "c.png", "d.png"))
    table = write(tmp_path / "t.csv", "breed,file", '"pug, old",a.png', "dane,b.png", "dane,c.png", '"pug, old",d.png')
    data = load(table, path=tmp_path / "images", image="file", label="breed", valid=1)
    assert data.facts.classes == ("dane", "pug, old")
    seen: dict[int, int] = {}
    for part in ("train", "valid"):
        greys, targets = whole(data, part)
        seen |= dict(zip(greys, targets.tolist(), strict=True))
    assert seen == {10: 1, 20: 0, 30: 0, 40: 1}


@pytest.mark.parametrize("name", ["t.parquet", "t.tsv"])
def test_other_forms_of_tables_give_the_same_data(tmp_path: Path, name: str) -> None:
    draw(tmp_path, ("1.png", "2.png", "3.png", "4.png"))
    frame = pl.DataFrame({"image": [1, 2, 3, 4], "kind": ["x", "y", "y", "x"], "blob": [b"\0"] * 4})
    plain = write(tmp_path / "t.csv", "image,kind", "1,x", "2,y", "3,y", "4,x")
    if name.endswith("parquet"):
        frame.write_parquet(tmp_path / name)
    else:
        frame.drop("blob").write_csv(tmp_path / name, separator="\t")
    expected, data = (load(path, suffix=".png", valid=0.25) for path in (plain, tmp_path / name))
    assert replace(data.facts, guesses={}) == replace(expected.facts, guesses={})
    assert names(data, "valid") == names(expected, "valid")


def test_several_labels(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png", "c.png", "d.png"))
    table = write(tmp_path / "t.csv", "image_name,tags", "a,haze primary", "b,", "c,primary", "d, clear  primary ")
    data = load(table, suffix=".png", label="tags", label_separator=" ", valid=1, split_seed=1)
    assert data.facts.task == "multilabel" and data.facts.classes == ("clear", "haze", "primary")
    assert data.facts.outputs == 3
    rows = {}
    for part in ("train", "valid"):
        greys, targets = whole(data, part)
        assert targets.dtype == torch.float32
        rows |= dict(zip(greys, targets.tolist(), strict=True))
    assert rows == {10: [0, 1, 1], 20: [0, 0, 0], 30: [0, 0, 1], 40: [1, 0, 1]}
    assert data.facts.counts == tuple(int(n) for n in whole(data, "train")[1].sum(0))
    assert ("1 training image has no label at all" in data.facts.notes) == (20 in whole(data, "train")[0])


def test_numbers_to_learn(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png", "c.png"))
    table = write(tmp_path / "t.csv", "f,age,height", "a.png,31,1.5", "b.png,-2.5e0,2", "c.png,7,1")
    one = load(table, target="age", valid=1)
    assert one.facts.task == "regression" and one.facts.outputs == 1 and one.facts.classes is None
    greys, targets = whole(one, "train")
    assert targets.dtype == torch.float32
    assert targets.tolist() == [{10: 31.0, 20: -2.5, 30: 7.0}[grey] for grey in greys]
    assert one.facts.range == (min(targets.tolist()), max(targets.tolist()))
    two = load(table, target=(1, "height"), valid=1)
    assert two.facts.outputs == 2 and whole(two, "train")[1].shape == (2, 2)


def test_valid_by_a_column_a_list_a_folder_and_a_table(tmp_path: Path) -> None:
    draw(tmp_path, ("a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png"))
    train = ["a/1.png,x,0,train", "a/2.png,y,,train", "a/3.png,y,false,test"]
    valid = ["b/1.png,x,True,valid", "b/2.png,y,1,val"]
    table = write(tmp_path / "t.csv", "f,kind,flag,part", *train, *valid)
    held = ["b/1.png", "b/2.png"]
    (tmp_path / "valid.txt").write_text("b/2.png\n\nb/1.png")
    for way in (column("flag"), column("part"), tmp_path / "valid.txt", tmp_path / "b"):
        assert names(load(table, valid=way), "valid") == held
    three = load(table, valid=column("part"), test=column("part"))
    assert [names(three, part) for part in ("train", "valid", "test")] == [["a/1.png", "a/2.png"], held, ["a/3.png"]]
    first, second = (write(tmp_path / f"{i}.csv", "f,kind", *rows) for i, rows in enumerate((train[:2], valid)))
    with pytest.raises(ComponentError, match="line 2: more than 2 fields"):
        load(first, valid=second)
    first, second = (
        write(tmp_path / f"{i}.csv", "f,kind,flag,part", *rows) for i, rows in enumerate((train[:2], valid))
    )
    data = load(first, valid=second)
    assert (names(data, "train"), names(data, "valid")) == (["a/1.png", "a/2.png"], held)


def test_a_folder_apart_to_validate_with(tmp_path: Path) -> None:
    draw(tmp_path / "train", PETS)
    draw(tmp_path / "later", ("pug_9.png",))
    data = load(tmp_path / "train", label=r"(.+)_\d+\.png$", valid=tmp_path / "later")
    assert (data.facts.train, data.facts.valid) == (6, 1)
    assert names(data, "valid") == ["../later/pug_9.png"]
    inside = load(tmp_path, label=r"(.+)_\d+\.png$", valid=tmp_path / "later")
    assert (inside.facts.train, names(inside, "valid")) == (6, ["later/pug_9.png"])


def test_all_the_faults_of_a_table_at_once(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png"))
    table = write(tmp_path / "t.csv", "f,kind", "a.png,x", "", 'b.png,"y', '"', "gone.png,x", "b.png,", ",z", "a.png,y")
    said = refusal(table, "table")
    assert said.startswith(f"4 of 6 rows of {table} cannot be used")
    assert said.split("\n")[1:5] == [
        "  line 6: there is no file gone.png",
        "  line 7: b.png stands in line 4 already, no label",
        "  line 8: no file name",
        "  line 9: a.png stands in line 2 already",
    ]
    assert f"looked for in {tmp_path}" in said
    flagged = write(tmp_path / "f.csv", "f,kind,flag", "a.png,,0", "b.png,x,?")
    assert "\n  line 2: no label\n  line 3: `?` says neither" in refusal(flagged, "table", valid=column("flag"))
    ragged = write(tmp_path / "r.csv", "f,kind", "a.png,x", "b.png,y,more")
    assert "line 3: more than 2 fields" in refusal(ragged, "table")


def test_faults_of_numbers(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png", "c.png", "d.png"))
    table = write(tmp_path / "t.csv", "f,age", "a.png,old", "b.png,", "c.png,inf", "d.png,1")
    said = refusal(table, "table", target="age")
    for line in ("line 2: target `old` is not a number", "line 3: no target", "line 4: a target that is not a finite"):
        assert line in said


def test_a_suffix_that_was_forgotten_is_suggested(tmp_path: Path) -> None:
    draw(tmp_path, ("a.jpg", "b.jpg"))
    table = write(tmp_path / "t.csv", "f,kind", "a,x", "b,y")
    assert 'suffix = ".jpg"' in refusal(table, "table")


def test_missing_and_broken_files_may_be_left_out(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png", "c.png"))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no more")
    table = write(tmp_path / "t.csv", "f,kind", "a.png,x", "gone.png,x", "b.png,y", "bad.png,y", "c.png,x")
    data = load(table, valid=1, on_bad=OnBad.skip)
    assert data.facts.train + data.facts.valid == 3
    assert "2 images cannot be read and left out: bad.png, gone.png" in data.facts.notes


def test_faults_of_files_and_columns(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png"))
    table = write(tmp_path / "t.csv", "f,kind", "a.png,x", "b.png,y")
    assert "there is no file" in refusal(tmp_path / "gone.csv", "table", "E401")
    assert "no folder" in refusal(table, "path", "E401", path=tmp_path / "gone")
    assert "no column called `breed`\n(its columns are f, kind)" in refusal(table, "label", label="breed")
    assert "no column 7" in refusal(table, "image", image=7)
    assert "no header" in refusal(table, "label", label="kind", header=False)
    assert "a header and no rows" in refusal(write(tmp_path / "h.csv", "f,kind"), "table")
    assert "is empty" in refusal(write(tmp_path / "e.csv", ""), "table")
    (tmp_path / "l.csv").write_bytes("f,kind\na.png,é\n".encode("latin-1"))
    assert "line 2: not utf-8" in refusal(tmp_path / "l.csv", "table")
    assert "line 2" in refusal(write(tmp_path / "q.csv", "f,kind", '"a.png,x'), "table")
    (tmp_path / "p.parquet").write_bytes(b"no parquet")
    assert "is not a Parquet file" in refusal(tmp_path / "p.parquet", "table")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    assert "a Parquet file that cannot be read" in refusal(tmp_path / "torn.parquet", "table")
    assert "one class only" in refusal(write(tmp_path / "o.csv", "f,kind", "a.png,x", "b.png,x"), "table")
    assert "names hold it" in refusal(tmp_path, "table")
    assert "no class in 2 of the names" in refusal(tmp_path, "label", label=r"(\d+)")
    assert "this one has 2" in refusal(tmp_path, "label", label=r"(.)(.)")


def test_faults_of_what_is_held_out(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png", "c.png"))
    table = write(tmp_path / "t.csv", "f,kind,flag", "a.png,x,0", "b.png,y,maybe", "c.png,x,0")
    assert "line 3: `maybe` says neither" in refusal(table, "table", valid=column("flag"))
    assert "no column called `split`" in refusal(table, "valid", valid=column("split"))
    names_file = write(tmp_path / "v.txt", "a.png", "gone.png")
    assert "`line 2: gone.png`" in refusal(table, "valid", valid=names_file)
    assert "there is no file" in refusal(table, "valid", "E401", valid=tmp_path / "w.txt")
    again = write(tmp_path / "again.csv", "f,kind", "a.png,x")
    assert "line 2: a.png is in t.csv, too" in refusal(table, "valid", valid=again)
    (tmp_path / "empty").mkdir()
    assert "no image of the table" in refusal(table, "valid", valid=tmp_path / "empty")
    other = write(tmp_path / "other.csv", "f,kind", "b.png,new")
    fewer = write(tmp_path / "fewer.csv", "f,kind", "a.png,x", "c.png,y")
    assert "lacks: new" in refusal(fewer, "valid", valid=other)


@pytest.mark.parametrize(
    "more",
    [{"target": "a", "label": "b"}, {"target": ("a", "a")}, {"target": "a", "stratify": True}, {"separator": "ab"}],
)
def test_parameters_that_do_not_go_together(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ImageListParams.model_validate({"table": Path("t.csv"), **more})


SPEC = """
experiment pets
data image_list({arguments}, size = 32, batch_size = 2)
model {{ body squeezenet1_1(weights = none) head linear }}
loss {loss}
stage all {{ fit flat(epochs = 1, lr = 1e-3) }}
"""


@pytest.mark.run
def test_a_spec_learns_numbers_from_a_table(tmp_path: Path) -> None:
    draw(tmp_path, [f"{i}.png" for i in range(6)])
    write(tmp_path / "t.csv", "f,age", *(f"{i}.png,{i * 10}" for i in range(6)))
    text = SPEC.format(arguments='"t.csv", target = "age", valid = "v.txt"', loss="mse")
    write(tmp_path / "v.txt", "5.png")
    run = api.run(resolved(text, folder=tmp_path), runs=tmp_path / "runs")
    (row,) = run.read_epochs()
    assert row.valid_loss is not None
    (prediction,) = api.predict(run.path, [os.fspath(tmp_path / "5.png")])
    assert isinstance(prediction.value, float)
    assert row.valid_loss == pytest.approx((prediction.value - 50) ** 2, rel=1e-4)


def test_a_spec_learns_several_labels(tmp_path: Path) -> None:
    draw(tmp_path, ("a.png", "b.png", "c.png"))
    write(tmp_path / "t.csv", "f,tags", "a.png,x y", "b.png,y", "c.png,x")
    text = SPEC.format(arguments='"t.csv", label_separator = " ", valid = 1', loss="binary_cross_entropy")
    plan = api.plan(resolved(text, folder=tmp_path))
    assert plan.facts.classes == ("x", "y") and plan.facts.outputs == 2
    codes = faults(SPEC.format(arguments='"t.csv", label_separator = " "', loss="cross_entropy"))
    assert [code for code, _ in codes if code.startswith("E")] != []


def test_a_fault_points_at_the_parameter(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "f,tags", "a.png,x", "b.png,y")
    text = SPEC.format(arguments='"t.csv", label = "tag"', loss="cross_entropy")
    with pytest.raises(SpecError) as caught:
        api.plan(resolved(text, folder=tmp_path))
    (error,) = (d for d in caught.value.diagnostics if d.code == "E402")
    assert error.span is not None and error.span.text == '"tag"'
    assert faults(SPEC.format(arguments='"t.csv", lable = "tags"', loss="cross_entropy"))[0][1] == "lable"


def test_the_split_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).permutation(20)
    draw(tmp_path, [f"{i:02d}.png" for i in range(20)])
    one = write(tmp_path / "a.csv", "f,kind", *(f"{i:02d}.png,{i % 2}" for i in range(20)))
    two = write(tmp_path / "b.csv", "f,kind", *(f"{i:02d}.png,{i % 2}" for i in numbers))
    assert names(load(one), "valid") == names(load(two), "valid")
    assert load(one).facts.fingerprint == load(two).facts.fingerprint
