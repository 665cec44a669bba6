"""Every command as a method of one object; torch is imported when one that needs it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dotexp.commands.exporting import export_run
from dotexp.commands.lr_find import rates_of, sweep_spec
from dotexp.commands.predicting import make_predictor
from dotexp.commands.references import (
    DeviceName,
    Inputs,
    Root,
    RunReference,
    as_device,
    as_inputs,
    as_number,
    as_root,
    find_run,
    find_unfinished,
    load_run,
    load_spec,
    plan_run,
)
from dotexp.commands.reports import rewrite_report
from dotexp.commands.training import Notify, repeat_run, resume_run, run_spec
from dotexp.components.registry import Registry, load_registry
from dotexp.engine.lr_suggestions import FIRST, LAST, STEPS, LrFind
from dotexp.experiment.checking import Overrides, SpecPath, check, load
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.export.formats import Format, Quantized
from dotexp.export.predictor import Prediction
from dotexp.export.requirements import require_serve
from dotexp.language.diagnostics import Diagnostic
from dotexp.planning.plan import Plan
from dotexp.planning.planner import make_plan
from dotexp.runs.folder import DEFAULT_ROOT, RunFolder, list_runs

if TYPE_CHECKING:
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.evaluation import Evaluation
    from dotexp.engine.events import Listener
    from dotexp.engine.verification import Verification
    from dotexp.export.batch import Progress, Written
    from dotexp.export.formats import Exported
    from dotexp.reporting import Report
    from dotexp.serve.limits import Limits


class Workspace:
    """A folder of runs and a device: what every command works with.

    A spec is given as a path (`-`: standard input) or as what `load` returned; `set` is one override or several, each
    written as for `--set`, or values by their paths, `{"epochs": 3}`. A run is given as its name, its path, its
    RunFolder, or an experiment's name for its newest finished run. `listener` hears of a run's progress, `notify` of
    warnings. `device` is `cpu`, `cuda`, `mps` or `auto`, which leaves the choice to the spec, or to the run that is
    resumed or verified.
    """

    def __init__(self, runs: Root = DEFAULT_ROOT, device: DeviceName = "auto") -> None:
        self.root: Path = as_root(runs)
        self.device: Device | None = as_device(device)

    @cached_property
    def registry(self) -> Registry:
        """Installed plugins, loaded once."""
        return load_registry()

    def check(self, spec: SpecPath, set: Overrides = ()) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
        """Check a spec: the experiment, None where it has errors, and every diagnostic. Opens no data."""
        return check(spec, set, self.registry)

    def load(self, spec: SpecPath, set: Overrides = ()) -> Resolved:
        """Load a spec. Raises SpecError with every fault found."""
        return load(spec, set, self.registry)

    def plan(
        self,
        spec: SpecPath | Resolved,
        set: Overrides = (),
        *,
        notify: Notify | None = None,
        store: DataStore | None = None,
    ) -> Plan:
        """Plan a spec: every step's learning rates, every group's parameters. Reads the data; trains nothing.

        What is opened stays in `store`. Raises SpecError where the spec or its data is wrong.
        """
        from dotexp.engine.build.probe import LookAt, Probe

        plan, warnings = make_plan(
            load_spec(spec, set, self.registry), Probe(self.root, store, self.device, LookAt.headers)
        )
        if notify is not None:
            notify(warnings)
        return plan

    def run(
        self,
        spec: SpecPath | Resolved,
        set: Overrides = (),
        *,
        listener: Listener | None = None,
        notify: Notify | None = None,
        report: bool = True,
    ) -> RunFolder:
        """Run a spec to the end and return its run's folder, with its report unless `report` is False.

        What cannot be reported is a warning to the listener: the run is finished all the same. Raises SpecError where
        the spec or its data is wrong, RunError where training fails.
        """
        resolved = load_spec(spec, set, self.registry)
        return run_spec(resolved, self.registry, self.root, self.device, listener, notify, report)

    def resume(
        self,
        run: RunReference,
        *,
        allow_changes: bool = False,
        listener: Listener | None = None,
        notify: Notify | None = None,
        report: bool = True,
    ) -> RunFolder:
        """Go on with an interrupted run, to the same bits as if it had not been; a finished one is left as it is.

        An experiment's name stands for its newest run. The device and the threads are those the run had. `notify`
        hears of damaged checkpoints, and of a run that starts from the beginning. Raises UsageError, with all that has
        changed, unless `allow_changes`; RunError where no checkpoint is sound or another process works on the run.
        """
        folder = find_unfinished(run, self.root)
        return resume_run(folder, self.registry, self.root, self.device, allow_changes, listener, notify, report)

    def evaluate(self, run: RunReference, part: str = "valid", set: Overrides = ()) -> Evaluation:
        """Compute a run's loss and metrics over its `valid` or `test` set.

        `set` may say where the data is now (`data.path=…`). Raises UsageError where the data has no such set.
        """
        from dotexp.engine.build.datasets import DataStore
        from dotexp.engine.build.probe import Probe
        from dotexp.engine.evaluation import evaluate_run

        folder, store = self.open(run), DataStore()
        plan = plan_run(load_run(folder, set, self.registry), Probe(self.root, store))
        return evaluate_run(plan.inference, folder, part, self.device, store)

    def predict(self, run: RunReference, inputs: Inputs, *, tta: int = 0) -> list[Prediction]:
        """Predict for one input or several, such as image files and folders, or what else the run's data takes.

        `tta` is a number of passes over augmented images, to average with the plain one. An image that cannot be read
        is a prediction with its `error`. Raises UsageError for inputs that do not exist or are not of the data's kind,
        where none can be read, or where nothing augments them.
        """
        return list(self.iter_predictions(run, inputs, tta=tta))

    def iter_predictions(self, run: RunReference, inputs: Inputs, *, tta: int = 0) -> Iterator[Prediction]:
        """Predict as `predict`, yielding one prediction at a time, in bounded memory."""
        given, passes = as_inputs(inputs), int(as_number("tta", tta, whole=True))
        predictor = make_predictor(self.open(run), (), self.registry, self.device)
        return predictor.predictions(given, passes)

    def predict_into(
        self, run: RunReference, inputs: Inputs, out: str | Path, *, progress: Progress | None = None
    ) -> Written:
        """Predict for millions of inputs into a .csv, .jsonl or .parquet file; an unreadable one is a row's error.

        Called again after it was stopped, it goes on where it was. `progress` hears of the rows done and how many there
        are in all. Raises UsageError where `out` exists.
        """
        from dotexp.export.batch import predict_into

        given = as_inputs(inputs)
        predictor = make_predictor(self.open(run), (), self.registry, self.device)
        return predict_into(predictor, given, Path(out), progress)

    def export(
        self,
        run: RunReference,
        to: Format | str = Format.bundle,
        out: str | Path | None = None,
        *,
        set: Overrides = (),
        samples: Inputs = (),
        quantize: Quantized | str | None = None,
    ) -> Exported:
        """Export a finished run's model as a bundle, a folder that `predict` takes, as ONNX, or as a torch program.

        `out` is the path to write (None: named after the run, in the current folder). The export is compared on sample
        inputs, `samples` or else validation examples; `set` may say where the data is now. `quantize` rounds its
        numbers, `bf16` in a bundle or torch program and `int8` in ONNX, and measures the metrics. Raises UsageError
        where `out` exists, RunError where the export gives other outputs than the model.
        """
        return export_run(self.open(run), to, out, set, as_inputs(samples), quantize, self.registry)

    def serve(
        self,
        run: RunReference,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        limits: Limits | None = None,
        set: Overrides = (),
        started: Callable[[str], None] | None = None,
    ) -> None:
        """Serve a run's or a bundle's model over HTTP until SIGTERM or SIGINT, which let requests under way end.

        `started` hears of the address; port 0 takes a free one. `set` may say where the data is now, which knows what a
        user has rated. Raises UsageError where the extra `serve` is missing, or the address cannot be taken.
        """
        require_serve()
        from dotexp.serve.limits import Limits
        from dotexp.serve.server import serve

        predictor = make_predictor(self.open(run), set, self.registry, self.device)
        serve(predictor, host, port, limits or Limits(), started or (lambda address: None))

    def report(self, run: RunReference, set: Overrides = ()) -> Report:
        """Write a run's report.html anew and return what is in it; a failed or interrupted run has one, too.

        `set` may say where the data is now (`data.path=…`), or ask for other sections (`report=[top_losses(20)]`). The
        sections that the spec asks for need the trained model and the data: where these are missing, and where a
        component fails, the report says so and is written all the same.
        """
        return rewrite_report(self.open(run), set, self.registry, self.device)

    def verify(self, run: RunReference, *, listener: Listener | None = None) -> Verification:
        """Do a finished run again from its resolved.exp, with its device and threads, and say what differs.

        Nothing in the run's folder changes. Raises UsageError for a run that is not finished.
        """
        return repeat_run(self.open(run), self.registry, self.root, self.device, listener)

    def lr_find(
        self,
        spec: SpecPath | Resolved,
        stage: str | None = None,
        set: Overrides = (),
        *,
        run: RunReference | None = None,
        steps: int = STEPS,
        first: float = FIRST,
        last: float = LAST,
        listener: Listener | None = None,
        progress: Callable[[int], None] | None = None,
        notify: Notify | None = None,
    ) -> LrFind:
        """Sweep a stage's learning rate from the weights that the stage starts with; read suggestions off the loss.

        `stage` may be left out where there is one. The stages before it are trained first, in a temporary folder,
        unless `run`, of the same experiment up to there, has a checkpoint of the stage's start. The rate of the last
        group that trains goes from `first` towards `last` in `steps` steps; the others keep their ratios to it. Nothing
        is written. `listener` hears of the stages trained first, `progress` of the sweep's steps done. Raises SpecError
        where the spec or its data is wrong, UsageError for a stage or run that does not fit, RunError where training
        fails.
        """
        rates = rates_of(steps, first, last)
        resolved = load_spec(spec, set, self.registry)
        source = None if run is None else find_unfinished(run, self.root)
        return sweep_spec(
            resolved, stage, source, rates, self.registry, self.root, self.device, listener, progress, notify
        )

    def runs(self) -> tuple[RunFolder, ...]:
        """List the runs in the folder, by experiment and number."""
        return list_runs(self.root)

    def open(self, run: RunReference) -> RunFolder:
        """Find a run. Raises UsageError, with the closest names, where there is none."""
        return find_run(run, self.root)
