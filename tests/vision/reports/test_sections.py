"""Reports on classifiers, against counts by hand and fastai's definitions; and test-time augmentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import dotexp
import numpy as np
import pytest
import torch
from dotexp import ComponentError, DataFacts, UsageError
from dotexp.components.component import load_attribute
from dotexp.components.registry import load_registry
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.reporting import make_subject
from dotexp.planning.inference import inference_of
from dotexp.runs.folder import RunFolder
from dotexp.sdk.data import Batch
from dotexp.sdk.report import Cell, Paragraph, Pictures, Plot, Section, Subject, Table
from dotexp.sdk.seeds import Draw
from dotexp_vision.reports import sections as reports
from dotexp_vision.reports.params import (
    CalibrationParams,
    ConfusionMatrixParams,
    MostConfusedParams,
    PerClassParams,
    TopLossesParams,
    TtaParams,
)
from PIL import Image
from spec_runner import runner
from torch import Tensor

from specs import IMAGES, RATINGS, faults, resolved

ANIMALS = ("ant", "bee", "cat")
CPU = torch.device("cpu")
#                 ant  bee  cat
PROBABILITIES = [[0.90, 0.08, 0.02], [0.30, 0.58, 0.12], [0.20, 0.75, 0.05], [0.05, 0.90, 0.05],
                 [0.10, 0.55, 0.35], [0.25, 0.17, 0.58], [0.17, 0.78, 0.05]]  # fmt: skip
ACTUAL = [0, 0, 0, 1, 2, 2, 2]
PREDICTED = [0, 1, 1, 1, 1, 2, 1]


class Photographs:
    """A part of seven images with names: image i is grey, at i tenths."""

    names = tuple(f"{name}.jpg" for name in "abcdefg")

    def __len__(self) -> int:
        return 7

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Batches of greys."""
        for piece in order.split(batch_size):
            yield Batch(((piece / 10).reshape(-1, 1, 1, 1).expand(-1, 3, 4, 4),), torch.zeros(len(piece)))


def subject(
    outputs: Sequence[Sequence[float]] = PROBABILITIES,
    targets: Sequence[object] = ACTUAL,
    task: str = "classification",
    classes: tuple[str, ...] | None = ANIMALS,
    metrics: str = "metrics accuracy",
    **more: object,
) -> Subject:
    """What reports look at, made by hand; losses are of the likeliest sort."""
    experiment = resolved(IMAGES.replace("metrics accuracy", metrics)).experiment
    values, truth = torch.tensor(outputs), torch.tensor(targets)
    facts = DataFacts(task, train=1, valid=len(values), classes=classes, outputs=values.shape[-1])
    if task == "classification":
        own = -values[range(len(values)), truth].log()
    else:
        own = (values - truth.float()).abs().sum(1)
    fields = {"metrics": experiment.metrics, "model": experiment.model,
              "facts": facts, "network": torch.nn.Identity(), "part": Photographs(),
              "outputs": values, "targets": truth, "losses": lambda: own, "activate": lambda o: o, "batch_size": 2,
              "seed": 42}  # fmt: skip
    return Subject(**{**fields, **more})  # type: ignore[arg-type]


def one(sections: Sequence[Section]) -> Section:
    (section,) = sections
    return section


def table(sections: Sequence[Section]) -> tuple[tuple[Cell, ...], ...]:
    (found,) = (block for block in one(sections).blocks if isinstance(block, Table))
    return found.rows


def text(sections: Sequence[Section]) -> str:
    return " ".join(block.text for block in one(sections).blocks if isinstance(block, Paragraph))


def plots(sections: Sequence[Section]) -> list[Plot]:
    return [block for block in one(sections).blocks if isinstance(block, Plot)]


# Confusions


def test_confusions_are_rows_of_what_is_and_columns_of_what_is_said() -> None:
    made = reports.confusion_matrix(ConfusionMatrixParams())(subject())
    assert table(made) == (("ant", 1, 2, 0), ("bee", 0, 1, 0), ("cat", 0, 2, 1))
    assert text(made) == "4 of 7 validation examples are taken for another class."
    (plot,) = plots(made)
    (axes,) = plot.draw().axes
    drawn = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert drawn == {(0, 0): "1", (0, 1): "2", (1, 1): "1", (2, 1): "2", (2, 2): "1"}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(ANIMALS) and axes.yaxis_inverted()


