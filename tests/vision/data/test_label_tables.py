"""Tables of images as people have them: with a header or without, with sets of their own, with other spellings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from dotexp import ComponentError, DataContext, Use
from dotexp.components.registry import load_registry
from dotexp.sdk.data import Named
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.list_params import ImageListParams
from dotexp_vision.data.listed import build
from dotexp_vision.data.params import OnBad
from PIL import Image
from spec_runner import runner

NAMES = tuple(f"{i:02d}.png" for i in range(12))


def draw(folder: Path, names: Sequence[str] = NAMES) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (10 * number, 0, 0)).save(folder / name, "PNG")
    return folder


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(label: str = "xy") -> list[str]:
    return [f"{name},{label[i % 2]}" for i, name in enumerate(NAMES)]


def load(table: Path, **more: object) -> ImageData:
    return build(ImageListParams.model_validate({"table": table, "size": 4, **more}), DataContext(1))


def refusal(table: Path, field: str = "table", **more: object) -> tuple[str, str]:
    with pytest.raises(ComponentError) as caught:
        load(table, **more)
    assert caught.value.problem.field == field
    return str(caught.value), caught.value.problem.help


def column(name: str | int) -> Use:
    (component,) = load_registry().find("image_split", "column")
    return Use(component=component, params=component.params(column=name))


def names(data: ImageData, *parts: str) -> list[str]:
    found = [data.part(part) for part in parts]
    return sorted(name for part in found if isinstance(part, Named) for name in part.names)


# The first row


@pytest.mark.parametrize(
    ("first", "second", "more", "reason"),
    [
        ("00.png,x", "01.png,y", {}, "`00.png` in the first row is an image file"),
        ("00,x", "01,y", {"suffix": ".png"}, "`00` in the first row is an image file"),
        ("gone.png,x", "01.png,y", {"on_bad": OnBad.skip}, "`gone.png` in the first row is an image's name"),
        ("gone.JPG,x", "01.png,y", {"on_bad": OnBad.skip}, "is an image's name"),
        (
            "99,1.5",
            "01,2.5",
            {"suffix": ".png", "target": 1, "on_bad": OnBad.skip},
            "`1.5` in the first row is a number",
        ),
        ("gone,x", "01.png,y", {"on_bad": OnBad.skip}, "`x` in the first row is a class that other rows have"),
        ("gone,3.5", "01.png,4", {"target": 1, "on_bad": OnBad.skip}, "`3.5` in the first row is a number to learn"),
        ("0a77,zebra", "0b12,y", {"on_bad": OnBad.skip}, "is written as the names of the other rows"),
    ],
)
def test_a_first_row_of_data_is_data(
    tmp_path: Path, first: str, second: str, more: dict[str, object], reason: str
) -> None:
    draw(tmp_path)
    rest = [line if "target" not in more else line.replace("x", "1").replace("y", "2") for line in rows()[2:]]
    if "suffix" in more:
        rest = [line.replace(".png", "") for line in rest]
    if reason.startswith("is written"):
        (tmp_path / "0b12").write_bytes((tmp_path / "01.png").read_bytes())
        rest = [line.replace(f"{i:02d}.png", f"0c{i:02d}") for i, line in enumerate(rest, 2)]
        draw(tmp_path, [line.partition(",")[0] for line in rest])
    data = load(write(tmp_path / "t.csv", first, second, *rest), valid=2, **more)
    assert data.facts.train + data.facts.valid == 12 - (more.get("on_bad") is OnBad.skip)
    assert data.facts.guesses["header"].startswith("false (") and reason in data.facts.guesses["header"]


@pytest.mark.parametrize(
    ("header", "more"),
    [
        ("file,kind", {}),
        ("image_id,class", {"suffix": ".png"}),
        ("name,age", {"target": 1}),
        ("f1,x1", {}),
    ],
)
def test_a_first_row_of_names_is_a_header(tmp_path: Path, header: str, more: dict[str, object]) -> None:
    draw(tmp_path)
    lines = rows("12" if "target" in more else "xy")
    lines = [line.replace(".png", "") for line in lines] if "suffix" in more else lines
    data = load(write(tmp_path / "t.csv", header, *lines), valid=2, **more)
    assert data.facts.train + data.facts.valid == 12
    one, other = header.split(",")
    assert data.facts.guesses["header"] == f"true (the first row names the columns: `{one}`, `{other}`)"
    assert data.facts.guesses["image"] == f'"{one}" (column 0)'
    assert ("label" in data.facts.guesses) == ("target" not in more)


def test_what_the_spec_says_of_the_header_is_no_guess(tmp_path: Path) -> None:
    draw(tmp_path)
    table = write(tmp_path / "t.csv", *rows())
    assert load(table, header=False).facts.guesses == {}
    assert load(table, header=True).facts.train + load(table, header=True).facts.valid == 11
    named = write(tmp_path / "n.csv", "file,kind", *rows())
    assert load(named, image="file", label="kind").facts.guesses == {}
    assert "there is no file file" in refusal(named, header=False)[0]


def test_a_held_out_table_decides_for_itself(tmp_path: Path) -> None:
    draw(tmp_path)
    first = write(tmp_path / "a.csv", "file,kind", *rows()[:8])
    data = load(first, valid=write(tmp_path / "b.csv", *rows()[8:]))
    assert (data.facts.train, data.facts.valid) == (8, 4)
    assert data.facts.guesses["header of b.csv"].startswith("false")


def test_plan_shows_what_was_guessed(tmp_path: Path) -> None:
    draw(tmp_path)
    write(tmp_path / "t.csv", *rows())
    (tmp_path / "a.exp").write_text(
        'experiment a\ndata image_list("t.csv", size = 32, batch_size = 2)\n'
        "model { body squeezenet1_1(weights = none) head linear }\nloss cross_entropy\n"
        "stage train { fit flat(epochs = 1, lr = 1e-3) }\n"
    )
    done = runner("plan", "a.exp", folder=tmp_path)
    assert "guessed: header = false (`00.png` in the first row is an image file)" in done.stdout, done.stderr
    guesses = json.loads(runner("plan", "--json", "a.exp", folder=tmp_path).stdout)["data"]["guesses"]
    assert list(guesses) == ["header"]


def test_labels_of_another_column_are_asked_about(tmp_path: Path) -> None:
    draw(tmp_path)
    lines = [f"{name},{i % 3},{'xy'[i % 2]}" for i, name in enumerate(NAMES)]
    data = load(write(tmp_path / "t.csv", "file,width,class", *lines))
    assert data.facts.guesses["label"] == '"width" (column 1)'
    assert data.facts.notes == (
        'the labels are taken from column 1, `width`, and another column is called `class`: label = "class" takes that',
    )
    assert load(tmp_path / "t.csv", label="class").facts.notes == ()


# Sets that nobody asks for


def marked(tmp_path: Path, words: Sequence[str] = ("train", "val", "test"), header: str = "f,kind,split") -> Path:
    draw(tmp_path)
    lines = [f"{line},{words[i % len(words)]}" for i, line in enumerate(rows())]
    return write(tmp_path / "t.csv", header, *lines)


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("Training", "Validation", "TESTING"), ("train", "dev", "tst")]
)
def test_rows_of_a_set_that_nobody_asks_for_are_left_out(tmp_path: Path, words: tuple[str, str, str]) -> None:
    table = marked(tmp_path, words)
    only_valid = load(table, valid=column("split"))
    assert (only_valid.facts.train, only_valid.facts.valid, only_valid.facts.test) == (4, 4, 0)
    assert only_valid.facts.notes == (
        "4 rows are marked as of the test set by the column `split` and left out: "
        'test = column("split") would use them',
    )
    only_test = load(table, valid=0.5, test=column(2))
    assert (only_test.facts.train, only_test.facts.valid, only_test.facts.test) == (2, 2, 4)
    assert "marked as of the validation set" in only_test.facts.notes[0]
    assert names(only_test, "train", "valid") == sorted(NAMES[::3])
    both = load(table, valid=column("split"), test=column("split"))
    assert (both.facts.train, both.facts.valid, both.facts.test, both.facts.notes) == (4, 4, 4, ())


def test_a_set_marked_by_one_column_and_held_out_by_another(tmp_path: Path) -> None:
    draw(tmp_path)
    lines = [f"{line},{('train', 'val', 'test')[i % 3]},{int(i < 6)}" for i, line in enumerate(rows())]
    table = write(tmp_path / "t.csv", "f,kind,split,early", *lines)
    data = load(table, valid=column("split"), test=column("early"))
    assert (data.facts.train, data.facts.valid, data.facts.test) == (2, 2, 6)
    assert not set(names(data, "valid")) & set(names(data, "test"))
    assert "2 rows are marked as of the test set" in data.facts.notes[0]


def test_a_column_of_sets_that_the_spec_does_not_use_is_told(tmp_path: Path) -> None:
    (note,) = load(marked(tmp_path)).facts.notes
    assert note == (
        "the column `split` marks 4 rows as valid and 4 rows as test, and the spec does not use it: "
        'valid = column("split"), test = column("split")'
    )
    assert load(marked(tmp_path, ("a", "b", "c"))).facts.notes == ()
    assert load(marked(tmp_path, header="f,kind,note")).facts.notes == ()


@pytest.mark.parametrize(
    ("header", "role"), [("is_test", "test"), ("isValid", "valid"), ("test", "test"), ("in_validation", "valid")]
)
def test_a_column_of_yes_and_no_that_the_spec_does_not_use_is_told(tmp_path: Path, header: str, role: str) -> None:
    table = marked(tmp_path, ("0", "no", "1"), f"f,kind,{header}")
    (note,) = load(table).facts.notes
    assert note == (
        f'the column `{header}` marks 4 rows as {role}, and the spec does not use it: {role} = column("{header}")'
    )
    assert load(table, **{role: column(header)}).facts.notes == ()


@pytest.mark.parametrize("header", ["is_train", "Training", "in_train_set"])
def test_a_column_that_marks_the_training_set_holds_nothing_out(tmp_path: Path, header: str) -> None:
    table = marked(tmp_path, ("1", "1", "0"), f"f,kind,{header}")
    message, help = refusal(table, field="valid", valid=column(header))
    assert message == f"the column `{header}` marks the training set, and `valid` takes the rows that are marked"
    assert help == "give a column that marks the rows to hold out"


def test_a_set_in_a_folder_of_images_is_asked_about(tmp_path: Path) -> None:
    draw(tmp_path, [f"{part}/{label}_{i}.png" for part in ("Training", "Testing") for label in "xy" for i in range(3)])
    label = r"([xy])_\d"
    message, help = refusal(tmp_path, label=label)
    assert "`Testing` looks like a test set, and its images would be trained" in message
    assert f'test = "{tmp_path / "Testing"}" holds it out' in help
    held = load(tmp_path, label=label, test=tmp_path / "Testing")
    assert (held.facts.train + held.facts.valid, held.facts.test) == (6, 6)
    assert load(tmp_path / "Training", label=label).facts.train == 5


# Names written otherwise


def test_a_file_is_found_in_either_unicode_form(tmp_path: Path) -> None:
    draw(tmp_path / "cafe\u0301", ["\u00e9.png", "u\u0308.png", "b.png"])
    table = write(tmp_path / "t.csv", "caf\u00e9/e\u0301.png,x", "caf\u00e9/\u00fc.png,y", "caf\u00e9/b.png,x")
    data = load(table, valid=write(tmp_path / "v.txt", "caf\u00e9/b.png"))
    assert names(data, "train") == ["cafe\u0301/u\u0308.png", "cafe\u0301/\u00e9.png"]
    assert names(data, "valid") == ["cafe\u0301/b.png"]
    twice = write(tmp_path / "w.csv", "caf\u00e9/e\u0301.png,x", "cafe\u0301/\u00e9.png,y")
    assert "stands in line 1 already" in refusal(twice)[0]


def test_labels_equal_in_unicode_normal_form_are_one(tmp_path: Path) -> None:
    draw(tmp_path)
    kinds = ("caf\u00e9", "cafe\u0301", "bar")
    lines = [f"{name},{kinds[i % 3]}" for i, name in enumerate(NAMES)]
    assert load(write(tmp_path / "t.csv", *lines)).facts.classes == ("bar", "caf\u00e9")
    several = load(write(tmp_path / "s.csv", *(line + " bar" for line in lines)), label_separator=" ")
    assert several.facts.classes == ("bar", "caf\u00e9")
    alike = load(write(tmp_path / "u.csv", *(line.replace("bar", "CAF\u00c9") for line in lines)))
    assert "differ in capitals alone" in alike.facts.notes[0]


def test_names_of_another_system_are_found(tmp_path: Path) -> None:
    draw(tmp_path, ["a/1.png", "a/2.png", "a/3.png"])
    assert load(write(tmp_path / "t.csv", "a\\1.png,x", "a\\2.png,y", "a\\3.png,x"), valid=1).facts.train == 2


@pytest.mark.parametrize(
    ("files", "listed", "said"),
    [
        (("1.jpg", "2.jpg"), ("1", "2"), 'the files end in .jpg: suffix = ".jpg"'),
        (("1.JPG", "2.JPG"), ("1", "2"), 'suffix = ".JPG"'),
        (("1.jpg", "2.png"), ("1", "2"), "the files end in .jpg (1 of 2), .png (1 of 2): the table's names need"),
        (("images/1.jpg", "images/2.jpg"), ("1", "2"), 'images", suffix = ".jpg"'),
        (("images/1.jpg", "images/2.jpg"), ("1.jpg", "2.jpg"), "files of these names are in another folder: path = "),
        (("A.jpg", "B.jpg"), ("a.jpg", "b.jpg"), "a.jpg differs in capitals from the file A.jpg"),
        (("x.jpg",), ("1.jpg", "2.jpg"), "files were looked for in "),
        (("1.2.jpg", "2.2.jpg"), ("1.2", "2.2"), 'suffix = ".jpg"'),
    ],
)  # fmt: skip
def test_what_would_find_missing_files_is_said(
    tmp_path: Path, files: tuple[str, ...], listed: tuple[str, ...], said: str
) -> None:
    draw(tmp_path, files)
    assert said in refusal(write(tmp_path / "t.csv", "f,kind", f"{listed[0]},x", f"{listed[1]},y"))[1]


def test_a_folder_that_the_names_repeat_is_said(tmp_path: Path) -> None:
    draw(tmp_path / "images", ("1.png", "2.png"))
    table = write(tmp_path / "t.csv", "images/1.png,x", "images/2.png,y")
    assert f'path = "{tmp_path}"' in refusal(table, path=tmp_path / "images")[1]


def test_the_column_of_files_is_said(tmp_path: Path) -> None:
    draw(tmp_path)
    lines = [f"{i},{'xy'[i % 2]},{name}" for i, name in enumerate(NAMES)]
    assert refusal(write(tmp_path / "t.csv", ",label,file", *lines))[1] == (
        'the column `file` holds names of files: image = "file"'
    )


def test_a_list_of_names_without_suffix_is_told_of_it(tmp_path: Path) -> None:
    draw(tmp_path)
    table, listed = write(tmp_path / "t.csv", *rows()), write(tmp_path / "v.txt", "00", "01")
    assert refusal(table, "valid", valid=listed)[1] == "its names lack the suffix of the table's: .png"


def test_images_beside_the_listed_ones_are_counted(tmp_path: Path) -> None:
    draw(tmp_path / "images", (*NAMES, "x.png", "y.png"))
    table = write(tmp_path / "t.csv", *rows())
    (note,) = load(table, path=tmp_path / "images").facts.notes
    assert note == "2 image files are beside those of the table, and left out"


def test_parquet_names_its_columns(tmp_path: Path) -> None:
    draw(tmp_path)
    pl.DataFrame({"file": NAMES, "kind": ["x", "y"] * 6}).write_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").facts.guesses == {"image": '"file" (column 0)', "label": '"kind" (column 1)'}


# Columns of sets, as tables in the wild have them


@pytest.mark.parametrize(
    ("cells", "held_out"),
    [(("1.0", "0.0"), 6), (("y", "n"), 6), (("T", "F"), 6), (("Val ", "TRAIN"), 6), (("PublicTest", "Training"), 0)],
)
def test_words_of_a_column_of_sets(tmp_path: Path, cells: tuple[str, str], held_out: int) -> None:
    draw(tmp_path)
    lines = [f"{name},{'xxyy'[i % 4]},{cells[i % 2]}" for i, name in enumerate(NAMES)]
    table = write(tmp_path / "l.csv", "image,label,split", *lines)
    if held_out:
        assert load(table, valid=column("split")).facts.valid == held_out
    else:
        message, help = refusal(table, "valid", valid=column("split"))
        assert message == "the validation set takes no image"
        assert help == "the column marks 6 rows as test and 6 rows as train"
        assert load(table, test=column("split"), valid=2).facts.test == 6


def test_rows_of_no_set_beside_rows_of_the_training_set_are_left_out(tmp_path: Path) -> None:
    draw(tmp_path)
    lines = [f"{name},{'xy'[i % 2]},{('train', '', 'val')[i % 3]}" for i, name in enumerate(NAMES)]
    data = load(write(tmp_path / "l.csv", "image,label,split", *lines), valid=column("split"))
    assert (data.facts.train, data.facts.valid) == (4, 4)
    assert "4 rows are marked for no set by the column `split` and left out" in data.facts.notes


@pytest.mark.parametrize(
    ("name", "cells", "said"),
    [
        ("mode", ("train", "test"), 'marks 6 rows as test, and the spec does not use it: test = column("mode")'),
        ("split", ("train", "test", "unlabeled"), "marks 4 rows as test"),
        ("Usage", ("Training", "PublicTest", "PrivateTest"), "marks 8 rows as test"),
        ("is_train", ("1", "0"), "marks 6 rows as held out, and the spec does not use it: valid = column(…)"),
    ],
)
def test_a_column_of_sets_that_the_spec_does_not_use(
    tmp_path: Path, name: str, cells: tuple[str, ...], said: str
) -> None:
    draw(tmp_path)
    lines = [f"{image},{'xxyy'[i % 4]},{cells[i % len(cells)]}" for i, image in enumerate(NAMES)]
    notes = load(write(tmp_path / "l.csv", f"image,label,{name}", *lines)).facts.notes
    assert any(f"the column `{name}` {said}" in note for note in notes), notes


def test_columns_in_another_order_are_told_where_labels_come_again(tmp_path: Path) -> None:
    draw(tmp_path)
    lines = [f"{'xy'[i % 2]},{name}" for i, name in enumerate(NAMES)]
    _, help = refusal(write(tmp_path / "l.csv", "label,image", *lines))
    assert help == 'the column `image` holds names of files: image = "image"'


def test_a_row_that_ends_early_is_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    lines = [f"{name},{'xy'[i % 2]},1,0" for i, name in enumerate(NAMES)]
    table = write(tmp_path / "l.csv", "image,label,a,b", *lines[:-1], "11.png,y")
    assert "line 13: fewer than 4 fields" in refusal(table)[0]


def test_a_class_in_two_unicode_forms_is_one_and_told(tmp_path: Path) -> None:
    draw(tmp_path)
    labels = ("caf\u00e9", "cafe\u0301", "bar")
    lines = [f"{name},{labels[i % 3]}" for i, name in enumerate(NAMES)]
    facts = load(write(tmp_path / "l.csv", "image,label", *lines)).facts
    assert facts.classes == ("bar", "caf\u00e9")
    assert facts.notes[0] == "the class `caf\u00e9` is written in two Unicode forms, which are taken for one class"
