"""The commands that may need torch as functions with typed values; torch is imported when one is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.components.component import load_attribute
from dotexp.components.facts import Task
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.checking import SpecPath, load
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.text import as_text
from dotexp.language.diagnostics import Diagnostic, DotexpError, Interrupted, UsageError
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.files import write_json, write_text
from dotexp.runs.folder import DEFAULT_ROOT, RunFolder, create_run, newest_unfinished, open_run
from dotexp.runs.lock import run_lock
from dotexp.runs.results import Status

if TYPE_CHECKING:
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.evaluation import Evaluation
    from dotexp.engine.events import Listener
    from dotexp.engine.verification import Verification
    from dotexp.experiment.experiment import Experiment
    from dotexp.reporting import Drawn, Report

Notify = Callable[[tuple[Diagnostic, ...]], None]


@dataclass(frozen=True)
class Prediction:
    """What a run says of one input.

    `input` names it (a path, a user and an item); `value` is the class, the classes that apply, or the number;
    `probabilities` are by class; `unknown` lists which of a pair's ids the training data did not have, and `stand_in`
    says what the model took them for.
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


def plan(
    spec: SpecPath | Resolved,
    set: Sequence[str] = (),
    runs: Path = DEFAULT_ROOT,
    notify: Notify | None = None,
    store: DataStore | None = None,
) -> Plan:
    """Plan a spec: every step's learning rates, every group's parameters. Reads the data; trains nothing.

    `notify` hears the warnings; what is opened stays in `store`. Raises SpecError where the spec or its data is wrong.
    """
    from dotexp.engine.build.probe import Probe

    resolved = spec if isinstance(spec, Resolved) else load(spec, set)
    made, warnings = make_plan(resolved, Probe(runs, store))
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
    report: bool = True,
) -> RunFolder:
    """Run a spec to the end and return its run's folder, with its report unless `report` is False.

    What cannot be reported is a warning to the listener: the run is finished all the same. Raises SpecError where the
    spec or its data is wrong, RunError where training fails.
    """
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.devices import choose_device
    from dotexp.engine.build.probe import Probe
    from dotexp.engine.executor import execute

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
        if report:
            _report_at_end(folder, made.experiment, registry, store, device, listener)
    return folder


def resume(
    run: str | Path | RunFolder,
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    allow_changes: bool = False,
    listener: Listener | None = None,
    notify: Callable[[str], None] | None = None,
    report: bool = True,
) -> RunFolder:
    """Go on with an interrupted run, to the same bits as if it had not been; a finished run is left as it is.

    `run` may be an experiment's name, for its newest run. The device and the threads are those the run had. `notify`
    hears of damaged checkpoints, and of a run that starts from the beginning. Raises UsageError, with all that has
    changed, unless `allow_changes`; RunError where no checkpoint is sound or another process works on the run.
    """
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.probe import Probe
    from dotexp.engine.executor import execute
    from dotexp.engine.state.resuming import prepare

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
        if report:
            _report_at_end(folder, resumption.plan.experiment, registry, store, resumption.device, listener)
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
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.build.probe import Probe
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
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.evaluation import evaluate_run

    folder = run if isinstance(run, RunFolder) else open_run(str(run), runs)
    store = DataStore()
    made = plan(_resolved_run(folder, set), runs=runs, store=store)
    return evaluate_run(made, folder, part, device, store)


def report(
    run: str | Path | RunFolder,
    set: Sequence[str] = (),
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
) -> Report:
    """Write a run's report.html anew and return what is in it; a run that failed or was interrupted has one, too.

    `set` may say where the data is now (`data.path=…`), or ask for other sections (`report=[top_losses(20)]`). The
    sections that the spec asks for need the trained model and the data: where they are not to be had, and where a
    component fails, the report says so and is written all the same.
    """
    folder = run if isinstance(run, RunFolder) else open_run(str(run), runs)
    registry = load_registry()
    try:
        experiment: Experiment | None = _resolved_run(folder, set).experiment
        problems: list[str] = []
    except DotexpError as error:
        if set:
            raise
        said = "resolved.exp is not understood here, so only the run's own files are told of"
        experiment, problems = None, [f"{said}: {error}"]
    return _write_report(folder, experiment, registry, None, device, problems)


