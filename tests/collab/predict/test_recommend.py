"""What people ask of a run of ratings: what a user may like, what is like an item, and pairs without end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click.testing
import numpy as np
import polars as pl
import pytest
import torch
from dotexp import UsageError, predict, recommend, run, similar_items
from dotexp.cli import group
from dotexp.commands.functions import iter_predictions
from dotexp.engine.build.weights import load_weights
from dotexp.sdk.data import Trained
from dotexp_collab.models.base import Settings
from dotexp_collab.models.dot_bias import EmbeddingDotBias
from dotexp_collab.predict.recommend import similar

from specs import resolved

pytestmark = pytest.mark.run

USERS, ITEMS = 30, 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings with titles, of 30 users (u1…) and 25 items (1…), and a finished run of each model on them."""
    home = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in random.integers(1, (USERS + 1, ITEMS + 1), (450, 2))})
    rows = "".join(f"u{u},{i},{random.integers(1, 6)}\n" for u, i in pairs)
    (home / "ratings.csv").write_text("user,item,rating\n" + rows)
    (home / "titles.csv").write_text("id,title\n" + "".join(f"{i},Film {i}\n" for i in range(1, 26)))
    for name, model in (
        ("dot", "embedding_dot_bias(factors = 4)"), ("nn", "embedding_nn([8])"), ("svd", "svd_plus_plus(factors = 4)"),
    ):  # fmt: skip
        text = f"""
        experiment {name}
        data ratings("ratings.csv", valid = 20%, test = 10%, batch_size = 32, items = "titles.csv")
        model {model}
        loss mse
        runtime(device = cpu, threads = 1)
        stage train {{ fit one_cycle(epochs = 2, lr = 1e-2) }}
        """
        run(resolved(text, folder=home), runs=home / "runs", report=False)
    return home


def rated(folder: Path, user: str) -> set[str]:
    """By polars: all items that a user has rated, in whatever part."""
    frame = pl.read_csv(folder / "ratings.csv", infer_schema=False)
    return set(frame.filter(pl.col("user") == user)["item"])


MODELS = ("dot", "nn", "svd")


@pytest.mark.parametrize("name", MODELS)
def test_the_best_of_what_a_user_has_not_rated(folder: Path, name: str) -> None:
    rows = recommend(name, "u7", top=100, runs=folder / "runs")
    unseen = {str(item) for item in range(1, ITEMS + 1)} - rated(folder, "u7")
    assert {row["item"] for row in rows} == unseen and len(rows) == len(unseen) > 3
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(row["title"] == f"Film {row['item']}" for row in rows)
    values = [row["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    pairs = predict(name, [f"u7:{row['item']}" for row in rows], runs=folder / "runs")
    assert values == pytest.approx([pair.value for pair in pairs], abs=1e-5)
    assert recommend(name, "u7", top=2, runs=folder / "runs") == rows[:2]


def test_seen_items_on_demand_and_then_without_the_data(folder: Path, tmp_path: Path) -> None:
    import shutil

    rows = recommend("dot", "u7", top=100, seen=True, runs=folder / "runs")
    assert len(rows) == ITEMS
    shutil.copytree(folder / "runs", tmp_path / "runs")
    spec = tmp_path / "runs" / "dot-1" / "resolved.exp"
    spec.write_text(spec.read_text().replace(str(folder), str(tmp_path)))
    assert recommend("dot", "u7", top=100, seen=True, runs=tmp_path / "runs") == rows
    with pytest.raises(UsageError, match="what the user has rated is not known"):
        recommend("dot", "u7", runs=tmp_path / "runs")
    moved = [f'data.path="{folder / "ratings.csv"}"', f'data.items="{folder / "titles.csv"}"']
    assert recommend("dot", "u7", set=moved, runs=tmp_path / "runs") == recommend("dot", "u7", runs=folder / "runs")


def test_data_that_is_not_what_it_was_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="other users or items"):
        recommend("dot", "u7", set=["data.valid=60%"], runs=folder / "runs")


def test_similar_items_by_the_cosine_of_their_factors(folder: Path) -> None:
    rows = similar_items("dot", "3", top=100, runs=folder / "runs")
    table = load_weights(folder / "runs" / "dot-1" / "model.safetensors")["model.item_factors.weight"].double().numpy()
    table = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = {str(item): float(table[item] @ table[3]) for item in range(1, ITEMS + 1) if item != 3}
    expected = sorted(cosines, key=lambda item: -cosines[item])
    assert [row["item"] for row in rows] == expected
    assert [row["similarity"] for row in rows] == pytest.approx([cosines[item] for item in expected], abs=1e-5)
    assert similar_items("dot", "Film 3", top=4, runs=folder / "runs") == rows[:4]


@pytest.mark.parametrize("name", ["nn", "svd"])
def test_every_model_has_vectors_of_items(folder: Path, name: str) -> None:
    rows = similar_items(name, "3", runs=folder / "runs")
    assert len(rows) == 10 and all(-1 <= row["similarity"] <= 1.0001 for row in rows)


def test_unknown_ids_are_told_with_what_is_close(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no user `u77`; close to it: .*`u7`"):
        recommend("dot", "u77", runs=folder / "runs")
    with pytest.raises(UsageError, match=r"no user `U7`; close to it: `u7`$"):
        recommend("dot", "U7", runs=folder / "runs")
    with pytest.raises(UsageError, match=r'title or id `Film 99`; close to it: "Film 9"'):
        similar_items("dot", "Film 99", runs=folder / "runs")


VOCABULARY = {
    "users": ["1"],
    "items": ["1", "2", "3", "4", "1984"],
    "titles": {"1": "Dune", "2": "Dune", "3": "Star Wars (1977)", "4": "1984", "1984": "Am\u00e9lie"},
}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("Dune", '2 items are called `Dune`; say which by its id: "1", "2"'),
        ("star wars", '`star wars`; close to it: "Star Wars (1977)"'),
        ("Star Wras (1977)", 'close to it: "Star Wars (1977)"'),
        ("dune", 'close to it: "Dune"'),
        ("Qqq", 'an item is named by its title or id, such as "Dune" or "1"'),
    ],
)
def test_a_title_that_is_not_one_items_is_told(item: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        similar(trained(), item, 2)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("item", "id"), [("Star Wars (1977)", "3"), ("1984", "1984"), ("Ame\u0301lie", "1984"), ("2", "2")]
)
def test_an_item_goes_by_its_id_or_else_by_its_title(item: str, id: str) -> None:
    assert {row["item"] for row in similar(trained(), item, 9)} == set(VOCABULARY["items"]) - {id}


