"""Reports on learned tables: biases, components, neighbours, and how items are named."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dotexp import Component, ComponentError, DataFacts, SpecError, plan
from dotexp.reporting.figures import draw
from dotexp.sdk.data import TensorPart
from dotexp.sdk.report import Paragraph, Plot, Section, Subject, Table
from dotexp.testing import check_component
from dotexp_collab.models.base import RatingModel, Settings
from dotexp_collab.predict.catalogue import Catalogue, items_exist
from dotexp_collab.reports.params import NearestParams
from dotexp_collab.reports.plots import factor_map
from dotexp_collab.reports.sections import factors_pca, item_bias, nearest, user_bias
from numpy.typing import NDArray
from offered import offered
from pydantic import ValidationError
from torch import Tensor, nn

from specs import RATINGS, faults, resolved

REPORTS = {component.name: component for component in offered("collab") if component.kind == "report"}
BUILDERS = {"item_bias": item_bias, "user_bias": user_bias, "factors_pca": factors_pca, "nearest": nearest}
TITLES = {"1": "Alien", "2": "Brazil", "3": "Casablanca", "4": "Dune", "5": "Dune"}
BIAS = (0.5, -0.25, 0.75, 0.0, -1.0)
TRAIN = ((1, 1, 4.0), (1, 2, 2.0), (2, 1, 5.0), (2, 3, 3.0), (1, 4, 1.0), (2, 4, 2.0), (3, 1, 3.0))
VALID = ((1, 3, 5.0), (3, 2, 1.0))
"""User, item and rating; items are rated 3, 1, 1, 2 and 0 times in training."""


class Tables(nn.Module):
    """Learned tables by name, each with a row for the unknown before those given."""

    def __init__(self, tables: Mapping[str, Sequence[Any] | NDArray[np.float64]]) -> None:
        super().__init__()
        for name, rows in tables.items():
            weight = torch.tensor(np.asarray(rows), dtype=torch.float32).reshape(len(rows), -1)
            self.add_module(name, nn.Embedding.from_pretrained(torch.cat([torch.full_like(weight[:1], 99.0), weight])))


def part(rows: Sequence[tuple[int, int, float]]) -> TensorPart:
    users, items, ratings = (torch.tensor(column) for column in zip(*rows, strict=True))
    return TensorPart([users, items], ratings.float())


def subject(
    items: int = 5,
    users: int = 3,
    titles: Mapping[str, str] | None = None,
    counts: Sequence[int] | None = None,
    train: TensorPart | None = None,
    network: nn.Module | None = None,
    **tables: Sequence[Any] | NDArray[np.float64],
) -> Subject:
    vocabulary: dict[str, Any] = {
        "users": [f"u{n}" for n in range(1, users + 1)],
        "items": [str(n) for n in range(1, items + 1)],
    }
    vocabulary |= {} if titles is None else {"titles": titles}
    vocabulary |= {} if counts is None else {"item_counts": list(counts)}
    facts = DataFacts(
        "ratings", train=7, valid=2, entities={"users": users, "items": items}, range=(1, 5), vocabulary=vocabulary
    )
    none = torch.zeros(len(VALID))
    experiment = resolved(RATINGS).experiment
    return Subject(
        metrics=experiment.metrics,
        model=experiment.model,
        facts=facts,
        network=network or nn.Sequential(Tables(tables)),
        part=part(VALID),
        outputs=none,
        targets=none,
        losses=lambda: none,
        activate=lambda outputs: outputs,
        batch_size=64,
        seed=42,
        train=train,
    )


def report(name: str, about: Subject, **given: Any) -> Section:
    (section,) = BUILDERS[name](REPORTS[name].params(**given))(about)
    return section


def tables(section: Section) -> dict[str, Table]:
    return {block.title: block for block in section.blocks if isinstance(block, Table)}


def first(table: Table) -> list[Any]:
    """The first column."""
    return [row[0] for row in table.rows]


def text(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))


# biases


def test_items_by_their_bias_with_their_ratings() -> None:
    found = tables(report("item_bias", subject(item_bias=BIAS, train=part(TRAIN)), top=1))
    assert list(found) == ["Best items", "Worst items"]
    assert found["Best items"].header == ("item", "bias", "ratings", "mean rating")
    assert found["Best items"].rows == (("3", 0.75, 1, 3.0),)
    assert found["Worst items"].rows == (("2", -0.25, 1, 2.0),)  # the fifth is worse, and no one rated it


def test_titles_and_the_counts_of_the_data() -> None:
    about = subject(
        item_bias=BIAS, titles={**TITLES, "3": "Casablanca (1942)"}, counts=(30, 10, 11, 20, 1), train=part(TRAIN)
    )
    best = tables(report("item_bias", about, top=2))["Best items"]
    assert best.header == ("title", "id", "bias", "ratings", "mean rating")
    assert best.rows == (("Casablanca (1942)", "3", 0.75, 11, 3.0), ("Alien", "1", 0.5, 30, 4.0))


def test_an_item_without_a_title_goes_by_its_id() -> None:
    best = tables(report("item_bias", subject(item_bias=BIAS, titles={"1": "Alien"}, train=part(TRAIN))))["Best items"]
    assert first(best) == ["3", "Alien"]


def test_without_the_training_part_the_validation_part_is_counted_and_that_is_said() -> None:
    about = subject(item_bias=BIAS, counts=(3, 1, 1, 2, 0))
    best = tables(report("item_bias", about))["Best items"]
    assert best.header == ("item", "bias", "ratings", "mean rating (validation)")
    assert best.rows == (("3", 0.75, 1, 5.0), ("1", 0.5, 3, None))
    users = tables(report("user_bias", subject(user_bias=(1.0, 2.0, 3.0))))["Most generous users"]
    assert users.header == ("user", "bias", "ratings (validation)", "mean rating (validation)")
    assert users.rows == (("u3", 3.0, 1, 1.0),)


def test_fewer_items_than_asked_for_are_shared_out() -> None:
    found = tables(report("item_bias", subject(item_bias=BIAS, train=part(TRAIN)), top=10, least_ratings=0))
    assert [first(table) for table in found.values()] == [["3", "1", "4"], ["5", "2"]]


def test_equal_biases_go_by_their_ratings_and_then_in_the_order_of_ids() -> None:
    about = subject(item_bias=(0.0,) * 5, train=part(TRAIN))
    found = tables(report("item_bias", about, least_ratings=0))
    assert [first(table) for table in found.values()] == [["1", "4", "2"], ["5", "3"]]


def test_the_least_ratings_and_the_most_rated() -> None:
    about = subject(item_bias=BIAS, train=part(TRAIN))
    few = report("item_bias", about, least_ratings=2)
    assert [first(table) for table in tables(few).values()] == [["1"], ["4"]]
    assert "Among the 2 most rated of 5 items with 2 ratings or more." in text(few)
    most = report("item_bias", about, items=3, least_ratings=0)
    assert [first(table) for table in tables(most).values()] == [["1", "4"], ["2"]]
    everything = report("item_bias", about, items=None, least_ratings=0)
    assert "Among all 5 items." in text(everything)


def test_users_by_their_bias() -> None:
    found = tables(report("user_bias", subject(user_bias=(-1.0, 0.5, 2.0), train=part(TRAIN))))
    assert found["Most generous users"].rows == (("u3", 2.0, 1, 3.0), ("u2", 0.5, 3, pytest.approx(10 / 3)))
    assert found["Most severe users"].rows == (("u1", -1.0, 3, pytest.approx(7 / 3)),)
    assert found["Most severe users"].header == ("user", "bias", "ratings", "mean rating")
    assert first(
        tables(report("user_bias", subject(user_bias=(-1.0, 0.5, 2.0), train=part(TRAIN)), least_ratings=3))[
            "Most generous users"
        ]
    ) == ["u2"]


def test_a_part_longer_than_what_is_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dotexp_collab.reports.analysis._CHUNK", 2)
    found = tables(report("item_bias", subject(item_bias=BIAS, train=part(TRAIN)), least_ratings=3))
    assert found["Best items"].rows == (("1", 0.5, 3, 4.0),)


# components


def factors(items: int, width: int) -> NDArray[np.float64]:
    """Factors whose columns differ in spread, around a mean that is not 0."""
    spread = 2.0 ** -np.arange(width)
    made: NDArray[np.float64] = np.random.default_rng(0).normal(1.5, 1, (items, width)) * spread
    return made


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    rows = factors(40, 6)
    counts = np.arange(40)  # of the 30 most rated, the last in the list is the first
    about = subject(items=40, counts=counts.tolist(), item_factors=rows)
    found = tables(report("factors_pca", about, components=4, items=30, top=30))
    chosen = rows.astype(np.float32).astype(np.float64)[10:]
    centred = chosen - chosen.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    variances = singular**2 / 29
    explained = np.array(found["Variance explained"].rows)
    assert explained[:, 0].tolist() == [1, 2, 3, 4]
    assert explained[:, 1] == pytest.approx(variances[:4])
    assert explained[:, 2] == pytest.approx(variances[:4] / variances.sum())
    assert explained[:, 3] == pytest.approx(np.cumsum(variances[:4]) / variances.sum())
    for number in range(4):
        listed = [row for end in ("high", "low") for row in found[f"Component {number + 1}, {end} end"].rows]
        scores = np.array([row[1] for row in sorted(listed, key=lambda row: int(str(row[0])))])
        wanted = centred @ directions[number]
        assert scores * np.sign(scores @ wanted) == pytest.approx(wanted)


def test_the_ends_of_a_component() -> None:
    rows = [[-3.0, 0.1], [1.0, 0.0], [0.0, 0.2], [2.0, -0.1], [4.0, 0.0]]
    about = subject(item_factors=rows, titles=TITLES, counts=(5, 4, 3, 2, 1))
    found = tables(report("factors_pca", about, components=1, top=2))
    ends = [first(found[f"Component 1, {end} end"]) for end in ("high", "low")]
    assert sorted(ends) == [["Alien", "Casablanca"], ["Dune", "Dune"]]
    high = found["Component 1, high end"]
    assert high.header == ("title", "id", "score", "ratings")
    scores = [float(str(row[2])) for row in high.rows]
    assert scores == sorted(scores, reverse=True)


def test_more_components_than_there_are() -> None:
    section = report("factors_pca", subject(item_factors=factors(5, 2), counts=(1,) * 5), components=5)
    assert len(tables(section)["Variance explained"].rows) == 2
    assert "No more than 2 can be found." in text(section)
    assert tables(section)["Variance explained"].rows[-1][-1] == pytest.approx(1)


def test_one_factor_has_no_map() -> None:
    flat = report("factors_pca", subject(item_factors=factors(5, 1), counts=(1,) * 5))
    assert not any(isinstance(block, Plot) for block in flat.blocks)
    assert len(tables(flat)["Variance explained"].rows) == 1


@pytest.mark.parametrize("rows", [np.full((5, 3), 0.1), np.ones((1, 3))])
def test_no_items_that_differ(rows: NDArray[np.float64]) -> None:
    section = report("factors_pca", subject(items=len(rows), item_factors=rows, counts=(1,) * len(rows)))
    assert text(section) == "There are no two items whose factors differ, so no components."
    assert len(section.blocks) == 1


# neighbours


def test_neighbours_by_the_cosine() -> None:
    rows = [[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-2.0, 0.0], [0.0, 0.0]]
    about = subject(item_factors=rows, titles=TITLES, counts=(5, 4, 3, 2, 1))
    found = tables(report("nearest", about, item="Alien", top=4))
    assert list(found) == ["Nearest to Alien"]
    assert found["Nearest to Alien"].header == ("title", "id", "cosine", "ratings")
    assert found["Nearest to Alien"].rows == (
        ("Brazil", "2", pytest.approx(0.6), 4),
        ("Casablanca", "3", pytest.approx(0.0), 3),
        ("Dune", "5", 0.0, 1),
        ("Dune", "4", pytest.approx(-1.0), 2),
    )
    some = tables(report("nearest", about, item=("5", 2), top=1, items=3))
    assert {title: first(table) for title, table in some.items()} == {
        "Nearest to Dune": ["Alien"],
        "Nearest to Brazil": ["Casablanca"],
    }


def test_without_an_item_the_most_rated_are_taken() -> None:
    about = subject(item_factors=factors(5, 2), titles=TITLES, counts=(1, 9, 3, 7, 0))
    assert list(tables(report("nearest", about))) == ["Nearest to Brazil", "Nearest to Dune", "Nearest to Casablanca"]


def test_no_neighbours_where_there_is_one_item() -> None:
    found = tables(report("nearest", subject(items=1, item_factors=[[1.0]], counts=(1,))))
    assert found["Nearest to 1"].rows == ()


# names


def test_items_are_found_by_title_and_by_id() -> None:
    known = Catalogue(["10", "20", "30", "1984"], {"10": "Alien", "20": "1984", "30": "30"})
    assert [known.find(wanted) for wanted in ("Alien", "1984", 1984, 10, "20", "30", 20)] == [1, 2, 4, 1, 2, 3, 2]


@pytest.mark.parametrize(
    ("wanted", "message", "help"),
    [
        ("star wars", "no item of the training set has the title or id `star wars`",
         'close to it: "Star Wars (1977)"'),
        ("Wars Star", "no item of the training set has the title or id `Wars Star`",
         'close to it: "Star Wars (1977)"'),
        ("Alein", "no item of the training set has the title or id `Alein`", 'close to it: "Alien"'),
        (77, "no item of the training set has the title or id `77`", 'close to it: "Star Wars (1977)"'),
        ("Qqq", "no item of the training set has the title or id `Qqq`",
         'an item is named by its title or id, such as "Alien" or "1"'),
        ("Dune", "2 items are called `Dune`", 'say which by its id: "3", "4"'),
    ],
)  # fmt: skip
def test_an_item_that_is_not_there_is_told_with_what_is_close(wanted: int | str, message: str, help: str) -> None:
    vocabulary = {
        "items": ["1", "2", "3", "4"],
        "titles": {"1": "Alien", "2": "Star Wars (1977)", "3": "Dune", "4": "Dune"},
    }
    facts = DataFacts("ratings", train=1, valid=1, vocabulary=vocabulary)
    (problem,) = items_exist(NearestParams(item=wanted), facts)
    assert (problem.message, problem.help, problem.field, problem.code) == (message, help, "item", "E208")


def test_ids_alone() -> None:
    facts = DataFacts("ratings", train=1, valid=1, vocabulary={"items": ["a1", "b2"]})
    (problem,) = items_exist(NearestParams(item=("a1", "zzzz")), facts)
    assert problem.message == "no item of the training set has the id `zzzz`"
    assert problem.help == 'an item is named by its id, such as "a1"'


def test_every_unknown_item_is_told_before_anything_runs(tmp_path: Path) -> None:
    spec = tmp_path / "t.exp"
    spec.write_text(RATINGS + 'report nearest(["12", 301, "Alien"])\n')
    with pytest.raises(SpecError) as refused:
        plan(spec)
    assert [(d.code, d.message) for d in refused.value.diagnostics] == [
        ("E208", "no item of the training set has the id `301`"),
        ("E208", "no item of the training set has the id `Alien`"),
    ]
    assert all(d.span is not None and d.span.text == '["12", 301, "Alien"]' for d in refused.value.diagnostics)


def test_an_item_that_a_run_did_not_know_is_refused_by_the_report() -> None:
    with pytest.raises(ComponentError, match="no item of the training set has the title or id `Solaris`"):
        report("nearest", subject(item_factors=factors(5, 2), titles=TITLES, counts=(1,) * 5), item="Solaris")


# models


def test_reports_that_the_model_has_no_table_for() -> None:
    text = RATINGS.replace("embedding_dot_bias(factors = 4)", "embedding_nn")
    assert faults(text + "report item_bias, factors_pca, user_bias\n") == [("E304", "item_bias"), ("E304", "user_bias")]
    assert faults(text + "report factors_pca, nearest\n") == []
    assert faults(RATINGS + "report item_bias, user_bias, factors_pca, nearest\n") == []


@pytest.mark.parametrize("name", REPORTS)
def test_data_that_the_reports_are_not_for(name: str) -> None:
    images = "experiment e\ndata digits\nmodel { body resnet18(weights = none) head mlp }\nloss cross_entropy\n"
    assert faults(f"{images}stage s {{ fit one_cycle(epochs = 1, lr = 1e-3) }}\nreport {name}\n") == [("E304", name)]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("item_bias", "item_bias"),
        ("user_bias", "user_bias"),
        ("factors_pca", "item_factors"),
        ("nearest", "item_factors"),
    ],
)
def test_a_table_that_is_not_there_or_not_of_these_ids(name: str, table: str) -> None:
    with pytest.raises(ComponentError, match=f"`embedding_dot_bias` has no table `{table}`"):
        report(name, subject(item_weights=factors(5, 2), my_item_bias=BIAS, my_user_bias=BIAS, item_factors2=BIAS))
    with pytest.raises(ComponentError, match=f"the table `{table}` of `embedding_dot_bias` is 10 × 1, and ."):
        report(name, subject(**{table: np.ones(9)}))


class Doubling(RatingModel):
    """Knows twice of an item what its table says."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        super().__init__(Settings())
        self.item_factors = nn.Embedding.from_pretrained(torch.tensor([[9.0, 9.0], *rows]))

    def item_vectors(self) -> Tensor:
        """Twice the table, and 1 more in the second place."""
        return 2 * self.item_factors.weight + torch.tensor([0.0, 1.0])


