"""The commands that may need torch as functions with typed values; torch is imported when one is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.checking import SpecPath, load
from dotexp.components import Task, load_attribute
from dotexp.diagnostics import Diagnostic, UsageError
from dotexp.locks import run_lock
from dotexp.planner import make_plan
from dotexp.plans import Plan
from dotexp.plugins import Registry, load_registry
from dotexp.resolve import Resolved
from dotexp.resolve.text import as_text
from dotexp.runs import (
    DEFAULT_ROOT,
    RunFolder,
    Status,
    create_run,
    newest_unfinished,
    open_run,
    write_json,
    write_text,
)
from dotexp.spec import Device

if TYPE_CHECKING:
    from dotexp.engine.evaluation import Evaluation
    from dotexp.engine.listener import Listener
    from dotexp.engine.verification import Verification

Notify = Callable[[tuple[Diagnostic, ...]], None]


@dataclass(frozen=True)
class Prediction:
    """What a run says of one input.

    `input` names it (a path, a user and an item); `value` is the class, the classes that apply, or the number;
    `probabilities` are by class; `unknown` lists which of a pair's ids the training data did not have.
    """

    input: dict[str, Any]
    value: str | float | tuple[str, ...] | tuple[float, ...]
    probabilities: dict[str, float] | None = None
    unknown: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """`predict --json`'s row."""
        row: dict[str, Any] = {**self.input, "value": self.value}
        if self.probabilities is not None:
            row["probabilities"] = self.probabilities
        return {**row, "unknown": list(self.unknown)} if self.unknown else row


def plan(
    spec: SpecPath | Resolved, set: Sequence[str] = (), runs: Path = DEFAULT_ROOT, notify: Notify | None = None
) -> Plan:
    """Plan a spec: every step's learning rates, every group's parameters. Reads the data; trains nothing.

    `notify` hears the warnings. Raises SpecError where the spec or its data is wrong.
    """
    from dotexp.engine.probe import Probe

    resolved = spec if isinstance(spec, Resolved) else load(spec, set)
    made, warnings = make_plan(resolved, Probe(runs))
    if notify is not None:
        notify(warnings)
    return made


def run(
    spec: SpecPath | Resolved,
    set: Sequence[str] = (),
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    listener: Listener | None = None,
    notify: Notify | None = None,
) -> RunFolder:
    """Run a spec to the end and return its run's folder.

    Raises SpecError where the spec or its data is wrong, RunError where training fails.
    """
    from dotexp.engine.datasets import DataStore
    from dotexp.engine.devices import choose_device
    from dotexp.engine.executor import execute
    from dotexp.engine.probe import Probe

    registry = load_registry()
    resolved = spec if isinstance(spec, Resolved) else load(spec, set, registry)
    choose_device(device or resolved.experiment.runtime.device)
    store = DataStore()
    made, warnings = make_plan(resolved, Probe(runs, store))
    if notify is not None:
        notify(warnings)
    folder = create_run(made.experiment.name, runs)
    with run_lock(folder):
        write_text(folder.spec, _as_written(resolved))
        write_text(folder.resolved, as_text(made.experiment))
        write_json(folder.plan, made.as_json())
        execute(made, folder, _listeners(registry, listener), device, registry.versions(), store)
    return folder


def resume(
    run: str | Path | RunFolder,
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    allow_changes: bool = False,
    listener: Listener | None = None,
    notify: Callable[[str], None] | None = None,
) -> RunFolder:
    """Go on with an interrupted run, to the same bits as if it had not been; a finished run is left as it is.

    `run` may be an experiment's name, for its newest run. The device and the threads are those the run had. `notify`
    hears of damaged checkpoints, and of a run that starts from the beginning. Raises UsageError, with all that has
    changed, unless `allow_changes`; RunError where no checkpoint is sound or another process works on the run.
    """
    from dotexp.engine.datasets import DataStore
    from dotexp.engine.executor import execute
    from dotexp.engine.probe import Probe
    from dotexp.engine.resuming import prepare

    folder = run if isinstance(run, RunFolder) else newest_unfinished(str(run), runs) or open_run(str(run), runs)
    with run_lock(folder):
        if folder.status is Status.finished:
            return folder
        registry, store = load_registry(), DataStore()
        made, _ = make_plan(_resolved_run(folder, ()), Probe(runs, store))
        resumption = prepare(made, folder, registry.versions(), device, allow_changes)
        if notify is not None:
            for note in resumption.notes:
                notify(note)
        folder.result.unlink(missing_ok=True)
        hooks = _listeners(registry, listener)
        execute(resumption.plan, folder, hooks, resumption.device, registry.versions(), store, resumption)
    return folder