def test_confusions_as_shares_of_each_actual_class() -> None:
    made = reports.confusion_matrix(ConfusionMatrixParams(normalize=True))(subject())
    assert table(made)[0] == ("ant", pytest.approx(1 / 3), pytest.approx(2 / 3), 0)
    assert {t.get_text() for t in plots(made)[0].draw().axes[0].texts} == {"33%", "67%", "100%"}


def test_very_many_classes_are_not_drawn() -> None:
    names = tuple(f"class {i}" for i in range(101))
    outputs = torch.eye(101).tolist()
    made = reports.confusion_matrix(ConfusionMatrixParams())(subject(outputs, list(range(101)), classes=names))
    assert plots(made) == [] and "101 classes are too many to draw" in text(made)
    fewer = subject(torch.eye(37).tolist(), list(range(37)), classes=names[:37])
    assert plots(reports.confusion_matrix(ConfusionMatrixParams())(fewer))[0].draw().get_size_inches()[0] > 5


def test_most_confused_are_pairs_by_falling_count() -> None:
    assert table(reports.most_confused(MostConfusedParams())(subject())) == (("ant", "bee", 2), ("cat", "bee", 2))
    targets = [0, 0, 0, 0, 2, 2, 2]
    made = reports.most_confused(MostConfusedParams(min=1))(subject(targets=targets))
    assert table(made) == (("ant", "bee", 3), ("cat", "bee", 2))
    none = reports.most_confused(MostConfusedParams(min=3))(subject())
    assert text(none) == "No pair of classes is confused 3 times or more."


# Losses, scores and probabilities


def test_top_losses_come_with_pictures_and_captions() -> None:
    made = one(reports.top_losses(TopLossesParams(k=3))(subject()))
    pictures, rows = made.blocks[0], made.blocks[1]
    assert isinstance(pictures, Pictures) and isinstance(rows, Table)
    # minus logs of the actual class's probabilities: 0.05 (g), 0.2 (c), 0.3 (b)
    assert [row[0] for row in rows.rows] == ["g.jpg", "c.jpg", "b.jpg"]
    assert rows.header == ("example", "predicted", "actual", "loss", "probability of actual")
    assert rows.rows[0] == ("g.jpg", "bee", "cat", pytest.approx(-np.log(0.05), rel=1e-5), pytest.approx(0.05))
    assert pictures.pictures[0].caption == (
        "g.jpg\npredicted: bee\nactual: cat\nloss: 2.9957\nprobability of actual: 0.0500"
    )
    assert [float(picture.image[0, 0, 0]) for picture in pictures.pictures] == pytest.approx([0.6, 0.2, 0.1])
    assert len(one(reports.top_losses(TopLossesParams(k=1000))(subject())).blocks[1].rows) == 7  # type: ignore[union-attr]


def test_top_losses_of_a_regression_and_of_data_without_names_or_images() -> None:
    numbers = [[float(i)] for i in range(7)]
    made = one(reports.top_losses(TopLossesParams(k=1))(subject(numbers, [[9.5]] * 7, task="regression", classes=None)))
    assert made.blocks[1].rows == (("a.jpg", "0", "9.5", 9.5),)  # type: ignore[union-attr]

    class Pairs:
        """A part of numbers without names."""

        def __len__(self) -> int:
            return 7

        def batches(self, order: Tensor, *_: object, **__: object) -> Iterator[Batch]:
            """Batches of pairs."""
            yield Batch((order.reshape(-1, 1).expand(-1, 2),), order)

    with pytest.raises(ComponentError, match="top_losses shows pictures, and the data gives none"):
        reports.top_losses(TopLossesParams())(subject(part=Pairs()))


def test_scores_by_class() -> None:
    rows = {row[0]: row[1:] for row in table(reports.per_class(PerClassParams())(subject()))}
    assert rows["ant"] == (1.0, pytest.approx(1 / 3), pytest.approx(0.5), 3)
    assert rows["bee"] == (0.2, 1.0, pytest.approx(1 / 3), 1)
    assert rows["cat"] == (1.0, pytest.approx(1 / 3), pytest.approx(0.5), 3)
    f1 = (0.5 + 1 / 3 + 0.5) / 3
    assert rows["mean over classes"] == (pytest.approx(2.2 / 3), pytest.approx(5 / 9), pytest.approx(f1), 7)


def test_a_class_that_is_nowhere_does_not_count_for_the_means() -> None:
    outputs = [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]
    rows = table(reports.per_class(PerClassParams())(subject(outputs, [0, 1])))
    assert rows[2] == ("cat", 0.0, 0.0, 0.0, 0) and rows[3] == ("mean over classes", 1.0, 1.0, 1.0, 2)


