"""The commands as functions: each calls a Workspace's method of the same name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.commands.references import DeviceName, Inputs, Root, RunReference
from dotexp.commands.training import Notify
from dotexp.commands.workspace import Workspace
from dotexp.engine.lr_suggestions import FIRST, LAST, STEPS, LrFind
from dotexp.experiment.checking import Overrides, SpecPath
from dotexp.experiment.resolve import Resolved
from dotexp.export.formats import Format, Quantized
from dotexp.export.predictor import Prediction
from dotexp.planning.plan import Plan
from dotexp.runs.folder import DEFAULT_ROOT, RunFolder

if TYPE_CHECKING:
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.evaluation import Evaluation
    from dotexp.engine.events import Listener
    from dotexp.engine.verification import Verification
    from dotexp.export.batch import Progress, Written
    from dotexp.export.formats import Exported
    from dotexp.reporting import Report
    from dotexp.serve.limits import Limits


def plan(
    spec: SpecPath | Resolved,
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    notify: Notify | None = None,
    store: DataStore | None = None,
) -> Plan:
    """Plan a spec, as `Workspace.plan` does."""
    return Workspace(runs).plan(spec, set, notify=notify, store=store)


def run(
    spec: SpecPath | Resolved,
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    listener: Listener | None = None,
    notify: Notify | None = None,
    report: bool = True,
) -> RunFolder:
    """Run a spec to the end, as `Workspace.run` does."""
    return Workspace(runs, device).run(spec, set, listener=listener, notify=notify, report=report)


def resume(
    run: RunReference,
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    allow_changes: bool = False,
    listener: Listener | None = None,
    notify: Notify | None = None,
    report: bool = True,
) -> RunFolder:
    """Go on with an interrupted run, as `Workspace.resume` does."""
    workspace = Workspace(runs, device)
    return workspace.resume(run, allow_changes=allow_changes, listener=listener, notify=notify, report=report)


def verify(
    run: RunReference, runs: Root = DEFAULT_ROOT, device: DeviceName = None, listener: Listener | None = None
) -> Verification:
    """Do a finished run again and compare, as `Workspace.verify` does."""
    return Workspace(runs, device).verify(run, listener=listener)


def evaluate(
    run: RunReference,
    part: str = "valid",
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
) -> Evaluation:
    """Compute a run's loss and metrics, as `Workspace.evaluate` does."""
    return Workspace(runs, device).evaluate(run, part, set)


def report(run: RunReference, set: Overrides = (), runs: Root = DEFAULT_ROOT, device: DeviceName = None) -> Report:
    """Write a run's report anew, as `Workspace.report` does."""
    return Workspace(runs, device).report(run, set)


def predict(
    run: RunReference, inputs: Inputs, runs: Root = DEFAULT_ROOT, device: DeviceName = None, tta: int = 0
) -> list[Prediction]:
    """Predict for new inputs, as `Workspace.predict` does."""
    return Workspace(runs, device).predict(run, inputs, tta=tta)


def iter_predictions(
    run: RunReference, inputs: Inputs, runs: Root = DEFAULT_ROOT, device: DeviceName = None, tta: int = 0
) -> Iterator[Prediction]:
    """Predict one at a time, as `Workspace.iter_predictions` does."""
    return Workspace(runs, device).iter_predictions(run, inputs, tta=tta)


def predict_into(
    run: RunReference,
    inputs: Inputs,
    out: str | Path,
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    progress: Progress | None = None,
) -> Written:
    """Predict for millions of inputs into a file, as `Workspace.predict_into` does."""
    return Workspace(runs, device).predict_into(run, inputs, out, progress=progress)


def export_run(
    run: RunReference,
    to: Format | str = Format.bundle,
    out: str | Path | None = None,
    set: Overrides = (),
    samples: Inputs = (),
    quantize: Quantized | str | None = None,
    runs: Root = DEFAULT_ROOT,
) -> Exported:
    """Export a finished run's model, as `Workspace.export` does."""
    return Workspace(runs).export(run, to, out, set=set, samples=samples, quantize=quantize)


def serve_run(
    run: RunReference,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    set: Overrides = (),
    started: Callable[[str], None] | None = None,
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
) -> None:
    """Serve a run's model over HTTP, as `Workspace.serve` does."""
    Workspace(runs, device).serve(run, host=host, port=port, limits=limits, set=set, started=started)


def list_runs(runs: Root = DEFAULT_ROOT) -> tuple[RunFolder, ...]:
    """List the runs in a folder, as `Workspace.runs` does."""
    return Workspace(runs).runs()


def open_run(run: RunReference, runs: Root = DEFAULT_ROOT) -> RunFolder:
    """Find a run, as `Workspace.open` does."""
    return Workspace(runs).open(run)


def lr_find(
    spec: SpecPath | Resolved,
    stage: str | None = None,
    set: Overrides = (),
    run: RunReference | None = None,
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    steps: int = STEPS,
    first: float = FIRST,
    last: float = LAST,
    listener: Listener | None = None,
    progress: Callable[[int], None] | None = None,
    notify: Notify | None = None,
) -> LrFind:
    """Sweep a stage's learning rate, as `Workspace.lr_find` does."""
    return Workspace(runs, device).lr_find(
        spec, stage, set, run=run, steps=steps, first=first, last=last, listener=listener, progress=progress,
        notify=notify,
    )  # fmt: skip


find_lr = lr_find
"""The former name of `lr_find`."""
