"""Models of ratings through the engine: with features, resumed, with cold users, and as good as said on MovieLens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dotexp import SpecError, plan, predict, run
from dotexp.engine.build.probe import Probe
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.planning.planner import make_plan
from dotexp.runs.checkpoints import Position
from dotexp.runs.folder import create_run
from interruptions import EVERY_STEP, bits, cut, go_on, with_runtime

from specs import resolved

MODELS = (
    "embedding_dot_bias(factors = 4)",
    "embedding_nn([8])",
    "svd_plus_plus(factors = 4)",
    "feature_dot_bias(factors = 4, histories = both)",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of 30 users and 20 items, and tables of their features: old users and long films go well together."""
    home = tmp_path_factory.mktemp("described")
    random = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in random.integers(1, (31, 21), (400, 2))})
    rows = [f"{u}\t{i}\t{4 if (u % 2) == (i % 3 == 0) else 2}" for u, i in pairs]
    (home / "train.tsv").write_text("\n".join(rows) + "\n")
    (home / "valid.tsv").write_text("1\t1\t2\n99\t2\t4\n3\t88\t2\n99\t88\t3\n")
    (home / "users.csv").write_text("".join(f"{u},{'old' if u % 2 else 'young'}\n" for u in range(1, 31)))
    (home / "items.csv").write_text("".join(f"{i},{int(i % 3 == 0)}\n" for i in range(1, 21)))
    return home


def spec(model: str, more: str = "") -> str:
    return f"""
    experiment films
    data ratings("train.tsv", separator = "\\t", valid = "valid.tsv", batch_size = 32,
      user_features = table("users.csv", categories = [1]), item_features = table("items.csv", flags = [1]))
    model {model}
    loss mse
    metrics rmse
    runtime(device = cpu, threads = 1)
    stage train {{ fit one_cycle(epochs = 2, lr = 1e-2) }}
    {more}
    """


@pytest.mark.run
@pytest.mark.parametrize("model", MODELS, ids=lambda text: text.partition("(")[0])
@pytest.mark.parametrize("rate", ["0", "10%"])
def test_unknown_ids_are_predicted_and_said(folder: Path, tmp_path: Path, model: str, rate: str) -> None:
    text = spec(model.replace(")", f", unknown_rate = {rate})"))
    done = run(resolved(text, folder=folder), runs=tmp_path, report=False)
    known, user, both = predict(done, ["1:1", "99:1", "99:88"])
    assert known.unknown == () and user.unknown == ("user",) and both.unknown == ("user", "item")
    assert user.stand_in == ("the mean of the known" if rate == "0" else "the row trained for unknown ones")
    low, high = 1.8, 4.2  # the training ratings' 2 and 4, relaxed
    assert all(low <= float(str(each.value)) <= high for each in (known, user, both))


@pytest.mark.run
def test_the_unknown_row_moves_only_where_ids_are_hidden(folder: Path, tmp_path: Path) -> None:
    for rate, moves in (("0", False), ("20%", True)):
        text = spec(f"embedding_dot_bias(factors = 4, unknown_rate = {rate})").replace(
            "loss", "optimizer adam(wd = 0)\nloss"
        )
        done = run(resolved(text, folder=folder), runs=tmp_path, report=False)
        row = load_weights(done.model)["model.user_factors.weight"][0]
        assert bool((row.abs() > 0.02).any()) is moves  # it starts within 0.02


@pytest.mark.run
@pytest.mark.parametrize("sparse", ["none", "rows"])
def test_features_and_histories_resume_to_the_same_bits(folder: Path, tmp_path: Path, sparse: str) -> None:
    text = spec("feature_dot_bias(factors = 4, histories = both, mean_start = true, unknown_rate = 10%)")
    text = text.replace("loss mse", f"optimizer adam(sparse = {sparse})\nloss mse")
    made, _ = make_plan(resolved(text, folder=folder), Probe())
    planned = with_runtime(made, EVERY_STEP)
    whole = create_run("films", tmp_path)
    execute(planned, whole)
    steps = planned.stages[0].steps_per_epoch
    for place in (None, Position(0, 1, 0), Position(0, steps + 1, 1)):
        resumed = cut(whole, tmp_path / f"cut-{place.name if place else 'start'}", place)
        go_on(planned, resumed)
        assert bits(resumed) == bits(whole), place


@pytest.mark.run
def test_features_help_where_ratings_are_few(folder: Path, tmp_path: Path) -> None:
    """With ratings that follow from the features alone, a model that sees them is nearer after a short training."""
    ends = []
    for model in ("embedding_dot_bias(factors = 4)", "feature_dot_bias(factors = 4)"):
        text = (
            spec(model)
            .replace('valid = "valid.tsv"', "valid = 50%")
            .replace("epochs = 2, lr = 1e-2", "epochs = 40, lr = 5e-2")
        )
        done = run(resolved(text, folder=folder), runs=tmp_path, report=False)
        ends.append(done.read_epochs()[-1].metrics["rmse"])
    plain, described = ends
    assert described < 0.9 * plain


def test_a_model_of_features_needs_some(folder: Path) -> None:
    text = spec("feature_dot_bias").replace("user_features", "#").replace("item_features", "#")
    bare = "\n".join(line if "#" not in line else line.partition("#")[0] + ")" for line in text.splitlines())
    with pytest.raises(SpecError, match="E305"):
        plan(resolved(bare, folder=folder))


def test_a_plan_counts_the_tables_of_features(folder: Path) -> None:
    planned = plan(resolved(spec("feature_dot_bias(factors = 4)"), folder=folder))
    assert planned.parameters == (31 + 21) * 5 + (2 + 1) * 5


@pytest.mark.run
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "wd", "size", "below"),
    [("embedding_dot_bias(factors = 40)", 0.12, 64, 0.919), ("svd_plus_plus(factors = 40)", 0.7, 256, 0.896)],
)
def test_movielens_first_split(real_data: Path, tmp_path: Path, model: str, wd: float, size: int, below: float) -> None:
    """On u1.base and u1.test, 0.905 is published for graph models with side features."""
    films = real_data / "ml-100k"
    text = f"""
    experiment films
    data ratings("{films}/u1.base", separator = "\\t", valid = "{films}/u1.test", batch_size = {size})
    model {model}
    loss mse
    optimizer adam(wd = {wd})
    metrics rmse
    runtime(device = cpu, threads = 1)
    stage train {{ fit one_cycle(epochs = 5, lr = 5e-3) }}
    """
    threads = torch.get_num_threads()
    done = run(resolved(text), runs=tmp_path, report=False)
    assert torch.get_num_threads() == threads
    assert done.read_epochs()[-1].metrics["rmse"] < below