def test_calibration_error_by_hand() -> None:
    made = reports.calibration(CalibrationParams(bins=5))(subject())
    # likeliest: 0.9 right, 0.58 and 0.75 wrong, 0.9 right, 0.55 wrong, 0.58 right, 0.78 wrong
    bins = [("0.40 – 0.60", 3, (0.58 + 0.55 + 0.58) / 3, 1 / 3), ("0.60 – 0.80", 2, (0.75 + 0.78) / 2, 0.0),
            ("0.80 – 1.00", 2, 0.9, 1.0)]  # fmt: skip
    for row, expected in zip(table(made), bins, strict=True):
        assert row == (*expected[:2], pytest.approx(expected[2], abs=1e-6), pytest.approx(expected[3]))
    error = sum(n * abs(mean - share) for _, n, mean, share in bins) / 7
    assert text(made).startswith(f"Expected calibration error {error:.4f}.")
    assert text(made).endswith("The mean probability of the predicted class is 0.7200, the share that is right 0.4286: "
                               "the model is overconfident.")  # fmt: skip
    (plot,) = plots(made)
    upper, lower = plot.draw().axes
    assert list(upper.lines[1].get_xdata()) == pytest.approx([row[2] for row in bins], abs=1e-6)
    assert list(upper.lines[1].get_ydata()) == pytest.approx([row[3] for row in bins])
    assert [(patch.get_height(), round(patch.get_x() + patch.get_width() / 2, 2)) for patch in lower.patches] == [
        (3, 0.5), (2, 0.7), (2, 0.9)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outputs", "targets", "verdict"),
    [
        ([[0.9, 0.1], [0.8, 0.2]], [1, 1], "overconfident"),
        ([[0.9, 0.1], [0.8, 0.2]], [0, 0], "underconfident"),
        ([[0.75, 0.25]] * 4, [0, 0, 0, 1], "neither overconfident nor underconfident"),
    ],
)
def test_the_verdict_compares_mean_confidence_with_accuracy(
    outputs: list[list[float]], targets: list[int], verdict: str
) -> None:
    made = reports.calibration(CalibrationParams())(subject(outputs, targets, classes=("no", "yes")))
    assert text(made).endswith(f": the model is {verdict}.")


# Several labels


LABELS = [[0.9, 0.2], [0.6, 0.7], [0.4, 0.1]]
TRUTH = [[1, 0], [0, 1], [1, 1]]


def labelled() -> Subject:
    return subject(LABELS, TRUTH, task="multilabel", classes=("sea", "sun"))


def test_several_labels_are_counted_each_by_itself() -> None:
    made = reports.confusion_matrix(ConfusionMatrixParams())(labelled())
    assert table(made) == (("sea", 1, 1, 1, 0), ("sun", 1, 1, 0, 1))
    rows = table(reports.per_class(PerClassParams())(labelled()))
    assert rows[0] == ("sea", 0.5, 0.5, 0.5, 2) and rows[1] == ("sun", 1.0, 0.5, pytest.approx(2 / 3), 2)
    losses = one(reports.top_losses(TopLossesParams(k=1))(labelled())).blocks[1]
    assert isinstance(losses, Table)
    assert losses.rows[0][:3] == ("c.jpg", "none", "sea, sun")


def test_one_label_is_counted_as_one_of_several_is() -> None:
    one_label = {"task": "multilabel", "classes": ("sun",)}
    seen = subject([[0.9], [0.6], [0.4], [0.2], [0.1]], [[1], [0], [1], [0], [0]], **one_label)  # type: ignore[arg-type]
    assert table(reports.confusion_matrix(ConfusionMatrixParams())(seen)) == (("sun", 1, 1, 1, 2),)
    assert table(reports.per_class(PerClassParams())(seen)) == (
        ("sun", 0.5, 0.5, 0.5, 2),
        ("mean over classes", 0.5, 0.5, 0.5, 2),
    )
    nowhere = subject([[0.1]] * 3, [[0]] * 3, **one_label)  # type: ignore[arg-type]
    assert table(reports.confusion_matrix(ConfusionMatrixParams())(nowhere)) == (("sun", 0, 0, 0, 3),)
    assert table(reports.per_class(PerClassParams())(nowhere))[0] == ("sun", 0.0, 0.0, 0.0, 0)
    everywhere = subject([[0.9]] * 3, [[1]] * 3, **one_label)  # type: ignore[arg-type]
    assert table(reports.confusion_matrix(ConfusionMatrixParams())(everywhere)) == (("sun", 3, 0, 0, 0),)
    assert table(reports.per_class(PerClassParams())(everywhere))[0] == ("sun", 1.0, 1.0, 1.0, 3)