def test_what_a_model_adds_to_its_items_counts() -> None:
    network = Doubling([[1.0, 0.0], [0.0, 1.0]])  # as vectors (2, 1) and (0, 3), at a cosine of 1/√5
    found = tables(report("nearest", subject(items=2, counts=(2, 1), network=network), item=1))
    assert found["Nearest to 1"].rows == (("2", pytest.approx(5**-0.5), 1),)


# the map


def labels(points: NDArray[np.float64], names: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """Boxes in pixels of the names on the map, and of its frame."""
    figure = factor_map(points, names, "one", "two")
    (axes,) = figure.axes
    figure.draw_without_rendering()
    return {label.get_text(): label.get_window_extent() for label in axes.texts}, axes.get_window_extent()


def test_names_on_the_map_stand_apart_and_inside() -> None:
    points = np.random.default_rng(1).normal(0, 1, (300, 2))
    boxes, frame = labels(points, [f"A film of some length {n} (1990)" for n in range(60)])
    assert 25 < len(boxes) <= 60 and "A film of some length 0 (1990)" in boxes
    for box in boxes.values():
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    assert not any(one.overlaps(other) for one, other in combinations(boxes.values(), 2))


def test_a_crowd_keeps_the_names_that_come_first() -> None:
    points = np.array([[0.0, 0.0], *([10.0 + n / 1000, 0.0] for n in range(20))])
    boxes, _ = labels(points, [f"item {n}" for n in range(21)])
    assert 1 < len(boxes) < 10 and list(boxes) == [f"item {n}" for n in range(len(boxes))]


def test_names_are_cut_and_taken_as_they_are() -> None:
    points = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    boxes, _ = labels(points, ["A$$P_{2}", "x" * 50, ""])
    assert set(boxes) >= {"A$$P_{2}", "x" * 33 + "…"}


def test_a_map_without_names_and_with_fewer_points_than_names_asked_for() -> None:
    assert labels(factors(5, 2), [])[0] == {}
    section = report("factors_pca", subject(item_factors=factors(5, 3), titles=TITLES, counts=(5, 4, 3, 2, 1)))
    (plot,) = (block for block in section.blocks if isinstance(block, Plot))
    svg, width = draw(plot, 1)
    assert all(name in svg for name in ("Alien", "Brazil", "Casablanca", "component 1 (")) and width == 10
    named = report(
        "factors_pca", subject(item_factors=factors(5, 3), titles=TITLES, counts=(5, 4, 3, 2, 1)), labelled=1
    )
    (plot,) = (block for block in named.blocks if isinstance(block, Plot))
    assert ">Alien<" in draw(plot, 1)[0] and "Brazil" not in draw(plot, 1)[0]


def test_titles_of_any_script_are_drawn() -> None:
    titles = dict(zip("12345", ("七人の侍", "Амели", "אושפיזין", "Æon <b>&", "a" * 1000), strict=True))
    section = report("factors_pca", subject(item_factors=factors(5, 2), titles=titles, counts=(5, 4, 3, 2, 1)))
    (plot,) = (block for block in section.blocks if isinstance(block, Plot))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = draw(plot, 1)[0]
    assert "七人の侍" in svg and "Æon &lt;b&gt;&amp;" in svg


# parameters


@pytest.mark.parametrize("component", REPORTS.values(), ids=lambda component: component.name)
def test_components_keep_the_contract(component: Component) -> None:
    check_component(component)
    assert component.facts_for(component.params()).tasks == ("ratings",)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("item_bias", {"top": 0}), ("item_bias", {"items": 0}), ("item_bias", {"least_ratings": -1}),
        ("user_bias", {"top": 10**8}), ("factors_pca", {"components": 0}), ("factors_pca", {"components": 101}),
        ("factors_pca", {"items": 1}), ("factors_pca", {"labelled": -1}), ("nearest", {"item": ()}),
        ("nearest", {"item": ""}), ("nearest", {"item": 2.5}), ("nearest", {"top": 0}),
    ],
)  # fmt: skip
def test_parameters_out_of_bounds(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        REPORTS[name].params(**given)


def test_the_lessons_way_to_write_them() -> None:
    written = 'report item_bias(top = 10), user_bias(5), factors_pca(3, items = none), nearest("12"), nearest([1, "2"])'
    uses = resolved(RATINGS + written).experiment.reports
    assert [dict(use.params) for use in uses[-2:]] == [
        {"item": "12", "top": 10, "items": 1000},
        {"item": (1, "2"), "top": 10, "items": 1000},
    ]
    assert dict(uses[2].params)["items"] is None
