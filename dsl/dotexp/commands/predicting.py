"""Predictions of a finished run, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dotexp.commands.references import load_run
from dotexp.components.component import load_attribute
from dotexp.components.facts import Task
from dotexp.components.registry import Registry
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import UsageError
from dotexp.planning.inference import inference_of
from dotexp.runs.folder import RunFolder


@dataclass(frozen=True)
class Prediction:
    """What a run predicts for one input.

    `input` names it (a path, a user and an item); `value` is the class, the classes that apply, or the number;
    `probabilities` are by class; `unknown` lists which of a pair's ids the training data did not have, and `stand_in`
    says what the model took in their place.
    """

    input: dict[str, Any]
    value: str | float | tuple[str, ...] | tuple[float, ...]
    probabilities: dict[str, float] | None = None
    unknown: tuple[str, ...] = field(default=())
    stand_in: str = ""

    def as_json(self) -> dict[str, Any]:
        """`predict --json`'s row."""
        row: dict[str, Any] = {**self.input, "value": self.value}
        if self.probabilities is not None:
            row["probabilities"] = self.probabilities
        return {**row, "unknown": list(self.unknown), "stand_in": self.stand_in} if self.unknown else row


def predictions(
    folder: RunFolder, inputs: Sequence[str], registry: Registry, device: Device | None, tta: int
) -> Iterator[Prediction]:
    """Yield a prediction for each input, in bounded memory."""
    from dotexp.engine.prediction import predict

    experiment = load_run(folder, (), registry).experiment
    data = experiment.stages[-1].data
    if data.component.encode is None:
        raise UsageError(f"`{data.name}` does not say how to encode new inputs, so nothing can be predicted from it")
    facts = folder.read_facts()
    encoded = load_attribute(data.component.encode)(data.params, facts.vocabulary, list(inputs))
    whole = experiment.model.whole
    stand_in = whole.facts.unknown if whole is not None else ""
    rows = iter(encoded.rows)
    for outputs in predict(inference_of(experiment), folder, encoded, device, tta):
        for output in outputs.tolist():
            prediction = _prediction(dict(next(rows)), output, facts.task, facts.classes)
            yield replace(prediction, stand_in=stand_in) if prediction.unknown else prediction


def _prediction(row: dict[str, Any], output: Any, task: Task, classes: tuple[str, ...] | None) -> Prediction:
    unknown = tuple(row.pop("unknown", ()))
    if classes is None:
        value = output[0] if isinstance(output, list) and len(output) == 1 else output
        return Prediction(row, tuple(value) if isinstance(value, list) else value, None, unknown)
    probabilities = dict(zip(classes, output, strict=True))
    if task is Task.multilabel:
        return Prediction(row, tuple(name for name, p in probabilities.items() if p > 0.5), probabilities, unknown)
    return Prediction(row, max(probabilities, key=lambda name: probabilities[name]), probabilities, unknown)
