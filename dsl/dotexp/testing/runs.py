"""A small run of a spec with the component, done twice, and killed and resumed. Needs torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.weights import load_weights
from dotexp.engine.executor import execute
from dotexp.engine.reporting import make_subject
from dotexp.engine.state.resuming import prepare
from dotexp.language.diagnostics import ComponentError, DotexpError, Problem
from dotexp.planning.plan import Plan
from dotexp.reporting.page import SectionRenderer
from dotexp.runs.checkpoints import Position, positions
from dotexp.runs.folder import RunFolder, create_run
from dotexp.testing.trial import Finding, Skip, Trial

_MOST_CHECKPOINTS = 1000


def bits(run: RunFolder) -> dict[str, Any]:
    """Return everything of a run that must not depend on interruptions."""
    result = run.read_result()
    assert result is not None
    return {
        "weights": {name: (tensor.dtype, tensor.tolist()) for name, tensor in load_weights(run.model).items()},
        "file": run.model.read_bytes(),
        "epochs": [replace(row, seconds=0.0) for row in run.read_epochs()],
        "schedule": run.schedule.read_text(),
        "stages": [replace(each, seconds=0.0) for each in result.stages],
        "status": result.status,
    }


def cut(run: RunFolder, to: Path, position: Position | None) -> RunFolder:
    """Copy a run as if it was killed after this checkpoint: younger files are missing, the last line is torn."""
    copy = RunFolder(to)
    shutil.copytree(run.path, to)
    for path in (copy.model, copy.result, copy.schedule):
        path.unlink()
    for other in positions(copy.checkpoints):
        if position is None or other > position:
            (copy.checkpoints / f"{other.name}.json").unlink()
    with copy.metrics.open("a") as file:
        file.write('{"stage": "torn')
    return copy


def runs(trial: Trial) -> Iterator[Finding]:
    """A run of it finishes, does so again with the same bits, and does so when it is killed and resumed."""
    plan = trial.bench.plan(trial.use)
    with TemporaryDirectory(prefix="dotexp-check-") as folder:
        root = Path(folder)
        try:
            one, other = _run(_saved_often(plan), root / "one"), _run(plan, root / "other")
        except DotexpError as error:
            yield Problem(f"a small run fails: {error}")
            return
        changed = _changed(one, other)
        if changed:
            help = "draw from torch's generators, which every step seeds, and keep nothing in a module or a class"
            yield Problem(f"the same run done twice differs in its {changed}", help=help)
            return
        yield from _resumed(plan, one, root)
        yield from _reported(trial, plan, one)


def _saved_often(plan: Plan) -> Plan:
    """The plan with a checkpoint after the first step of a stage's second epoch, or in its middle."""
    stage = max(plan.stages, key=lambda stage: stage.steps_per_epoch)
    every = stage.steps_per_epoch + 1 if stage.epochs > 1 else max(1, stage.steps // 2)
    update = {"checkpoint_steps": every, "keep_checkpoints": _MOST_CHECKPOINTS}
    return replace(plan, runtime=plan.runtime.model_copy(update=update))


def _run(plan: Plan, root: Path) -> RunFolder:
    run = create_run(plan.name, root)
    execute(plan, run)
    return run


def _changed(one: RunFolder, other: RunFolder) -> str | None:
    first, second = bits(one), bits(other)
    return next((name for name in first if first[name] != second[name]), None)


def _resumed(plan: Plan, run: RunFolder, root: Path) -> Iterator[Finding]:
    """Kill the run in the middle of an epoch of each stage, and in a stage's first."""
    places = positions(run.checkpoints)
    for number, place in enumerate(_middles(plan, list(places))):
        killed = cut(run, root / f"killed-{number}", place)
        try:
            resumption = prepare(_saved_often(plan), killed, {})
            execute(resumption.plan, killed, device=resumption.device, store=DataStore(), resumption=resumption)
        except DotexpError as error:
            yield Problem(f"killed and resumed, the run fails: {error}")
            return
        changed = _changed(run, killed)
        if changed:
            help = "keep what later steps depend on where a checkpoint saves it: buffers, `self.state`, `state_dict`"
            yield Problem(f"killed after step {place.step} and resumed, the run differs in its {changed}", help=help)
            return


def _middles(plan: Plan, places: list[Position]) -> list[Position]:
    """The place after the first step of each stage's second epoch, or its last one."""
    found: list[Position] = []
    for number, stage in enumerate(plan.stages):
        own = [place for place in places if place.stage == number]
        later = [place for place in own if place.step > stage.steps_per_epoch]
        found += (later or own)[:1]
    return found


def _reported(trial: Trial, plan: Plan, run: RunFolder) -> Iterator[Finding]:
    if trial.use.kind != "report":
        return
    subject = make_subject(plan.inference, run, DataStore(), torch.device("cpu"))
    try:
        sections = list(trial.use.build()(subject))
    except ComponentError as error:  # which says that there is nothing to report
        yield Skip(f"it reports nothing of the samples: {error}")
        return
    for section in sections:
        SectionRenderer().render(section)
