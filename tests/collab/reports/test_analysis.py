"""`dotexp.interpret`: a report's tables from a finished run, and what they say of ratings whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dotexp
import numpy as np
import pytest
import torch
from dotexp import DataContext
from dotexp.runs.folder import RunFolder
from dotexp.sdk.data import Part
from dotexp.sdk.report import Table
from dotexp_collab.data.params import LatentRatingsParams
from dotexp_collab.data.synthetic import Truth, build, truth
from numpy.typing import NDArray

pytestmark = pytest.mark.run

TRUE_FACTORS, FACTORS, SEED = 5, 8, 42
DATA = LatentRatingsParams(density=0.2, batch_size=256)
SPEC = f"""
experiment latent
seed {SEED}
data latent_ratings(density = 20%, batch_size = 256)
model embedding_dot_bias(factors = {FACTORS}, y_range = 0..5)
loss mse
optimizer adam(wd = 0.1)
runtime(device = cpu, threads = 1)
stage train {{ fit one_cycle(epochs = 15, lr = 3e-2) }}
report item_bias(top = 3), factors_pca(components = 2), nearest(7)
"""
EVERYTHING: dict[str, Any] = {"items": None, "top": 10**6}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on 30,000 made-up ratings by 500 users of 300 items: some 3 seconds."""
    folder = tmp_path_factory.mktemp("latent")
    (folder / "latent.exp").write_text(SPEC)
    return dotexp.run(folder / "latent.exp", runs=folder / "runs")


@pytest.fixture(scope="module")
def real() -> Truth:
    return truth(DATA, SEED)


def by_id(tables: list[Table], value: int = 1) -> NDArray[np.float64]:
    """A column of all the tables' rows, in the order of the ids, which are 1 to n."""
    rows = sorted((row for table in tables for row in table.rows), key=lambda row: int(str(row[0])))
    assert [row[0] for row in rows] == [str(n) for n in range(1, len(rows) + 1)]
    return np.array([row[value] for row in rows], np.float64)


# ratings whose truth is known


def test_the_true_biases_are_recovered(run: RunFolder, real: Truth) -> None:
    items = by_id(dotexp.interpret(run, "item_bias", least_ratings=0, **EVERYTHING))
    users = by_id(dotexp.interpret(run, "user_bias", least_ratings=0, top=10**6))
    assert (len(items), len(users)) == (300, 500)
    assert np.corrcoef(items, real.item_bias)[0, 1] > 0.99  # 0.996
    assert np.corrcoef(users, real.user_bias)[0, 1] > 0.985  # 0.994
    assert np.polyfit(real.item_bias, items, 1)[0] == pytest.approx(0.87, abs=0.08)  # decay draws them towards 0


def test_a_bias_says_more_than_a_mean(run: RunFolder, real: Truth) -> None:
    tables = dotexp.interpret(run, "item_bias", least_ratings=0, **EVERYTHING)
    means = by_id(tables, value=3)
    of_means = np.corrcoef(np.log(means / (5 - means)), real.item_bias)[0, 1]
    assert np.corrcoef(by_id(tables), real.item_bias)[0, 1] > of_means + 0.01  # 0.975


