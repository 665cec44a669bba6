"""Reports on what a classifier gets right and wrong.

Counts and curves are scikit-learn's, calibration errors torchmetrics', losses those of the run's own loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from dotexp import ComponentError
from dotexp.sdk.data import Named
from dotexp.sdk.report import Cell, Paragraph, Picture, Pictures, Plot, Reporter, Section, Subject, Table
from dotexp.sdk.seeds import Draw
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix as count_confusions
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from dotexp_vision.reports.params import (
    CalibrationParams,
    ConfusionMatrixParams,
    MostConfusedParams,
    PerClassParams,
    TopLossesParams,
    TtaParams,
)
from dotexp_vision.reports.plots import Interval, draw_confusions, draw_reliability

THRESHOLD = 0.5
MOST_DRAWN = 100
"""Classes up to which a confusion matrix is drawn, and given as a table."""


def confusion_matrix(params: ConfusionMatrixParams) -> Reporter:
    """Report the confusion matrix, [actual, predicted] as fastai has it."""

    def report(subject: Subject) -> Sequence[Section]:
        names = _classes(subject)
        if subject.facts.task == "multilabel":
            return [Section("Right and wrong by label", (_label_counts(subject, names),))]
        counts = _confusions(subject)
        wrong = int(counts.sum() - np.trace(counts))
        said = Paragraph(f"{wrong:,} of {int(counts.sum()):,} validation examples are taken for another class.")
        if len(names) > MOST_DRAWN:
            many = Paragraph(f"{len(names):,} classes are too many to draw: `most_confused` lists the pairs.")
            return [Section("Confusion matrix", (said, many))]
        shown = counts / counts.sum(axis=1, keepdims=True).clip(1) if params.normalize else counts
        plot = Plot(f"Confusion matrix: {wrong:,} errors", lambda: draw_confusions(counts, names, params.normalize))
        rows = tuple((name, *row) for name, row in zip(names, shown.tolist(), strict=True))
        table = Table("Actual by predicted", ("", *names), rows, folded=True)
        return [Section("Confusion matrix", (said, plot, table))]

    return report


def most_confused(params: MostConfusedParams) -> Reporter:
    """Report the pairs confused at least `min` times, most often first."""

    def report(subject: Subject) -> Sequence[Section]:
        names, counts = _classes(subject), _confusions(subject)
        np.fill_diagonal(counts, 0)
        places = sorted(zip(*np.nonzero(counts >= params.min), strict=True), key=lambda place: (-counts[place], place))
        rows = tuple((names[actual], names[predicted], int(counts[actual, predicted])) for actual, predicted in places)
        if not rows:
            often = "once" if params.min == 1 else f"{params.min} times"
            return [Section("Most confused", (Paragraph(f"No pair of classes is confused {often} or more."),))]
        return [Section("Most confused", (Table("", ("actual", "predicted", "times"), rows),))]

    return report


def top_losses(params: TopLossesParams) -> Reporter:
    """Report the examples with the highest losses: pictures, and a table."""

    def report(subject: Subject) -> Sequence[Section]:
        losses = subject.losses()
        values, places = losses.topk(min(params.k, len(losses)))
        names = subject.part.names if isinstance(subject.part, Named) else [f"example {i}" for i in range(len(losses))]
        header, answers = _answers(subject, places)
        rows = [
            (names[place], *answer[:2], float(loss), *answer[2:])
            for place, answer, loss in zip(places.tolist(), answers, values, strict=True)
        ]
        header = ("example", *header[:2], "loss", *header[2:])
        captions = ["\n".join([str(row[0]), *map(_said, header[1:], row[1:])]) for row in rows]
        shown = Pictures("", tuple(map(Picture, _images(subject, places), captions)))
        return [Section("Top losses", (shown, Table("The same as a table", header, tuple(rows), folded=True)))]

    return report


def per_class(params: PerClassParams) -> Reporter:
    """Report precision, recall, F1 and support by class, and the means over the classes that there are."""

    def report(subject: Subject) -> Sequence[Section]:
        names = _classes(subject)
        targets, predicted = (_by_class(of(subject), len(names)) for of in (_targets, _predicted))
        scores = [_scores(*pair) for pair in zip(targets, predicted, strict=True)]
        rows: list[tuple[Cell, ...]] = [
            (name, *numbers, int(support)) for name, (*numbers, support) in zip(names, scores, strict=True)
        ]
        counted = targets.any(1) | predicted.any(1)
        means = np.array(scores)[counted, :3].mean(0) if counted.any() else np.zeros(3)
        rows.append(("mean over classes", *means.tolist(), int(targets.sum())))
        header = ("class", "precision", "recall", "F1", "examples")
        return [Section("By class", (Table("", header, tuple(rows)),))]

    return report


def calibration(params: CalibrationParams) -> Reporter:
    """Report the reliability diagram of the likeliest class, or of all labels, and the expected calibration error."""

    def report(subject: Subject) -> Sequence[Section]:
        outputs, targets = subject.outputs, subject.targets
        if subject.facts.task == "multilabel":
            confidence, right = outputs.flatten(), targets.flatten() > THRESHOLD
            error = binary_calibration_error(confidence, right.long(), n_bins=params.bins)
            what, share = "probability of a label", "share of examples that have it"
        else:
            confidence, predicted = outputs.max(-1)
            right = predicted == targets
            error = multiclass_calibration_error(outputs, targets, outputs.shape[-1], n_bins=params.bins)
            what, share = "probability of the predicted class", "share that is right"
        bins = _bins(confidence.double().numpy(), right.numpy(), params.bins)
        mean, accuracy = float(confidence.double().mean()), float(right.double().mean())
        said = (
            f"Expected calibration error {float(error):.4f}. The mean {what} is {mean:.4f}, the {share} "
            f"{accuracy:.4f}: the model is {_verdict(mean, accuracy)}."
        )
        title = f"Reliability diagram, expected calibration error {float(error):.4f}"
        plot = Plot(title, lambda: draw_reliability(bins, params.bins, what, share))
        rows = tuple((f"{one.low:.2f} – {one.high:.2f}", one.examples, one.mean, one.share) for one in bins)
        table = Table("Intervals", ("from – to", "examples", f"mean {what}", share), rows, folded=True)
        return [Section("Calibration", (Paragraph(said), plot, table))]

    return report


def tta(params: TtaParams) -> Reporter:
    """Report the experiment's metrics, accuracy if it has none, with and without test-time augmentation."""

    def report(subject: Subject) -> Sequence[Section]:
        if subject.augmented is None:
            message = "the data augments no images, so there is nothing to average"
            raise ComponentError(message, help="give the data `augment = standard`")
        passes = [subject.augmented(Draw(subject.seed, "tta", copy)) for copy in range(params.copies)]
        averaged = torch.stack(passes).mean(0).lerp(subject.outputs, params.beta)
        plain, better = _metrics(subject, subject.outputs), _metrics(subject, averaged)
        rows = tuple((name, plain[name], better[name], better[name] - plain[name]) for name in plain)
        table = Table("", ("metric", "plain", "augmented", "difference"), rows)
        shares = f"{1 - params.beta:.0%}, the plain one {params.beta:.0%}"
        said = f"The mean of {params.copies} augmented passes counts {shares}."
        if subject.facts.task == "classification":
            before, after = (outputs.argmax(-1) == subject.targets for outputs in (subject.outputs, averaged))
            mended, spoilt = int((after & ~before).sum()), int((before & ~after).sum())
            said += f" Wrong answers mended: {mended}; right ones spoilt: {spoilt}."
        return [Section("Test-time augmentation", (Paragraph(said), table))]

    return report


