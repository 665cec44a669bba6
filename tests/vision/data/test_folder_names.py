"""Folders whose names say more than a class, and what lies beside the images: told, refused, or counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dotexp import ComponentError, DataContext
from dotexp.sdk.data import Named
from dotexp.sdk.set_names import role_of
from dotexp_vision.data.dataset import ImageData
from dotexp_vision.data.folder import build
from dotexp_vision.data.params import ImageFolderParams
from PIL import Image
from spec_runner import runner

PATTERN = r"^([a-z]+)_\d+\.png$"


def images(folder: Path, *places: str, count: int = 3) -> Path:
    """Images in folders below: `place/0.png`, `place/1.png`, …"""
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (6, 6), (20 * i, 9, len(place))).save(folder / place / f"{i}.png")
    return folder


def named_images(folder: Path, *places: str) -> Path:
    """Images whose names hold the class: `place/cat_0.png`, `place/dog_0.png`, …"""
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for i in range(6):
            Image.new("RGB", (6, 6), (20 * i, 9, 9)).save(folder / place / f"{('cat', 'dog')[i % 2]}_{i}.png")
    return folder


def load(folder: Path, **more: object) -> ImageData:
    return build(ImageFolderParams.model_validate({"path": folder, "size": 8, "valid": 2, **more}), DataContext(1))


def refusal(folder: Path, field: str = "path", **more: object) -> tuple[str, str]:
    with pytest.raises(ComponentError) as caught:
        load(folder, **more)
    assert (caught.value.problem.code, caught.value.problem.field) == ("E402", field)
    return str(caught.value), caught.value.problem.help


def trained(data: ImageData) -> set[str]:
    """Folders of all the images of the training and validation set."""
    parts = (data.part(name) for name in ("train", "valid"))
    return {str(Path(name).parent) for part in parts if isinstance(part, Named) for name in part.names}


# Which names stand for a set of the data


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(
            (name, "train")
            for name in ("train", "Training", "TRAIN", "train_set", "trainset", "TrainImages", "seg_train")
        ),
        *((name, "valid") for name in ("val", "Valid", "validation", "val2017", "dev", "hold-out", "held_out", "eval")),
        *(
            (name, "test")
            for name in ("test", "Testing", "test-images", "TestSet", "test1", "testset", "the test data")
        ),
        *(
            (name, None)
            for name in ("cat", "train_cats", "testament", "contest", "trainer", "images", "value", "device")
        ),
    ],
)
def test_names_of_sets(name: str, role: str | None) -> None:
    assert role_of(name) == role


# Sets among the classes


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("Training", "Testing"), "`Testing` and `Training` look like test set and training set"),
        (("TRAIN", "val"), "`TRAIN` and `val` look like training set and validation set"),
        (("train_images", "test_images"), "`test_images` and `train_images`"),
        (("seg_train", "seg_test"), "`seg_test` and `seg_train`"),
        (("dev", "eval"), "`dev` and `eval` look like validation set"),
    ],
)
def test_sets_of_the_data_are_no_classes(tmp_path: Path, sets: tuple[str, str], said: str) -> None:
    images(tmp_path, *(f"{part}/{label}" for part in sets for label in ("cat", "dog")))
    message, help = refusal(tmp_path)
    assert said in message and "would be classes" in message
    assert "classes = [" in help


def test_the_spelling_that_is_wanted_is_said_and_works(tmp_path: Path) -> None:
    images(tmp_path, "Training/cat", "Training/dog", "Testing/cat", "Testing/dog")
    _, help = refusal(tmp_path)
    assert 'test = "Testing" uses `Testing` as the test set; call the folder of the training set `train`' in help
    message, help = refusal(tmp_path, test="Testing")
    assert "`Training` looks like a training set" in message and "call the folder of the training set `train`" in help
    (tmp_path / "Training").rename(tmp_path / "train")
    data = load(tmp_path, test="Testing")
    assert data.facts.classes == ("cat", "dog") and trained(data) == {"train/cat", "train/dog"}
    assert (data.facts.train, data.facts.valid, data.facts.test) == (4, 2, 6)
    assert data.facts.guesses["training set"] == '"train" (the folder of that name)'


@pytest.mark.parametrize("inner", ["test", "test/cat"])
def test_a_test_folder_beside_the_classes_is_asked_about(tmp_path: Path, inner: str) -> None:
    images(tmp_path, "cat", "dog", inner)
    message, help = refusal(tmp_path)
    assert "`test` looks like a test set, and would be a class" in message
    assert help == (
        'test = "test" uses `test` as the test set; classes = ["cat", "dog"] says which folders are classes'
    )
    data = load(tmp_path, classes=("cat", "dog"))
    assert trained(data) == {"cat", "dog"}
    assert data.facts.notes == ("the folder `test` is none of the classes (3 images)",)
    if inner == "test":
        assert load(tmp_path, classes=("cat", "dog", "test")).facts.classes == ("cat", "dog", "test")
    else:
        assert load(tmp_path, test="test").facts.test == 3


def test_a_class_may_be_called_train_or_dev(tmp_path: Path) -> None:
    assert load(images(tmp_path / "a", "train", "bus", "car")).facts.classes == ("bus", "car", "train")
    assert load(images(tmp_path / "b", "dev", "ops")).facts.classes == ("dev", "ops")
    message, _ = refusal(images(tmp_path / "c", "train", "test"))
    assert "`test` and `train`" in message


def test_a_set_that_nobody_asks_for_is_counted(tmp_path: Path) -> None:
    images(tmp_path, "train/cat", "train/dog", "val/cat", "Eval/dog", "extra", "empty", count=3)
    for path in (tmp_path / "empty").iterdir():
        path.unlink()
    assert load(tmp_path).facts.notes == (
        'the folder `Eval` beside `train` is not used (3 images): valid = "Eval" or test = "Eval" would use it',
        "the folder `extra` beside `train` is not used (3 images)",
        'the folder `val` beside `train` is not used (3 images): valid = "val" or test = "val" would use it',
    )


def test_sets_within_the_classes_are_refused(tmp_path: Path) -> None:
    images(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test")
    message, help = refusal(tmp_path)
    assert message == "the class `cat` holds `test` and `train`, which look like sets of the data"
    assert help == "the sets stand outside: test/cat"
    message, _ = refusal(images(tmp_path / "other", "cat", "cat/Test", "dog"))
    assert "`Test`, which looks like a set" in message
    message, _ = refusal(images(tmp_path / "below", "cat/2020/test", "cat/2020/train", "dog"))
    assert "the class `cat` holds `test` and `train`" in message
    assert load(images(tmp_path / "deep", "cat/train", "dog/train")).facts.train == 4


@pytest.mark.parametrize("sets", [("2019", "2020"), ("fold1", "fold2"), ("seen", "unseen"), ("prueba", "todo")])
def test_a_level_of_folders_above_the_classes_is_refused(tmp_path: Path, sets: tuple[str, str]) -> None:
    images(tmp_path, *(f"{part}/{label}" for part in sets for label in ("cat", "dog")))
    message, help = refusal(tmp_path)
    assert f"the folders `{sets[0]}`, `{sets[1]}` hold no images themselves, and folders of the same names" in message
    assert f'classes = ["{sets[0]}", "{sets[1]}"] takes them for classes' in help
    assert load(tmp_path, classes=sets).facts.classes == sets
    images(tmp_path, sets[0])  # with images of their own, they are classes
    assert load(tmp_path).facts.classes == sets


def test_many_classes_may_hold_folders_of_the_same_names(tmp_path: Path) -> None:
    images(tmp_path, *(f"{name}/{part}" for name in "abcdefghijkl" for part in ("left", "right")), count=1)
    data = load(tmp_path)
    assert data.facts.classes == tuple("abcdefghijkl")
    note = data.facts.notes[0]
    assert "folders of the same names: `left`, `right`; the classes are the 12 folders, not those in them" in note
    message, _ = refusal(images(tmp_path / "folds", *(f"part_{n}/{c}" for n in range(12) for c in "ab"), count=1))
    assert "`part_0`, `part_1`, `part_10`, …" in message


@pytest.mark.parametrize("above", ["images", "a data set"])
def test_one_folder_too_many_above_the_sets_or_classes(tmp_path: Path, above: str) -> None:
    images(tmp_path / "a", *(f"{above}/{part}/{label}" for part in ("train", "val") for label in ("cat", "dog")))
    message, help = refusal(tmp_path / "a")
    assert f"{above} holds `train` and `val`, which look like sets of the data, and is no class" in message
    assert help == f'give its path: "{tmp_path / "a" / above}"'
    assert trained(load(tmp_path / "a" / above)) == {"train/cat", "train/dog"}
    message, help = refusal(images(tmp_path / "b", f"{above}/cat", f"{above}/dog"))
    assert f"holds one folder, `{above}`, whose folders may be the classes" in message
    assert help == f'give its path: "{tmp_path / "b" / above}"'


@pytest.mark.parametrize("form", ["{set}_{label}", "{label}-{set}", "{label} {set}"])
def test_a_set_and_a_class_in_one_name(tmp_path: Path, form: str) -> None:
    names = [form.format(set=part, label=label) for part in ("train", "test") for label in ("cat", "dog")]
    message, help = refusal(images(tmp_path, *names))
    assert "look like one class in the test set and training set, and would be different classes" in message
    assert "train/CLASS" in help
    assert len(load(tmp_path, classes=tuple(names)).facts.classes or ()) == 4
    images(tmp_path / "one", "train_station", "test_tube")
    assert load(tmp_path / "one").facts.classes == ("test_tube", "train_station")


def test_the_training_set_is_not_held_out(tmp_path: Path) -> None:
    images(tmp_path, "train/cat", "train/dog", "val/cat", "val/dog")
    message, _ = refusal(tmp_path, "valid", valid="train")
    assert message == f"{tmp_path / 'train'} is the training set, and cannot be the validation set, too"
    message, _ = refusal(tmp_path, "test", test="train")
    assert "cannot be the test set, too" in message


def test_images_without_a_class_are_no_silent_class(tmp_path: Path) -> None:
    assert load(images(tmp_path, "cat", "dog", "unlabeled")).facts.notes == (
        "the folder `unlabeled` is taken for a class",
    )
    assert not load(tmp_path, classes=("cat", "dog", "unlabeled")).facts.notes


@pytest.mark.parametrize("inner", ["images/val", "a/b/test2017"])
def test_sets_deeper_down_are_not_trained_by_a_pattern(tmp_path: Path, inner: str) -> None:
    images_and_set = named_images(tmp_path, str(Path(inner).parent / "train"), inner)
    message, help = refusal(images_and_set, label=PATTERN)
    assert f"`{inner}` looks like a" in message and "its images would be trained" in message
    above = str((tmp_path / inner).parent)
    assert f'"{above}" as the path' in help
    assert trained(load(Path(above), label=PATTERN)) == {"train"}


def test_with_a_pattern_the_folder_train_is_the_training_set(tmp_path: Path) -> None:
    named_images(tmp_path, "train", "test")
    data = load(tmp_path, label=PATTERN)
    assert trained(data) == {"train"}
    assert 'test = "test" would use it' in data.facts.notes[0]
    assert load(tmp_path, label=PATTERN, test="test").facts.test == 6
    message, help = refusal(named_images(tmp_path / "b", "Training", "Testing"), label=PATTERN)
    assert "`Testing` and `Training`" in message and "classes =" not in help
    assert trained(load(named_images(tmp_path / "c", "one", "two"), label=PATTERN)) == {"one", "two"}


def test_classes_say_which_are_taken(tmp_path: Path) -> None:
    images(tmp_path, "train/cat", "train/dog", "train/cow")
    data = load(tmp_path, classes=("dog", "cat"))
    assert data.facts.classes == ("cat", "dog") and trained(data) == {"train/cat", "train/dog"}
    assert data.facts.notes == ("the folder `cow` is none of the classes (3 images)",)
    message, help = refusal(tmp_path, "classes", classes=("dog", "pig"))
    assert "has no folder `pig`" in message and help == "folders there: cat, cow, dog"
    by_name = load(named_images(tmp_path / "flat", "."), label=r"^(\w+)_\d", classes=("cat", "dog"))
    assert by_name.facts.classes == ("cat", "dog")


# Names of classes


def test_unicode_forms_of_a_name_are_one_class(tmp_path: Path) -> None:
    images(tmp_path, "caf\u00e9", "cafe\u0301", "bar")
    data = load(tmp_path)
    assert data.facts.classes == ("bar", "caf\u00e9") and data.facts.train == 7
    (note,) = data.facts.notes
    assert "are called `caf\u00e9`, in two Unicode forms: they are one class" in note


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("Cat", "cat", "differ in capitals alone"),
        ("cat", "cat\u200b", "U+200B ZERO WIDTH SPACE"),
        ("cat", "c\u0430t", "U+0430 CYRILLIC SMALL LETTER A"),
        ("cat", "cat ", "differ in white space alone"),
    ],
)
def test_classes_that_look_alike_are_told(tmp_path: Path, one: str, other: str, said: str) -> None:
    data = load(images(tmp_path, one, other))
    assert data.facts.classes is not None and len(data.facts.classes) == 2
    assert any(said in note for note in data.facts.notes)


def test_forms_of_a_files_name_are_noted(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog")
    for name in ("\u00e9.png", "e\u0301.png"):
        Image.new("RGB", (6, 6)).save(tmp_path / "cat" / name)
    assert "several files have one name in different Unicode forms" in load(tmp_path).facts.notes[0]


def test_a_class_of_undecodable_bytes_is_refused_before_the_run(tmp_path: Path) -> None:
    images(tmp_path / "photos", "cat", "dog")
    os.rename(os.fsencode(tmp_path / "photos" / "dog"), os.fsencode(tmp_path / "photos") + b"/caf\xe9")
    message, help = refusal(tmp_path / "photos")
    assert "`caf\\xe9`" in message and "is not UTF-8 text" in message and help == "rename the folder"
    (tmp_path / "a.exp").write_text(
        'experiment a\ndata image_folder("photos", size = 32, batch_size = 2)\n'
        "model { body squeezenet1_1(weights = none) head linear }\nloss cross_entropy\n"
        "stage train { fit flat(epochs = 1, lr = 1e-3) }\n"
    )
    done = runner("run", "a.exp", folder=tmp_path)
    assert done.returncode == 2 and "caf\\xe9" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("source", ["image_folder", "image_list"])
def test_a_class_of_undecodable_bytes_in_a_files_name_is_refused_before_the_run(tmp_path: Path, source: str) -> None:
    images(tmp_path / "photos", "cat", "dog", count=6)
    for label in ("cat", "dog"):
        for number in range(6):
            name = b"caf\xe9" if (label, number) == ("cat", 0) else label.encode()
            os.rename(
                os.fsencode(tmp_path / f"photos/{label}/{number}.png"),
                os.fsencode(tmp_path) + b"/photos/" + name + b"_%d.png" % number,
            )
        (tmp_path / "photos" / label).rmdir()
    (tmp_path / "a.exp").write_text(
        f'experiment a\ndata {source}("photos", label = r"(.+)_\\d+\\.png$", valid = 4, size = 32, batch_size = 2)\n'
        "model { body squeezenet1_1(weights = none) head linear }\nloss cross_entropy\n"
        "stage train { fit flat(epochs = 1, lr = 1e-3) }\n"
    )
    for command in ("plan", "run"):
        done = runner(command, "a.exp", folder=tmp_path)
        assert done.returncode == 2 and "in 1 name it is not UTF-8 text: `caf\\xe9_0.png`" in done.stderr, done.stderr
        assert "a.exp:2:" in done.stderr and not (tmp_path / "runs").exists()


@pytest.mark.run
def test_files_of_undecodable_names_are_trained_and_reported(tmp_path: Path) -> None:
    images(tmp_path / "photos", "cat", "dog", count=6)
    os.rename(os.fsencode(tmp_path / "photos/cat/0.png"), os.fsencode(tmp_path) + b"/photos/cat/caf\xe9.png")
    (tmp_path / "a.exp").write_text(
        'experiment a\ndata image_folder("photos", valid = 4, size = 32, batch_size = 2)\n'
        "model { body squeezenet1_1(weights = none) head linear }\nloss cross_entropy\n"
        "stage train { fit flat(epochs = 1, lr = 1e-3) }\nreport top_losses(4)\nruntime(threads = 1)\n"
    )
    done = runner("run", "a.exp", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    done = runner("predict", "a", "photos", "--json", folder=tmp_path)
    assert done.returncode == 0 and "caf" in done.stdout, done.stderr


# What lies beside


def test_every_suffix_that_the_decoder_reads_is_read(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog", count=1)
    photo = Image.new("RGB", (6, 6), (200, 100, 50))
    for suffix, form in ((".jpe", "JPEG"), (".JPG", "JPEG"), (".avif", "AVIF"), (".dib", "BMP"), (".pnm", "PPM"),
                         (".apng", "PNG"), (".webp", "WEBP"), (".Tif", "TIFF")):  # fmt: skip
        photo.save(tmp_path / "cat" / f"x{suffix}", form)
    data = load(tmp_path)
    assert data.facts.train + data.facts.valid == 10 and data.facts.notes == ()


def test_images_without_a_suffix_of_theirs_are_read_by_content(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog", count=1)
    photo = Image.new("RGB", (6, 6), (200, 100, 50))
    for name, form in (("4711", "JPEG"), ("holiday.2021", "PNG"), ("x.jpg_large", "JPEG")):
        photo.save(tmp_path / "cat" / name, form)
    (tmp_path / "cat" / "README").write_text("no image")
    data = load(tmp_path)
    assert data.facts.train + data.facts.valid == 5
    assert data.facts.notes == (
        "left out by suffix: 1 no suffix",
        "read, since their first bytes are an image's: 1 .2021, 1 .jpg_large, 1 no suffix",
    )


def test_the_rest_is_counted_by_suffix_in_one_note(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog")
    for name in ("cat/a.heic", "dog/b.HEIC", "dog/c.mp4", "cat/Thumbs.db", "labels.csv", "dog/d.jp2"):
        (tmp_path / name).write_bytes(b"\0\0\0 ftypheic")
    Image.new("L", (6, 6)).save(tmp_path / "dog" / "e.gif")
    assert load(tmp_path).facts.notes == ("left out by suffix: 2 .heic, 1 .csv, 1 .db, 1 .gif, 1 .jp2, 1 more kind",)


def test_a_class_of_nothing_readable_says_what_it_holds(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog")
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow" / "a.heic").write_bytes(b"\0\0\0 ftypheic")
    message, help = refusal(tmp_path)
    assert "`cow` has no images" in message and "left out by suffix: 1 .heic" in help


def test_loose_images_and_hidden_ones_are_counted(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog", ".cache/cat", "cat/.thumbs")
    for name in ("loose.png", "other.png", "cat/.hidden.png"):
        Image.new("RGB", (6, 6)).save(tmp_path / name)
    data = load(tmp_path)
    assert data.facts.train + data.facts.valid == 6
    assert data.facts.notes == (
        "left out: 2 images outside the folders of the classes: `loose.png`, `other.png`",
        "left out: 7 images in hidden files and folders: 3 .cache/, 3 .thumbs/, 1 other",
    )


def test_folders_that_systems_leave_behind_are_no_classes(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog", "__MACOSX/cat", "lost+found", "cat/@eaDir", "#recycle", "$RECYCLE.BIN", "@Recycle")
    data = load(tmp_path)
    assert data.facts.classes == ("cat", "dog") and trained(data) == {"cat", "dog"}
    assert data.facts.notes[0].startswith("left out: 18 images in folders of the system: 3 #recycle/, 3 $RECYCLE.BIN/")


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    images(tmp_path / "store", "more")
    images(tmp_path / "photos", "cat", "dog")
    (tmp_path / "photos" / "cat" / "more").symlink_to(tmp_path / "store" / "more")
    (tmp_path / "photos" / "cow").symlink_to(tmp_path / "store")  # whose only folder is read as `cat` already
    data = load(tmp_path / "photos", classes=("cat", "dog"))
    assert data.facts.train + data.facts.valid == 9 and "cat/more" in trained(data)
    (tmp_path / "photos" / "dog" / "loop").symlink_to(tmp_path / "photos" / "dog")
    (tmp_path / "photos" / "dog" / "up").symlink_to(tmp_path / "photos" / "cat")
    again = load(tmp_path / "photos", classes=("cat", "dog"))
    assert again.facts.train + again.facts.valid == 9
    assert "left out: `loop`, `up`, by links that lead to folders read already" in again.facts.notes


def test_a_linked_class_is_a_class(tmp_path: Path) -> None:
    images(tmp_path / "store", "dogs")
    images(tmp_path / "photos", "cat")
    (tmp_path / "photos" / "dog").symlink_to(tmp_path / "store" / "dogs")
    assert load(tmp_path / "photos").facts.classes == ("cat", "dog")


def test_a_flat_folder_is_told_of_label(tmp_path: Path) -> None:
    named_images(tmp_path / "a", ".")
    message, help = refusal(tmp_path / "a")
    assert "has no images in a folder for each class" in message
    assert help == r'the names of its images may hold the class: label = r"^(.+)[_-]\d+\.\w+$" finds 2 (cat, dog)'
    for name in ("cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"):
        (tmp_path / "b").mkdir(exist_ok=True)
        Image.new("RGB", (6, 6)).save(tmp_path / "b" / name)
    assert "finds 2 (cat, dog)" in refusal(tmp_path / "b")[1]
    assert "label = " in refusal(images(tmp_path / "c", "."))[1]