def test_calibration_of_several_labels_is_over_all_of_them() -> None:
    made = reports.calibration(CalibrationParams(bins=2))(labelled())
    low, high = table(made)  # 0.2 0.4 0.1 with labels 0 1 1; 0.9 0.6 0.7 with 1 0 1
    assert low == ("0.00 – 0.50", 3, pytest.approx(0.7 / 3), pytest.approx(2 / 3))
    assert high == ("0.50 – 1.00", 3, pytest.approx(2.2 / 3), pytest.approx(2 / 3))
    error = (3 * (2 / 3 - 0.7 / 3) + 3 * (2.2 / 3 - 2 / 3)) / 6
    assert text(made).startswith(f"Expected calibration error {error:.4f}.")


# What fits


def test_reports_on_classes_are_refused_for_ratings() -> None:
    names = ("confusion_matrix", "most_confused", "top_losses", "per_class", "calibration", "tta")
    assert faults(f"{RATINGS}\nreport {', '.join(names)}") == [("E304", name) for name in names]
    assert faults(f"{IMAGES}\nreport {', '.join(names)}") == []
    assert faults(IMAGES + "\nreport top_losses(0)") == [("E207", "0")]


def test_the_components_keep_to_the_contract() -> None:
    from dotexp.testing import check_component

    found = [c for c in load_registry().components if c.kind == "report" and c.provider == "dotexp_vision"]
    assert len(found) == 6
    for component in found:
        check_component(component)


def test_most_confused_is_for_one_label_an_example() -> None:
    (component,) = load_registry().find("report", "most_confused")
    assert component.facts_for(MostConfusedParams()).tasks == ("classification",)


# Test-time augmentation


def test_metrics_with_and_without_varied_passes() -> None:
    passes = {i: torch.rand(7, 3, generator=torch.Generator().manual_seed(i)).softmax(1) for i in range(3)}
    asked = []

    def augmented(draw: Draw) -> Tensor:
        asked.append(draw)
        return passes[draw.epoch]

    made = reports.tta(TtaParams(copies=3))(subject(augmented=augmented, metrics="metrics accuracy, f1"))
    assert asked == [Draw(42, "tta", i) for i in range(3)]
    averaged = 0.25 * np.array(PROBABILITIES) + 0.75 * np.mean([one.numpy() for one in passes.values()], axis=0)
    plain, better = (float((p.argmax(1) == ACTUAL).mean()) for p in (np.array(PROBABILITIES), averaged))
    rows = {row[0]: row[1:] for row in table(made)}
    assert list(rows) == ["accuracy", "f1"]
    assert rows["accuracy"] == (pytest.approx(plain), pytest.approx(better), pytest.approx(better - plain))
    mended = int(((averaged.argmax(1) == ACTUAL) & (np.array(PREDICTED) != ACTUAL)).sum())
    assert f"counts 75%, the plain one 25%. Wrong answers mended: {mended};" in text(made)


def test_without_metrics_it_is_accuracy_and_a_regression_needs_one() -> None:
    made = reports.tta(TtaParams(copies=1, beta=1))(subject(augmented=lambda draw: torch.zeros(7, 3), metrics=""))
    assert table(made) == (("accuracy", pytest.approx(3 / 7), pytest.approx(3 / 7), 0.0),)
    regression = subject([[1.0]] * 7, [[1.0]] * 7, task="regression", classes=None, metrics="",
                         augmented=lambda draw: torch.zeros(7, 1))  # fmt: skip
    with pytest.raises(ComponentError, match="the experiment has no metrics to compare by"):
        reports.tta(TtaParams())(regression)
    with pytest.raises(ComponentError, match="the data augments no images"):
        reports.tta(TtaParams())(subject())