def trained() -> Trained:
    """A model that nobody asks for scores or data."""
    model = EmbeddingDotBias(1, 5, 3, Settings())
    return Trained(model, lambda batches: iter(()), VOCABULARY, lambda: pytest.fail("the data is not needed"))


def test_a_run_of_another_kind_has_nothing_to_recommend(tmp_path: Path) -> None:
    text = """
    experiment digits
    data digits(classes = 0..1, size = 8, batch_size = 32)
    model { body resnet18(weights = none)  head mlp }
    loss cross_entropy
    runtime(device = cpu, threads = 1)
    stage train { fit one_cycle(epochs = 1, lr = 1e-3) }
    """
    run(resolved(text), runs=tmp_path, report=False)
    with pytest.raises(UsageError, match="`digits` and its model answer no query `user`"):
        recommend("digits", "1", runs=tmp_path)
    with pytest.raises(UsageError, match="answer no query `similar`"):
        similar_items("digits", "1", runs=tmp_path)


# the command


def called(folder: Path, *arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(group, ["predict", *arguments, "--runs", str(folder / "runs")])


def test_the_command_lists_them(folder: Path) -> None:
    shown = called(folder, "dot", "--user", "u7", "--top", "3").output.splitlines()
    rows = recommend("dot", "u7", top=3, runs=folder / "runs")
    assert shown[0].split() == ["rank", "item", "title", "value"]
    assert [line.split() for line in shown[1:]] == [
        [str(row["rank"]), row["item"], "Film", row["item"], f"{row['value']:.4f}"] for row in rows
    ]
    answer = json.loads(called(folder, "dot", "--user", "u7", "--top", "3", "--json").output)
    assert answer == {"format_version": 1, "user": "u7", "recommendations": rows}
    alike = json.loads(called(folder, "dot", "--similar", "3", "--json").output)
    assert alike["similar"] == similar_items("dot", "3", runs=folder / "runs") and alike["item"] == "3"
    lines = called(folder, "dot", "--user", "u7", "--top", "2", "--json-lines").output.splitlines()
    assert [json.loads(line) for line in lines] == rows[:2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to predict"),
        (("1:2", "--user", "1"), "one at a time"),
        (("--user", "1", "--similar", "2"), "one at a time"),
        (("1:2", "--top", "3"), "--top"),
        (("1:2", "--seen"), "--seen"),
        (("--similar", "2", "--set", "data.path=x"), "--set"),
        (("--user", "1", "--tta", "2"), "--tta"),
        (("--user", "1", "--top", "0"), "--top"),
    ],
)
def test_questions_that_do_not_go_together(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = called(folder, "dot", *arguments)
    assert done.exit_code == 2 and said in done.output


# pairs without end


def test_json_lines_say_the_same_as_json(folder: Path) -> None:
    inputs = ("u1:2", "nobody:3", "u2:none")
    whole = json.loads(called(folder, "svd", *inputs, "--json").output)["predictions"]
    lines = called(folder, "svd", *inputs, "--json-lines").output.splitlines()
    assert [json.loads(line) for line in lines] == whole
    assert whole[1]["unknown"] == ["user"] and whole[1]["stand_in"] == "the mean of the known"


@pytest.mark.slow
def test_many_pairs_need_no_more_memory_than_a_thousand(folder: Path, tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "many.csv"
    path.write_text("".join(f"u{1 + at % USERS},{1 + at % ITEMS}\n" for at in range(100_000)))

    def answers() -> Iterator[object]:
        yield from iter_predictions("dot", [str(path)], runs=folder / "runs")

    tracemalloc.start()
    stream = answers()
    count = sum(1 for _ in islice(stream, 10_000))
    early = tracemalloc.get_traced_memory()[1]
    count += sum(1 for _ in stream)
    late = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000 and late < 1.5 * early


def test_movielens_neighbours_of_star_wars(real_data: Path, tmp_path: Path) -> None:
    """A few epochs are enough for the sequel to be near."""
    films = real_data / "ml-100k"
    text = f"""
    experiment films
    data ratings("{films}/u.data", separator = "\\t", valid = 10%, items = "{films}/u.item", items_separator = "|",
      items_encoding = "latin-1", batch_size = 256)
    model embedding_dot_bias(factors = 20)
    loss mse
    optimizer adam(wd = 0.3)
    runtime(device = cpu, threads = 1)
    stage train {{ fit one_cycle(epochs = 2, lr = 1e-2) }}
    """
    folder = run(resolved(text), runs=tmp_path, report=False)
    torch.set_num_threads(1)
    rows = similar_items(folder, "Star Wars (1977)", top=20)
    assert "Empire Strikes Back, The (1980)" in [row["title"] for row in rows]
