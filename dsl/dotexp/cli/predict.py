"""`spec-runner predict`."""

from __future__ import annotations

from pathlib import Path

import click

from dotexp.api import Prediction, predict
from dotexp.cli.output import device_option, json_option, print_json, runs_option
from dotexp.spec import Device

_SHOWN = 5


@click.command("predict")
@click.argument("run")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
@device_option
@runs_option
@json_option
def command(run: str, inputs: tuple[str, ...], device: str | None, root: Path, as_json: bool) -> None:
    """Predict for image files or folders, or for USER:ITEM pairs.

    RUN is a run's name, its folder, or an experiment's name (its newest finished run). An id that the training data
    did not have is given the mean of those it had, and marked.
    """
    predictions = predict(run, inputs, root, Device(device) if device else None)
    if as_json:
        print_json({"format_version": 1, "predictions": [each.as_json() for each in predictions]})
        return
    for prediction in predictions:
        click.echo(_line(prediction))


def _line(prediction: Prediction) -> str:
    name = " ".join(str(value) for value in prediction.input.values())
    if prediction.probabilities is not None:
        ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])[:_SHOWN]
        listed = ", ".join(f"{label} {probability:.4f}" for label, probability in ranked)
        value = prediction.value if isinstance(prediction.value, str) else ", ".join(map(str, _many(prediction)))
        return f"{name}: {value} ({listed})"
    said = ", ".join(f"{number:.4f}" for number in _many(prediction))
    unknown = f" (unknown {' and '.join(prediction.unknown)}: the mean of the known)" if prediction.unknown else ""
    return f"{name}: {said}{unknown}"


def _many(prediction: Prediction) -> tuple[str | float, ...]:
    return prediction.value if isinstance(prediction.value, tuple) else (prediction.value,)