def verify(
    run: str | Path | RunFolder,
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    listener: Listener | None = None,
) -> Verification:
    """Do a finished run again from its resolved.exp, with its device and threads, and say what differs.

    Nothing in the run's folder changes. Raises UsageError for a run that is not finished.
    """
    from dotexp.engine.datasets import DataStore
    from dotexp.engine.probe import Probe
    from dotexp.engine.verification import verify_run

    folder = run if isinstance(run, RunFolder) else open_run(str(run), runs)
    store = DataStore()
    made, _ = make_plan(_resolved_run(folder, ()), Probe(runs, store))
    return verify_run(made, folder, load_registry().versions(), store, device, listener)


def evaluate(
    run: str | Path | RunFolder,
    part: str = "valid",
    set: Sequence[str] = (),
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
) -> Evaluation:
    """Compute a run's loss and metrics over a part of its data, `valid` or `test`.

    `set` may say where the data is now (`data.path=…`). Raises UsageError where the data has no such part.
    """
    from dotexp.engine.evaluation import evaluate_run

    folder = run if isinstance(run, RunFolder) else open_run(str(run), runs)
    made = plan(_resolved_run(folder, set), runs=runs)
    return evaluate_run(made, folder, part, device)


def predict(
    run: str | Path | RunFolder,
    inputs: Sequence[str],
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
) -> list[Prediction]:
    """Predict for image files or folders, or for `USER:ITEM` pairs, with a finished run.

    Raises UsageError for inputs that do not exist or are not of the data's kind.
    """
    return list(iter_predictions(run, inputs, runs, device))


def iter_predictions(
    run: str | Path | RunFolder, inputs: Sequence[str], runs: Path = DEFAULT_ROOT, device: Device | None = None
) -> Iterable[Prediction]:
    """Predict as `predict`, yielding one at a time, in bounded memory."""
    from dotexp.engine.prediction import predict as outputs_of

    folder = run if isinstance(run, RunFolder) else open_run(str(run), runs)
    experiment = _resolved_run(folder, ()).experiment
    data = experiment.stages[-1].data
    if data.component.encode is None:
        raise UsageError(f"`{data.name}` does not say how to encode new inputs, so nothing can be predicted from it")
    facts = folder.read_facts()
    encoded = load_attribute(data.component.encode)(data.params, facts.vocabulary, list(inputs))
    rows = iter(encoded.rows)
    for outputs in outputs_of(experiment, folder, encoded, device):
        for output in outputs.tolist():
            yield _prediction(dict(next(rows)), output, facts.task, facts.classes)


def _prediction(row: dict[str, Any], output: Any, task: Task, classes: tuple[str, ...] | None) -> Prediction:
    unknown = tuple(row.pop("unknown", ()))
    if classes is None:
        value = output[0] if isinstance(output, list) and len(output) == 1 else output
        return Prediction(row, tuple(value) if isinstance(value, list) else value, None, unknown)
    probabilities = dict(zip(classes, output, strict=True))
    if task is Task.multilabel:
        return Prediction(row, tuple(name for name, p in probabilities.items() if p > 0.5), probabilities, unknown)
    return Prediction(row, max(probabilities, key=lambda name: probabilities[name]), probabilities, unknown)


def _listeners(registry: Registry, listener: Listener | None) -> Listener:
    from dotexp.engine.hooks import Listeners, PluginListener

    origins = {provider.name: f"{provider.distribution} {provider.version}" for provider in registry.providers}
    hooks = PluginListener(registry.listeners(), origins)
    return Listeners([listener, hooks] if listener else [hooks])


def _resolved_run(folder: RunFolder, set: Sequence[str]) -> Resolved:
    if not folder.resolved.exists():
        raise UsageError(f"{folder.path} has no resolved.exp: it is not a run's folder")
    return load(folder.resolved, set)


def _as_written(resolved: Resolved) -> str:
    overrides = "".join(f"# --set {override}\n" for override in resolved.overrides)
    return overrides + resolved.source.text
