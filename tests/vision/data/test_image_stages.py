"""Image data through whole runs: stages of other sizes, workers, memory, and varied predictions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dotexp as api
import numpy as np
import pytest
import torch
from dotexp import DataContext
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.weights import load_weights
from dotexp.engine.events import NullListener
from dotexp.experiment.experiment import Experiment
from dotexp.runs.results import EpochRow
from dotexp.sdk.data import Named
from dotexp.sdk.seeds import Draw
from dotexp_vision.data import cache as image_store
from dotexp_vision.data.encoding import encoder
from dotexp_vision.data.folder import build
from dotexp_vision.data.levels import Levels
from dotexp_vision.data.params import ImageFolderParams, Resize
from PIL import Image
from torch import Tensor

from specs import resolved

SPEC = """
experiment small
data image_folder("photos", valid = 25%, size = 32, batch_size = 4, augment = [standard, random_erasing])
model { body squeezenet1_1(weights = none) head linear }
loss cross_entropy
runtime(threads = 1)
stage first { fit flat(epochs = 1, lr = 1e-3) }
stage larger { data(size = 40, batch_size = 3) fit flat(epochs = 1, lr = 1e-3) }
stage again { data(batch_size = 2) fit flat(epochs = 1, lr = 1e-3) }
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photographs, of two classes."""
    generator = np.random.default_rng(0)
    for number in range(12):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        rough.resize((64, 48), Image.Resampling.BICUBIC).save(place / f"{number}.jpg")
    return tmp_path


def experiment(folder: Path, *overrides: str) -> Experiment:
    return resolved(SPEC, *overrides, folder=folder).experiment


@pytest.mark.run
def test_stages_of_other_sizes_split_alike_and_read_each_image_once_for_a_side(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[tuple[str, int]] = Counter()
    load = image_store.load_pixels

    def counted(path: Path, side: int, resize: Resize, levels: Levels) -> Tensor:
        read[path.name, side] += 1
        return load(path, side, resize, levels)

    monkeypatch.setattr(image_store, "load_pixels", counted)
    run = api.run(resolved(SPEC, folder=photos), runs=photos / "runs")
    assert [row.stage for row in run.read_epochs()] == ["first", "larger", "again"]
    assert len(read) == 24 and set(read.values()) == {1}
    read.clear()
    assert api.evaluate(run.path).loss is not None
    assert set(read.values()) == {1}
    store = DataStore()
    opened = [store.get(stage.data, 42) for stage in experiment(photos).stages]
    for part in ("train", "valid"):
        held = [data.part(part) for data in opened]
        assert all(isinstance(one, Named) for one in held)
        assert len({tuple(one.names) for one in held if isinstance(one, Named)}) == 1
    shapes = [next(iter(d.part("valid").batches(torch.arange(2), 2, None, torch.device("cpu")))) for d in opened]
    assert [batch.inputs[0].shape[-1] for batch in shapes] == [32, 40, 32]


@pytest.mark.run
@pytest.mark.process
def test_the_same_bits_for_any_workers_and_any_memory(photos: Path) -> None:
    weights = []
    for number, sets in enumerate(
        ((), ("runtime.workers=2",), ("runtime.workers=1", "data.memory=0", "stage.larger.data.memory=0"))
    ):
        run = api.run(resolved(SPEC, *sets, folder=photos), runs=photos / f"runs{number}")
        weights.append(load_weights(run.model))
    for other in weights[1:]:
        assert all(torch.equal(tensor, other[name]) for name, tensor in weights[0].items())


def test_varied_predictions_are_varied_as_training_is(photos: Path) -> None:
    params = experiment(photos, "data.valid=1").data.params
    assert isinstance(params, ImageFolderParams)
    data = DataStore().get(experiment(photos, "data.valid=1").data, 42)
    train = data.part("train")
    assert isinstance(train, Named)
    inputs = [str(photos / "photos" / name) for name in train.names]
    encoded = encoder(params, {})(inputs)
    assert encoded.augmented is not None
    for epoch in (0, 1, 0):
        draw = Draw(7, "tta", epoch)
        varied = torch.cat([images for (images,) in encoded.augmented(draw)])
        order = torch.arange(len(train))
        expected = torch.cat([b.inputs[0] for b in train.batches(order, 5, draw, torch.device("cpu"))])
        assert torch.equal(varied, expected)
    plain = torch.cat([images for (images,) in encoded.batches])
    assert plain.shape == varied.shape and not torch.equal(plain, varied)
    assert encoder(params.model_copy(update={"augment": None}), {})(inputs).augmented is None


def test_presized_predictions_are_as_large_as_others(photos: Path) -> None:
    params = experiment(photos, "data.presize=48").data.params
    assert isinstance(params, ImageFolderParams)
    encoded = encoder(params, {})([str(photos / "photos")])
    assert encoded.augmented is not None
    sides = {images.shape[-1] for (images,) in (*encoded.batches, *encoded.augmented(Draw(1, "tta", 0)))}
    assert sides == {32}


def store_in(shared: dict[str, object]) -> image_store.ImageStore:
    (store,) = (held for held in shared.values() if isinstance(held, image_store.ImageStore))
    return store


def folder_params(photos: Path, *overrides: str) -> ImageFolderParams:
    params = experiment(photos, *overrides).data.params
    assert isinstance(params, ImageFolderParams)
    return params


def test_what_one_folder_read_another_of_the_same_run_need_not(photos: Path) -> None:
    shared: dict[str, object] = {}
    first = build(folder_params(photos), DataContext(1, shared))
    store = store_in(shared)
    assert store.nbytes == 12 * 3 * 32 * 32
    build(folder_params(photos), DataContext(2, shared))  # another split of the same images
    assert store.nbytes == 12 * 3 * 32 * 32
    assert len(first.part("train")) == 9


def test_images_of_a_size_are_freed_with_the_last_data_that_uses_them(photos: Path) -> None:
    shared: dict[str, object] = {}
    small, same, large = (build(folder_params(photos, *sets), DataContext(1, shared))
                          for sets in ((), ("data.batch_size=2",), ("data.size=40",)))  # fmt: skip
    store = store_in(shared)
    sizes = [12 * 3 * side * side for side in (32, 40)]
    assert store.nbytes == sum(sizes)
    del small
    assert store.nbytes == sum(sizes)
    assert len(list(same.part("train").batches(torch.arange(9), 3, None, torch.device("cpu")))) == 3
    del same
    assert store.nbytes == sizes[1]
    valid = large.part("valid")
    del large
    assert store.nbytes == sizes[1] and len(list(valid.batches(torch.arange(3), 3, None, torch.device("cpu")))) == 1
    del valid
    assert store.nbytes == 0
    again = build(folder_params(photos), DataContext(1, shared))
    assert store.nbytes == sizes[0] and len(again.part("train")) == 9


def test_memory_that_one_size_leaves_holds_the_next(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[int] = Counter()
    load = image_store.load_pixels

    def counted(path: Path, side: int, resize: Resize, levels: Levels) -> Tensor:
        read[side] += 1
        return load(path, side, resize, levels)

    monkeypatch.setattr(image_store, "load_pixels", counted)
    shared: dict[str, object] = {}
    room = f"data.memory={12 * 3 * 40 * 40 / (1 << 30)!r}"
    small = build(folder_params(photos, room), DataContext(1, shared))
    large = build(folder_params(photos, room, "data.size=40"), DataContext(1, shared))
    store = store_in(shared)

    def epoch() -> Tensor:
        whole = large.part("train")
        return torch.cat([b.inputs[0] for b in whole.batches(torch.arange(9), 3, None, torch.device("cpu"))])

    assert read == {32: 12, 40: 4}  # of the second size as many as there was room for
    first = epoch()
    before = read[40]
    assert before > 4
    del small
    assert torch.equal(epoch(), first)
    assert torch.equal(epoch(), first)
    assert read[40] - before <= 9 and store.nbytes <= 12 * 3 * 40 * 40
    held = read[40]
    epoch()
    assert read[40] == held


@pytest.mark.run
def test_a_run_frees_the_images_of_a_size_that_no_later_stage_needs(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[image_store.ImageStore] = []
    made = image_store.ImageStore.__init__

    def noted(store: image_store.ImageStore) -> None:
        made(store)
        stores.append(store)

    monkeypatch.setattr(image_store.ImageStore, "__init__", noted)
    sizes = [12 * 3 * side * side for side in (32, 40)]
    seen = []

    class Listener(NullListener):
        def epoch_ended(self, row: EpochRow) -> None:
            seen.append(max(store.nbytes for store in stores))

    text = SPEC.replace("stage again { data(batch_size = 2)", "stage again { data(size = 40, batch_size = 2)")
    api.run(resolved(text, folder=photos), runs=photos / "runs", listener=Listener(), report=False)
    assert seen == [sum(sizes), sizes[1], sizes[1]]
