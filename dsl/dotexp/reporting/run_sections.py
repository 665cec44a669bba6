"""Sections of every run's report: training, layer groups, data, spec, environment. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dotexp.language.wording import counted, range_ends
from dotexp.reporting.curves import epoch_plots, schedule_plots
from dotexp.reporting.page import RenderedSection, SectionRenderer, number_text
from dotexp.runs.folder import RunFolder
from dotexp.runs.headline import Headline, headline, weights_of
from dotexp.runs.results import EpochRow, RunResult, StageResult
from dotexp.sdk.report import Block, Cell, Paragraph, Section, Table, Verbatim

_LISTED = 60
"""Most classes listed by name."""


def heading(run: RunFolder, description: str) -> dict[str, Any]:
    """Return the page's heading: names, status, main numbers. Raises UsageError where result.json cannot be read."""
    result, main = run.read_result(), headline(run)
    return {
        "run": run.name,
        "name": run.experiment,
        "description": description,
        "status": str(run.status),
        "reason": result.reason if result else None,
        "facts": list(_facts(run, result, main)),
        "weights": f"Numbers of the weights of {main.weights}." if main is not None else None,
    }


SectionBuilder = Callable[[RunFolder], Iterator[Block]]


def render_sections(
    run: RunFolder, builders: Mapping[str, SectionBuilder], renderer: SectionRenderer
) -> Iterator[RenderedSection]:
    """Render a run's sections; one without its file is left out, one whose file cannot be read says so."""
    for title, build in builders.items():
        yield from renderer.render_or_explain(title, partial(_sections, title, build, run))[0]


def _sections(title: str, build: SectionBuilder, run: RunFolder) -> list[Section]:
    blocks = tuple(build(run))
    return [Section(title, blocks)] if blocks else []


def _facts(run: RunFolder, result: RunResult | None, main: Headline | None) -> Iterator[tuple[str, str]]:
    if main is not None and main.valid_loss is not None:
        yield "valid loss", number_text(main.valid_loss)
    for name, value in (main.metrics if main else {}).items():
        if isinstance(value, int | float):
            yield name, number_text(value)
    yield "epochs", str(len(run.read_epochs()))
    if result is not None:
        yield "time", _duration(result.seconds)
        yield "parameters", f"{result.parameters:,}"
        if result.device:
            yield "device", result.device


def _training(run: RunFolder) -> Iterator[Block]:
    rows = run.read_epochs()
    if not rows:
        yield Paragraph("No epoch was finished.")
    yield from epoch_plots(rows)
    plan, schedule = _read(run.plan), _read(run.schedule)
    stages = schedule["stages"] if schedule else [{"name": s["name"], **s["schedule"]} for s in _stages(plan)]
    names = {stage["name"]: [group["name"] for group in stage["groups"]] for stage in _stages(plan)}
    yield from schedule_plots(stages, names, planned=schedule is None)
    if rows:
        result = run.read_result()
        done = result.stages if result else ()
        yield _stage_table(done, rows)
        yield from (Paragraph(f"Stage {stage.name}: {stage.skipped_text}.") for stage in done if stage.skipped_steps)
        yield _epoch_table(rows)


def _stage_table(stages: Sequence[StageResult], rows: Sequence[EpochRow]) -> Table:
    metrics = _metrics(rows)
    cells: list[tuple[Cell, ...]] = []
    for stage in stages:
        losses = [row.valid_loss for row in rows if row.stage == stage.name and row.valid_loss is not None]
        best = min(losses, default=None)
        done = (stage.name, stage.epochs, stage.steps, weights_of(stage))
        numbers = (stage.train_loss, stage.valid_loss, *(_cell(stage.metrics.get(name)) for name in metrics))
        cells.append((*done, *numbers, best, _duration(stage.seconds)))
    header = ("stage", "epochs", "steps", "weights", "train loss", "valid loss", *metrics, "lowest valid loss", "time")
    return Table("Stages", header, tuple(cells))


def _epoch_table(rows: Sequence[EpochRow]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row.numbers))
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        numbers = (row.train_loss, row.valid_loss, *(_cell(row.numbers.get(name)) for name in names))
        cells.append((row.stage, row.epoch, row.step, *numbers, _duration(row.seconds)))
    return Table("Epochs", ("stage", "epoch", "step", "train loss", "valid loss", *names, "time"), tuple(cells))


