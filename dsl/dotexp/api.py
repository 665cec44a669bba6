"""The commands as functions: load, check, plan, run, evaluate, predict, with typed values. Torch is imported late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotexp.components import Task, load_attribute
from dotexp.diagnostics import Diagnostic, SpecError, UsageError
from dotexp.parser import read
from dotexp.plan import Plan
from dotexp.planner import make_plan
from dotexp.plugins import Registry, load_registry
from dotexp.resolve import Resolved, resolve
from dotexp.resolve.text import as_text
from dotexp.runs import DEFAULT_ROOT, RunFolder, create_run, open_run, write_json, write_text
from dotexp.spec import Device

if TYPE_CHECKING:
    from dotexp.engine.evaluation import Evaluation
    from dotexp.engine.listener import Listener

SpecPath = str | Path
STDIN = "-"
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


def check(
    spec: SpecPath, set: Sequence[str] = (), registry: Registry | None = None
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """Check a spec file (`-`: standard input): the experiment, None where it has errors, and every diagnostic.

    Opens no data or weights and does not import torch. Raises UsageError where the file cannot be read.
    """
    data, name, folder = _bytes(spec)
    source, faults = read(data, name, folder)
    if any(d.severity == "error" for d in faults):
        return None, faults
    return resolve(source, registry or load_registry(), set)


def load(spec: SpecPath, set: Sequence[str] = (), registry: Registry | None = None) -> Resolved:
    """Load and resolve a spec file. Raises SpecError with every fault found."""
    resolved, diagnostics = check(spec, set, registry)
    if resolved is None:
        raise SpecError(diagnostics)
    return resolved


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
    from dotexp.engine.hooks import Listeners, PluginListener
    from dotexp.engine.probe import Probe

    registry = load_registry()
    resolved = spec if isinstance(spec, Resolved) else load(spec, set, registry)
    choose_device(device or resolved.experiment.runtime.device)
    store = DataStore()
    made, warnings = make_plan(resolved, Probe(runs, store))
    if notify is not None:
        notify(warnings)
    folder = create_run(made.experiment.name, runs)
    write_text(folder.spec, _as_written(resolved))
    write_text(folder.resolved, as_text(made.experiment))
    write_json(folder.plan, made.as_json())
    plugins = {provider.name: provider.version for provider in registry.providers}
    hooks = PluginListener(registry.listeners())
    execute(made, folder, Listeners([listener, hooks] if listener else [hooks]), device, plugins, store)
    return folder


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


def _resolved_run(folder: RunFolder, set: Sequence[str]) -> Resolved:
    if not folder.resolved.exists():
        raise UsageError(f"{folder.path} has no resolved.exp: it is not a run's folder")
    return load(folder.resolved, set)


def _bytes(spec: SpecPath) -> tuple[bytes, str, Path]:
    if str(spec) == STDIN:
        import sys

        return sys.stdin.buffer.read(), "<stdin>", Path()
    path = Path(spec)
    try:
        return path.read_bytes(), str(path), path.parent
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot read {path}: {reason}") from error


def _as_written(resolved: Resolved) -> str:
    overrides = "".join(f"# --set {override}\n" for override in resolved.overrides)
    return overrides + resolved.source.text