def predict(
    run: str | Path | RunFolder,
    inputs: Sequence[str],
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    tta: int = 0,
) -> list[Prediction]:
    """Predict for image files or folders, or for `USER:ITEM` pairs, with a finished run.

    `tta` is a number of passes over images varied as in training, to average with the plain one. Raises UsageError for
    inputs that do not exist or are not of the data's kind, or that nothing varies.
    """
    return list(iter_predictions(run, inputs, runs, device, tta))


def iter_predictions(
    run: str | Path | RunFolder,
    inputs: Sequence[str],
    runs: Path = DEFAULT_ROOT,
    device: Device | None = None,
    tta: int = 0,
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
    whole = experiment.model.whole
    stand_in = whole.facts.unknown if whole is not None else ""
    rows = iter(encoded.rows)
    for outputs in outputs_of(experiment, folder, encoded, device, tta):
        for output in outputs.tolist():
            made = _prediction(dict(next(rows)), output, facts.task, facts.classes)
            yield replace(made, stand_in=stand_in) if made.unknown else made


def _prediction(row: dict[str, Any], output: Any, task: Task, classes: tuple[str, ...] | None) -> Prediction:
    unknown = tuple(row.pop("unknown", ()))
    if classes is None:
        value = output[0] if isinstance(output, list) and len(output) == 1 else output
        return Prediction(row, tuple(value) if isinstance(value, list) else value, None, unknown)
    probabilities = dict(zip(classes, output, strict=True))
    if task is Task.multilabel:
        return Prediction(row, tuple(name for name, p in probabilities.items() if p > 0.5), probabilities, unknown)
    return Prediction(row, max(probabilities, key=lambda name: probabilities[name]), probabilities, unknown)


def _report_at_end(
    folder: RunFolder,
    experiment: Experiment,
    registry: Registry,
    store: DataStore,
    device: Device | None,
    listener: Listener | None,
) -> None:
    """Write a finished run's report; whatever goes wrong, the run stays finished."""
    try:
        problems = _write_report(folder, experiment, registry, store, device, []).problems
    except KeyboardInterrupt as stop:
        message = f"interrupted: {folder.name} is finished, its report is not written: {folder.report_line}"
        raise Interrupted(message) from stop
    except Exception as error:  # the page is about the run, and no part of it
        said = f"{type(error).__name__}: {error}\n  to try again: {folder.report_line}"
        problems = (f"the report is not written: {said}",)
    for problem in problems:
        if listener is not None:
            listener.warned(problem)


def _write_report(
    folder: RunFolder,
    experiment: Experiment | None,
    registry: Registry,
    store: DataStore | None,
    device: Device | None,
    problems: list[str],
) -> Report:
    from dotexp.reporting import Drawer, write_report

    drawer = Drawer()
    asked: list[Drawn] = []
    if experiment is not None and experiment.reports:
        from dotexp.engine.build.datasets import DataStore
        from dotexp.engine.reporting import report_sections

        try:
            asked, found = report_sections(experiment, folder, store or DataStore(), drawer, _origins(registry), device)
            problems = [*problems, *found]
        except (DotexpError, OSError) as error:
            asked = [drawer.failure("Sections asked for", str(error))]
            problems = [*problems, f"the sections asked for are left out: {error}"]
    description = experiment.description if experiment is not None else ""
    return write_report(folder, drawer, description, asked, problems)


def _origins(registry: Registry) -> dict[str, str]:
    return {provider.name: f"{provider.distribution} {provider.version}" for provider in registry.providers}


def _listeners(registry: Registry, listener: Listener | None) -> Listener:
    from dotexp.engine.hooks import Listeners, PluginListener

    hooks = PluginListener(registry.listeners(), _origins(registry))
    return Listeners([listener, hooks] if listener else [hooks])


def _resolved_run(folder: RunFolder, set: Sequence[str]) -> Resolved:
    if not folder.resolved.exists():
        raise UsageError(f"{folder.path} has no resolved.exp: it is not a run's folder")
    return load(folder.resolved, set)


def _as_written(resolved: Resolved) -> str:
    overrides = "".join(f"# --set {override}\n" for override in resolved.overrides)
    return overrides + resolved.source.text