def _groups(run: RunFolder) -> Iterator[Block]:
    plan, schedule = _read(run.plan), _read(run.schedule)
    used = {stage["name"]: stage["lr"] for stage in schedule["stages"]} if schedule else {}
    result = run.read_result()
    proofs = {stage.name: stage for stage in result.stages} if result else {}
    for stage in _stages(plan):
        rates = used.get(stage["name"]) or stage["schedule"]["lr"]
        rows = [_group_row(group, values) for group, values in zip(stage["groups"], rates, strict=True)]
        header = ("group", "layers", "parameters", "trained", "frozen", "batch norm", "lr start", "lr peak", "lr end")
        lengths = (counted(stage["epochs"], "epoch"), counted(stage["steps_per_epoch"], "step"))
        title = f"Stage {stage['name']}: {' of '.join(lengths)}"
        yield Table(title, header, tuple(rows))
        said = _proof(proofs.get(stage["name"]))
        if said:
            yield Paragraph(said)
        applied = [each for each in stage.get("rewrites", ()) if each["applies"]]
        if applied:
            yield Paragraph("Rewrites: " + "; ".join(f"{each['name']} ({each['reason']})" for each in applied))


def _group_row(group: Mapping[str, Any], rates: Sequence[float] | None) -> tuple[Cell, ...]:
    parameters, trained = group["parameters"], group["trainable_parameters"]
    ends = (rates[0], max(rates), rates[-1]) if rates else (None, None, None)
    frozen = ", ".join(group["frozen_layers"]) if group["frozen"] == "part" else group["frozen"]
    return group["name"], _layers(group["layers"]), parameters, trained, frozen, group["batchnorm"], *ends


def _proof(stage: StageResult | None) -> str:
    proof = stage.freezing if stage is not None else None
    if proof is None:
        return ""
    trained, frozen = proof.trained_tensors, proof.frozen_tensors
    moved = f"{trained - len(proof.still):,} of {counted(trained, 'trained tensor')} moved"
    if not frozen:
        return f"{moved}; nothing was frozen."
    same = f"{frozen - len(proof.changed):,} of {counted(frozen, 'frozen tensor')} unchanged, bit for bit"
    return f"{same}; {moved}."


def _layers(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) <= 3 else f"{layers[0]} … {layers[-1]} ({len(layers)})"


def _data(run: RunFolder) -> Iterator[Block]:
    if not run.vocabulary.exists():
        return
    facts = run.read_facts()
    rows: list[tuple[Cell, ...]] = [("task", facts.task), ("training examples", f"{facts.train:,}"),
                                    ("validation examples", f"{facts.valid:,}")]  # fmt: skip
    rows += [("test examples", f"{facts.test:,}")] if facts.test else []
    rows += [(name, f"{count:,}") for name, count in facts.entities.items()]
    if facts.range is not None:
        rows.append(("range of the training targets", " to ".join(range_ends(*facts.range))))
    if facts.classes is not None:
        rows.append(("classes", f"{len(facts.classes):,}"))
    rows.append(("fingerprint", facts.fingerprint))
    yield Table("", ("what", "value"), tuple(rows))
    if facts.guesses:
        yield Table("Guessed, where the spec gives no value", ("parameter", "value"), tuple(facts.guesses.items()))
    if facts.classes is not None and facts.counts is not None:
        yield Table("Classes", ("class", "training examples"), tuple(zip(facts.classes, facts.counts, strict=True)))
    elif facts.classes is not None:
        more = f", and {len(facts.classes) - _LISTED:,} more" if len(facts.classes) > _LISTED else ""
        yield Paragraph(f"Classes: {', '.join(facts.classes[:_LISTED])}{more}.")
    for note in facts.notes:
        yield Paragraph(f"Note: {note}.")


def _spec(run: RunFolder) -> Iterator[Block]:
    for title, path in (("As written", run.spec), ("With everything filled in", run.resolved)):
        if path.exists():
            yield Verbatim(title, path.read_text(encoding="utf-8", errors="replace"))


def _environment(run: RunFolder) -> Iterator[Block]:
    result, facts = run.read_result(), _read(run.environment)
    if result is not None:
        yield Paragraph(f"Started {result.started}, {_duration(result.seconds)} in all.")
        if result.changes:
            yield Paragraph(f"Resumed after changes, so not bit-exact: {'; '.join(result.changes)}.")
    if facts is None:
        return
    versions = facts.get("versions") or {}
    shown = ("device", "device_name", "cpu", "cpu_capability", "threads", "workers", "precision", "seed", "platform")
    rows = [(name.replace("_", " "), str(facts[name])) for name in shown if facts.get(name) is not None]
    yield Table("", ("what", "value"), tuple(rows))
    yield Table("Versions", ("package", "version"), tuple((str(name), str(value)) for name, value in versions.items()))


def _stages(plan: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    stages: Sequence[Mapping[str, Any]] = plan["stages"] if plan else ()
    return stages


def _metrics(rows: Sequence[EpochRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.metrics))


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _read(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where the file is missing. Raises ValueError where it holds something else."""
    if not path.exists():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} does not hold an object")
    return values


OUTCOME: Mapping[str, SectionBuilder] = {"Training": _training}
SETUP: Mapping[str, SectionBuilder] = {
    "Layer groups": _groups,
    "Data": _data,
    "Spec": _spec,
    "Environment": _environment,
}
"""Sections of every report by title: before and after the sections that the spec asks for."""