PHOTOS = """
experiment photos
seed 3
data image_folder("photos", valid = 6, size = 40, batch_size = 4, augment = [rotate(90, p = 1), flip])
model { body squeezenet1_1(weights = none)  head linear }
loss cross_entropy
metrics accuracy
stage train { fit one_cycle(epochs = 1, lr = 1e-3) }
report tta(copies = 2), top_losses(2)
runtime(threads = 1)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """A folder of small pictures whose left or right half is bright, with a run on them."""
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    for name in ("left", "right"):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = noise.integers(0, 90, (32, 32, 3))
            pixels[:, slice(0, 16) if name == "left" else slice(16, 32)] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name / f"{i}.png")
    (folder / "photos.exp").write_text(PHOTOS)
    return folder, dotexp.run(folder / "photos.exp", runs=folder / "runs")


def valid_subject(run: RunFolder) -> Subject:
    return make_subject(inference_of(dotexp.load(run.resolved).experiment), run, DataStore(), CPU)


@pytest.mark.run
def test_a_run_on_photographs_reports_its_varied_passes(photos: tuple[Path, RunFolder]) -> None:
    folder, run = photos
    answer = json.loads(runner("report", "photos", "--json", folder=folder).stdout)
    assert answer["problems"] == []
    tables = {section["title"]: section["tables"] for section in answer["sections"]}
    assert tables["Test-time augmentation"][0]["rows"][0][:2] == ["accuracy", run.read_epochs()[-1].metrics["accuracy"]]
    assert [row[0].rpartition("/")[2].endswith(".png") for row in tables["Top losses"][0]["rows"]] == [True, True]


@pytest.mark.run
def test_predictions_with_varied_passes_are_fastais_average(photos: tuple[Path, RunFolder]) -> None:
    folder, run = photos
    files = sorted(str(path) for path in (folder / "photos").rglob("*.png"))
    augmented = dotexp.predict(run, files, tta=3)
    plain = dotexp.predict(run, files)
    assert [one.input for one in augmented] == [one.input for one in plain] and augmented != plain
    assert dotexp.predict(run, files, tta=3) == augmented

    seen = valid_subject(run)
    experiment = dotexp.load(run.resolved).experiment
    data = experiment.stages[-1].data
    encoded = load_attribute(data.component.inputs.encoder)(data.params, seen.facts.vocabulary)(files)
    assert encoded.augmented is not None
    with torch.no_grad():
        passes = [
            torch.cat([seen.network(*batch).softmax(1) for batch in encoded.augmented(Draw(3, "tta", copy))])
            for copy in range(3)
        ]
        base = torch.cat([seen.network(*batch).softmax(1) for batch in encoded.batches])
    assert not torch.equal(passes[0], passes[1])
    expected = 0.25 * base + 0.75 * sum(passes) / 3
    found = torch.tensor([list((one.probabilities or {}).values()) for one in augmented])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(24))


@pytest.mark.run
def test_the_validation_part_is_varied_by_a_draw_alone(photos: tuple[Path, RunFolder]) -> None:
    seen = valid_subject(photos[1])
    assert seen.augmented is not None
    first, second = seen.augmented(Draw(3, "tta", 0)), seen.augmented(Draw(3, "tta", 1))
    assert torch.equal(seen.augmented(Draw(3, "tta", 0)), first)
    assert not torch.equal(first, second) and not torch.equal(first, seen.outputs)


@pytest.mark.run
def test_the_command_line_averages_too(photos: tuple[Path, RunFolder]) -> None:
    folder, run = photos
    arguments = ("predict", "photos", "photos/left/0.png", "--json")
    (answer,) = json.loads(runner(*arguments, "--tta", "2", folder=folder).stdout)["predictions"]
    (expected,) = dotexp.predict(run, [str(folder / "photos" / "left" / "0.png")], tta=2)
    assert answer["probabilities"] == pytest.approx(expected.probabilities)
    assert runner(*arguments, "--tta", "0", folder=folder).returncode == 2


@pytest.mark.run
def test_where_nothing_varies_the_inputs_that_is_said(photos: tuple[Path, RunFolder], tmp_path: Path) -> None:
    folder, _ = photos
    plain = dotexp.run(folder / "photos.exp", ["data.augment=none", "report=[top_losses(1)]"], runs=tmp_path)
    with pytest.raises(UsageError, match="`image_folder` augmented nothing in this run, so there is nothing"):
        dotexp.predict(plain, [str(folder / "photos" / "left" / "0.png")], tta=2)
    assert valid_subject(plain).augmented is None


@pytest.mark.parametrize(
    ("confidence", "accuracy", "verdict"),
    [
        (0.9001, 0.9, "overconfident"),
        (0.8999, 0.9, "underconfident"),
        (0.90004, 0.9, "neither overconfident nor underconfident"),
    ],
)
def test_the_verdict_goes_by_the_four_decimals_that_are_printed(
    confidence: float, accuracy: float, verdict: str
) -> None:
    assert reports._verdict(confidence, accuracy) == verdict