def rated(part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    (batch,) = part.batches(torch.arange(len(part)), len(part), None, torch.device("cpu"))
    users, items = (codes.numpy() for codes in batch.inputs)
    return users, items, batch.targets.double().numpy()


def test_predictions_miss_by_a_seventh_of_what_the_means_do(run: RunFolder) -> None:
    data = build(DATA, DataContext(SEED))
    users, items, ratings = rated(data.part("train"))
    overall = ratings.mean()
    of_user, of_item = (np.bincount(codes, ratings) / np.bincount(codes).clip(1) for codes in (users, items))
    users, items, ratings = rated(data.part("valid"))
    misses = [of_user[users], of_item[items], of_user[users] + of_item[items] - overall]
    of_means = min(np.sqrt(((guess - ratings) ** 2).mean()) for guess in misses)
    of_model = run.read_epochs()[-1].valid_loss ** 0.5
    assert 0.1 < of_model < of_means / 7  # 0.12 and 0.97, of which the noise has 0.1


def test_the_number_of_true_factors_shows_in_the_variance_explained(run: RunFolder) -> None:
    explained = dotexp.interpret(run, "factors_pca", components=FACTORS, **EVERYTHING)[0]
    assert explained.title == "Variance explained"
    shares = np.array(explained.rows)[:, 2]
    assert shares[:TRUE_FACTORS].min() > 0.1 and shares[:TRUE_FACTORS].sum() > 0.95
    assert shares[TRUE_FACTORS:].max() < 0.04
    assert shares.sum() == pytest.approx(1)


def test_the_components_span_the_true_factors(run: RunFolder, real: Truth) -> None:
    tables = dotexp.interpret(run, "factors_pca", components=TRUE_FACTORS, **EVERYTHING)[1:]
    scores = np.stack([by_id(tables[2 * n : 2 * n + 2]) for n in range(TRUE_FACTORS)], axis=1)
    wanted = real.item_factors - real.item_factors.mean(0)
    fitted = scores @ np.linalg.lstsq(scores, wanted, rcond=None)[0]
    assert 1 - ((wanted - fitted) ** 2).sum(0) / (wanted**2).sum(0) == pytest.approx(1, abs=0.01)


def test_neighbours_have_true_factors_that_point_the_same_way(run: RunFolder, real: Truth) -> None:
    asked = list(range(1, 31))
    tables = dotexp.interpret(run, "nearest", item=asked, top=5, items=None)
    assert [table.title for table in tables] == [f"Nearest to {id}" for id in asked]
    unit = real.item_factors / np.linalg.norm(real.item_factors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    near = np.mean(
        [cosines[id - 1, int(str(row[0])) - 1] for id, t in zip(asked, tables, strict=True) for row in t.rows]
    )
    best = np.mean([np.sort(cosines[id - 1])[-6:-1].mean() for id in asked])
    assert near > 0.97 * best > 0.85  # 0.891 and 0.896


# the function


def test_the_tables_are_those_of_the_runs_report(run: RunFolder) -> None:
    report = dotexp.report(run)
    sections = {section["title"]: section["tables"] for section in report.as_json()["sections"]}
    tables = dotexp.interpret(run, "item_bias", top=3)
    assert sections["Item biases"] == [
        {"title": table.title, "header": list(table.header), "rows": [list(row) for row in table.rows]}
        for table in tables
    ]
    assert [len(table.rows) for table in tables] == [3, 3]
    page = run.report.read_text(encoding="utf-8")
    assert "Items by their first two components" in page and "Nearest to 7" in page and not report.problems


def test_a_report_may_be_written_as_in_a_spec(run: RunFolder) -> None:
    both = dotexp.interpret(run, "item_bias(top = 2), nearest([3, 4], top = 1)")
    assert [table.title for table in both] == ["Best items", "Worst items", "Nearest to 3", "Nearest to 4"]
    assert both[:2] == dotexp.interpret(run, "item_bias", top=2)
    assert both[2:] == dotexp.interpret(run.path, "nearest", item=[3, "4"], top=1)


def test_a_run_by_its_name(run: RunFolder) -> None:
    assert dotexp.interpret("latent", "user_bias", runs=run.path.parent) == dotexp.interpret(run, "user_bias")


def test_nothing_is_written(run: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    dotexp.interpret(run, "item_bias")
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("report", "given", "said"),
    [
        ("item_bais", {}, [("E203", "unknown report `item_bais`")]),
        ("adam", {}, [("E203", "unknown report `adam`")]),
        ("item_bias", {"tops": 3}, [("E204", "`item_bias` has no parameter `tops`")]),
        ("item_bias", {"top": 0}, [("E207", "`top` of item_bias must be at least 1")]),
        ("nearest", {"item": [301, "Alien", 1]}, [
            ("E208", "no item of the training set has the id `301`"),
            ("E208", "no item of the training set has the id `Alien`"),
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_diagnostic(run: RunFolder, report: str, given: dict[str, Any], said: object) -> None:
    with pytest.raises(dotexp.SpecError) as refused:
        dotexp.interpret(run, report, **given)
    assert [(d.code, d.message) for d in refused.value.diagnostics] == said


def test_a_value_that_the_language_has_not(run: RunFolder) -> None:
    with pytest.raises(dotexp.UsageError, match="`item_bias`: the language has no way to write"):
        dotexp.interpret(run, "item_bias", top=object())


def test_a_run_that_is_not_there_or_has_no_model(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(dotexp.UsageError):
        dotexp.interpret("no-such-run", "item_bias", runs=tmp_path)
    bare = tmp_path / "latent-1"
    bare.mkdir()
    for file in (run.resolved, run.result):
        (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(dotexp.UsageError, match="has no model to report on"):
        dotexp.interpret(bare, "item_bias")


# films that a person would recognise

LOVED = (
    "Schindler's List (1993)", "Shawshank Redemption, The (1994)", "Titanic (1997)", "Star Wars (1977)",
    "Casablanca (1942)", "Silence of the Lambs, The (1991)", "Usual Suspects, The (1995)", "Rear Window (1954)",
    "L.A. Confidential (1997)", "Good Will Hunting (1997)", "As Good As It Gets (1997)", "Godfather, The (1972)",
)  # fmt: skip
PANNED = (
    "Children of the Corn: The Gathering (1996)", "Lawnmower Man 2: Beyond Cyberspace (1996)", "Cable Guy, The (1996)",
    "Mortal Kombat: Annihilation (1997)", "Striptease (1996)", "Island of Dr. Moreau, The (1996)",
    "Free Willy 3: The Rescue (1997)", "Crow: City of Angels, The (1996)", "Jungle2Jungle (1997)",
    "McHale's Navy (1997)", "Flintstones, The (1994)", "Beautician and the Beast, The (1997)",
)  # fmt: skip
MOVIELENS = """
experiment movielens
data ratings("{folder}/u.data", user = 0, item = 1, rating = 2, separator = "\\t", valid = 10%, batch_size = 64,
  items = "{folder}/u.item", items_separator = "|", items_encoding = "latin-1")
model embedding_dot_bias(factors = 40)
loss mse
optimizer adam(wd = 0.1)
runtime(device = cpu, threads = 1)
stage train {{ fit one_cycle(epochs = 5, lr = 5e-3) }}
"""


@pytest.fixture(scope="module")
def films(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The lesson's run on MovieLens-100k: some 10 seconds."""
    folder = tmp_path_factory.mktemp("movielens")
    (folder / "m.exp").write_text(MOVIELENS.format(folder=real_data / "ml-100k"))
    return dotexp.run(folder / "m.exp", runs=folder / "runs", report=False)


@pytest.mark.slow
def test_the_best_and_worst_films_are_known_as_such(films: RunFolder) -> None:
    best, worst = dotexp.interpret(films, "item_bias", top=20)
    loved, panned = ({row[0] for row in table.rows} for table in (best, worst))
    assert len(loved & set(LOVED)) >= 8, loved
    assert len(panned & set(PANNED)) >= 8, panned
    assert {"Schindler's List (1993)", "Shawshank Redemption, The (1994)", "Star Wars (1977)"} <= {
        row[0] for row in best.rows[:10]
    }
    assert "Children of the Corn: The Gathering (1996)" in {row[0] for row in worst.rows[:3]}
    assert best.header == ("title", "id", "bias", "ratings", "mean rating")


@pytest.mark.slow
def test_the_films_counts_and_means_are_those_of_the_training_rows(films: RunFolder, real_data: Path) -> None:
    rows = {row[0]: row for table in dotexp.interpret(films, "item_bias", top=20) for row in table.rows}
    every = np.loadtxt(real_data / "ml-100k" / "u.data", dtype=np.int64)
    for title, id, _, count, mean in rows.values():
        ratings = every[every[:, 1] == int(str(id)), 2]
        assert 0.7 * len(ratings) <= int(str(count)) <= len(ratings), title
        assert float(str(mean)) == pytest.approx(ratings.mean(), abs=0.25), title


@pytest.mark.slow
def test_the_neighbours_of_star_wars(films: RunFolder) -> None:
    (table,) = dotexp.interpret(films, "nearest", item="Star Wars (1977)", top=3)
    names = {row[0] for row in table.rows}
    assert {"Empire Strikes Back, The (1980)", "Return of the Jedi (1983)", "Raiders of the Lost Ark (1981)"} == names


@pytest.mark.slow
def test_the_first_component_tells_classics_from_light_fare(films: RunFolder) -> None:
    explained, *tables = dotexp.interpret(films, "factors_pca", components=3)
    shares = [row[2] for row in explained.rows]
    assert shares[0] == pytest.approx(0.27, abs=0.05) and shares == sorted(shares, reverse=True)
    one, other = ({row[0] for row in table.rows} for table in tables[:2])
    classics = {"Casablanca (1942)", "Lawrence of Arabia (1962)", "Chinatown (1974)", "Third Man, The (1949)"}
    light = {"Home Alone 3 (1997)", "Jungle2Jungle (1997)", "Leave It to Beaver (1997)", "McHale's Navy (1997)"}
    assert max(len(one & classics) + len(other & light), len(other & classics) + len(one & light)) >= 5
