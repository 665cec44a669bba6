"""Numbers of validation that are not finite are told at once, and no answer is made of them."""

from __future__ import annotations

import math
from pathlib import Path

import dotexp as api
import pytest
import torch
from dotexp import Params, RunError
from dotexp.engine.build.weights import load_weights, save_weights
from dotexp.engine.events import NullListener
from dotexp.engine.executor import execute
from dotexp.planning.plan import Plan
from dotexp.runs.folder import RunFolder, create_run
from toys import DATA, ImagesParams, callback, plan, stage, use

from specs import RATINGS

pytestmark = pytest.mark.run

POISONED = ImagesParams(batch_size=8, valid=24, poison_valid=3)


class Hearing(NullListener):
    """Keeps every warning."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def warned(self, message: str) -> None:
        self.heard.append(message)


def warnings(planned: Plan, root: Path) -> list[str]:
    """Run a plan to its end; return what it warned of."""
    hearing = Hearing()
    execute(planned, create_run("toy", root), hearing)
    return hearing.heard


class InfiniteParams(Params):
    """A metric that is infinite."""


class Infinite(torch.nn.Module):
    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        pass

    def compute(self) -> torch.Tensor:
        return torch.tensor(math.inf)

    def reset(self) -> None:
        pass


def build_infinite(params: InfiniteParams, facts: object) -> Infinite:
    return Infinite()


def test_a_validation_loss_that_is_no_number_is_told_once_a_stage_with_its_epoch(tmp_path: Path) -> None:
    stages = [stage("one", data=DATA), stage("two", data=POISONED, epochs=3)]
    told = [each for each in warnings(plan(*stages, metrics=()), tmp_path) if "loss" in each]
    assert len(told) == 1
    assert told[0].startswith("stage `two`, epoch 1: the validation loss is nan: 1 of 3 batches have a loss")
    assert "the model's own numbers are finite, so look for validation examples" in told[0]


def test_a_metric_that_is_infinite_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import toys

    monkeypatch.setattr(toys, "build_infinite", build_infinite, raising=False)
    (told,) = warnings(plan(stage(), metrics=[use("metric", "build_infinite", InfiniteParams())]), tmp_path)
    assert told.startswith("stage `train`, epoch 1: the metric `infinite` is inf")


def test_a_run_with_finite_numbers_is_quiet(tmp_path: Path) -> None:
    assert warnings(plan(stage()), tmp_path) == []


def test_the_best_of_no_numbers_is_an_error_and_the_weights_are_kept(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"(?s)keep_best.*finite number in no epoch.*weights are kept"):
        warnings(plan(stage(data=POISONED, callbacks=[callback("keep_best")]), metrics=()), tmp_path)
    run = RunFolder(tmp_path / "toy-1")
    assert list(run.checkpoints.iterdir()) and run.status == "failed"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on ratings whose model has lost one user's numbers."""
    root = tmp_path_factory.mktemp("films")
    (root / "films.exp").write_text(RATINGS)
    done = api.run(root / "films.exp", runs=root / "runs")
    tensors = load_weights(done.model)
    tensors["model.user_factors.weight"][1] = math.nan
    save_weights(tensors, done.model)
    return Path(done.path)


def test_a_prediction_that_is_no_number_is_an_error_and_the_others_are_answered(films: Path) -> None:
    users = RunFolder(films).read_facts().vocabulary["users"]
    items = RunFolder(films).read_facts().vocabulary["items"]
    lost, sound = api.predict(films, [f"{users[0]}:{items[0]}", f"{users[1]}:{items[0]}"])
    assert lost.value is None and "not a finite number" in lost.error
    assert isinstance(sound.value, float) and not sound.error
    with pytest.raises(RunError, match="nothing can be ranked"):
        api.recommend(films, users[0])
    assert len(api.recommend(films, users[1], top=3)) == 3