def _classes(subject: Subject) -> tuple[str, ...]:
    if subject.facts.classes is None:
        raise ComponentError("the data has no classes to report on")
    return subject.facts.classes


def _predicted(subject: Subject) -> NDArray[np.int64]:
    outputs = subject.outputs
    labels = outputs > THRESHOLD if subject.facts.task == "multilabel" else outputs.argmax(-1)
    return labels.long().numpy()


def _targets(subject: Subject) -> NDArray[np.int64]:
    targets = subject.targets > THRESHOLD if subject.facts.task == "multilabel" else subject.targets
    return targets.long().numpy()


def _confusions(subject: Subject) -> NDArray[np.int64]:
    labels = range(len(_classes(subject)))
    counts: NDArray[np.int64] = count_confusions(_targets(subject), _predicted(subject), labels=list(labels))
    return counts


def _by_class(labels: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Whether each example is of each class, (classes, N), for class numbers (N,) or labels (N, classes) of 0 and 1.

    scikit-learn takes a matrix with one column for class numbers 0 and 1, so it is given each class by itself.
    """
    found: NDArray[np.bool_] = labels == np.arange(classes)[:, None] if labels.ndim == 1 else labels.T == 1
    return found


def _scores(targets: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> list[float]:
    """Precision, recall, F1 and support of one class."""
    columns = precision_recall_fscore_support(targets, predicted, labels=[True], average=None, zero_division=0)
    return [float(column[0]) for column in columns]


def _verdict(confidence: float, accuracy: float) -> str:
    """Compare a mean probability with the share that is right, to the four decimals that are printed."""
    difference = round(confidence, 4) - round(accuracy, 4)
    if difference == 0:
        return "neither overconfident nor underconfident"
    return "overconfident" if difference > 0 else "underconfident"


def _label_counts(subject: Subject, names: Sequence[str]) -> Table:
    header = ("label", "found", "missed", "wrongly found", "rightly not found")
    order = [(1, 1), (1, 0), (0, 1), (0, 0)]  # of [actual, predicted]
    pairs = zip(_by_class(_targets(subject), len(names)), _by_class(_predicted(subject), len(names)), strict=True)
    counts = [count_confusions(truth, answer, labels=[False, True]) for truth, answer in pairs]
    rows: list[tuple[Cell, ...]] = [
        (name, *(int(of[place]) for place in order)) for name, of in zip(names, counts, strict=True)
    ]
    return Table("", header, tuple(rows))


def _answers(subject: Subject, places: Tensor) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """What was predicted and what is so, for some examples; for classes with the probability of the actual one."""
    outputs, targets, names = subject.outputs[places], subject.targets[places], subject.facts.classes
    if names is None:
        pairs = zip(outputs.reshape(len(places), -1).tolist(), targets.reshape(len(places), -1).tolist(), strict=True)
        return ("predicted", "actual"), [(_numbers(one), _numbers(other)) for one, other in pairs]
    if subject.facts.task == "multilabel":
        found = [[_labels(names, row) for row in rows > THRESHOLD] for rows in (outputs, targets)]
        return ("predicted", "actual"), list(zip(*found, strict=True))
    chosen, actual = outputs.argmax(-1).tolist(), targets.tolist()
    answers: list[tuple[Cell, ...]] = [
        (names[one], names[other], float(row[other])) for one, other, row in zip(chosen, actual, outputs, strict=True)
    ]
    return ("predicted", "actual", "probability of actual"), answers


def _labels(names: Sequence[str], there: Tensor) -> str:
    return ", ".join(name for name, is_there in zip(names, there.tolist(), strict=True) if is_there) or "none"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _said(name: str, value: Cell) -> str:
    return f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}"


def _images(subject: Subject, places: Tensor) -> list[Tensor]:
    batches = subject.part.batches(places, subject.batch_size, None, torch.device("cpu"))
    images = [image for batch in batches for image in batch.inputs[0]]
    if any(image.ndim != 3 or image.shape[0] != 3 for image in images):
        raise ComponentError("top_losses shows pictures, and the data gives none")
    return images


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int) -> list[Interval]:
    """Count the intervals that hold examples."""
    shares, means = calibration_curve(right, confidence, n_bins=bins, strategy="uniform")
    edges = np.linspace(0, 1, bins + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], confidence), minlength=bins)  # the intervals as sklearn cuts them
    held = np.nonzero(counts)[0]
    return [
        Interval(float(edges[i]), float(edges[i + 1]), int(counts[i]), float(mean), float(share))
        for i, mean, share in zip(held, means, shares, strict=True)
    ]


def _metrics(subject: Subject, outputs: Tensor) -> dict[str, float]:
    uses = subject.metrics
    if not uses and subject.facts.task == "classification":
        return {"accuracy": float((outputs.argmax(-1) == subject.targets).double().mean())}
    values = {}
    for place, use in enumerate(uses, 1):
        metric = use.build(subject.facts)
        metric.update(outputs, subject.targets)
        values[use.name if use.name not in values else f"{use.name} ({place})"] = float(metric.compute())
    if not values:
        raise ComponentError("the experiment has no metrics to compare by: give it some, such as `metrics accuracy`")
    return values
