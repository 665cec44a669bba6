"""The model card of a bundle: README.md in the form that the Hugging Face Hub reads, from the run's own records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from dotexp.components.bases import BodyParams
from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.experiment.experiment import Experiment
from dotexp.export.formats import Cost, Quantized
from dotexp.language.wording import counted, range_ends
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import RunResult, StageResult

_PIPELINES: Mapping[str, str] = {
    "classification": "image-classification",
    "multilabel": "image-classification",
    "regression": "image-feature-extraction",
}
_LISTED = 50
_SHOWN = 8


def model_card(
    experiment: Experiment,
    run: RunFolder,
    samples: Sequence[tuple[str, str]],
    quantized: Quantized | None = None,
    cost: Cost | None = None,
) -> str:
    """Write the card: what the model is, the data and metrics of its run, how to use it.

    `samples` are names and answers, `cost` the metrics of a quantised model beside the run's.
    """
    facts = run.read_facts()
    result = run.read_result()
    stage = result.stages[-1] if result and result.stages else None
    sections = [
        _header(experiment, facts, _numbers(stage, cost or {})),
        _title(experiment, run),
        _use(experiment.stages[-1].data, experiment.model.body is not None),
        _data(experiment.stages[-1].data, facts),
        _metrics(stage),
        _quantized(quantized, cost or {}),
        _training(experiment, result),
        _samples(samples),
    ]
    return "\n".join(line for section in sections for line in section)


def _numbers(stage: StageResult | None, cost: Cost) -> Mapping[str, float]:
    """Return the metrics that are numbers: the run's, those of a quantised model in their place."""
    metrics = {**(stage.metrics if stage else {}), **{name: export for name, (_, export) in cost.items()}}
    return {name: value for name, value in metrics.items() if isinstance(value, float)}


def _header(experiment: Experiment, facts: DataFacts, numbers: Mapping[str, float]) -> Iterator[str]:
    yield from ("---", "library_name: dotexp")
    if experiment.model.body is not None and facts.task in _PIPELINES:
        yield f"pipeline_tag: {_PIPELINES[facts.task]}"
    yield from ("tags:", "- dotexp", f"- {facts.task}")
    if numbers:
        task = _PIPELINES.get(facts.task, facts.task)
        yield from ("model-index:", f"- name: {experiment.name}", "  results:", "  - task:", f"      type: {task}")
        yield from ("    dataset:", f"      name: {experiment.data.name}", f"      type: {experiment.data.name}")
        yield from ("      split: validation", "    metrics:")
        for name, value in numbers.items():
            yield from (f"    - type: {name}", f"      value: {value!r}")
    yield from ("---", "")


def _title(experiment: Experiment, run: RunFolder) -> Iterator[str]:
    yield from (f"# {experiment.name}", "")
    if experiment.description:
        yield from (_text(experiment.description), "")
    model = experiment.model
    parts = [use.name for use in (model.whole, model.body, model.head) if use is not None]
    what = f"`{parts[0]}` model" if model.whole is not None else f"`{'` body with the head `'.join(parts)}`"
    params = None if model.body is None else model.body.params
    weights = params.weights if isinstance(params, BodyParams) else None
    start = " started from another run's weights" if isinstance(weights, Use) else ""
    yield from (f"The model: {what}{start}. Trained by dotexp in the run `{run.name}`.", "")


def _use(data: Use, has_body: bool) -> Iterator[str]:
    form = data.component.inputs
    example = "INPUT" if form is None else form.example
    yield from ("## Use", "", "```sh", f"spec-runner predict FOLDER {quote(example)}", "```", "")
    call = f'Workspace().predict("FOLDER", {json.dumps(example, ensure_ascii=False)})'
    yield from ("```python", "from dotexp import Workspace", "", call, "```", "")
    if has_body:
        yield from ('As a body\'s weights in a spec: `weights = "FOLDER"`.', "")


def _data(data: Use, facts: DataFacts) -> Iterator[str]:
    yield from ("## Data", "", "| | |", "|---|---|", f"| data | `{data.name}` |", f"| task | {facts.task} |")
    yield f"| training, validation, test examples | {facts.train:,}, {facts.valid:,}, {facts.test:,} |"
    if facts.classes is not None:
        more = f", and {len(facts.classes) - _LISTED:,} more" if len(facts.classes) > _LISTED else ""
        classes = ", ".join(map(_text, facts.classes[:_LISTED]))
        yield f"| {counted(len(facts.classes), 'class', 'classes')} | {classes}{more} |"
    if facts.entities:
        yield f"| {', '.join(facts.entities)} | {', '.join(f'{count:,}' for count in facts.entities.values())} |"
    if facts.range is not None:
        yield f"| range of the training targets | {' to '.join(range_ends(*facts.range))} |"
    yield from (f"| fingerprint | `{facts.fingerprint}` |", "")
    for note in facts.notes:
        yield f"- {_text(note)}"
    if facts.notes:
        yield ""


def _metrics(stage: StageResult | None) -> Iterator[str]:
    yield from ("## Metrics", "")
    if stage is None:
        yield from ("The run recorded none.", "")
        return
    yield from ("On the validation set, after the last epoch:", "", "| metric | value |", "|---|---|")
    yield f"| loss | {_number(stage.valid_loss)} |"
    yield from (f"| {name} | {_number(value)} |" for name, value in stage.metrics.items())
    yield ""


def _quantized(quantized: Quantized | None, cost: Cost) -> Iterator[str]:
    if quantized is None:
        return
    yield from (f"## Quantised to {quantized}", "", "The weights are rounded. What it costs on the validation set:", "")
    yield from (f"| metric | run | {quantized} |", "|---|---|---|")
    yield from (f"| {name} | {_number(model)} | {_number(export)} |" for name, (model, export) in cost.items())
    yield ""


def _training(experiment: Experiment, result: RunResult | None) -> Iterator[str]:
    yield from ("## Training", "", f"Seed {experiment.seed}; `resolved.exp` holds every setting.", "")
    if result is None:
        return
    for stage in result.stages:
        yield f"- stage `{stage.name}`: {counted(stage.epochs, 'epoch')}, {counted(stage.steps, 'step')}"
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield from (f"- {result.parameters:,} parameters, {result.seconds:.0f} s on {result.device}", f"- {versions}", "")


def _samples(samples: Sequence[tuple[str, str]]) -> Iterator[str]:
    held = "`samples.safetensors` holds inputs and outputs that the bundle is checked against."
    yield from ("## Samples", "", held, "")
    if samples:
        yield from ("| input | prediction |", "|---|---|")
        yield from (f"| {_text(name)} | {_text(answer)} |" for name, answer in samples[:_SHOWN])
        yield ""


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else json.dumps(value)


def _text(value: str) -> str:
    """Escape text for a cell of a table."""
    return " ".join(value.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def answer_text(value: Any) -> str:
    """Write a prediction's value for the card."""
    if isinstance(value, tuple):
        return ", ".join(map(answer_text, value))
    return f"{value:.4f}" if isinstance(value, float) else str(value)
