"""Execute a plan, or what is left of it after an interruption, and leave a finished run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch

from dotexp.components.calls import PluginError, said
from dotexp.engine.blame import blamed
from dotexp.engine.build.datasets import DataStore
from dotexp.engine.estimate import estimate
from dotexp.engine.events import Listener, bus_of
from dotexp.engine.execution import Execution
from dotexp.engine.state.resuming import Resumption
from dotexp.engine.state.saving import said_of_disk
from dotexp.engine.training.polling import stopped_by_signals
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import DotexpError, Interrupted, RunError
from dotexp.language.machine_faults import is_out_of_memory
from dotexp.planning.plan import Plan
from dotexp.runs.checkpoints import positions
from dotexp.runs.folder import RunFolder
from dotexp.runs.results import RunResult, Status


def execute(
    plan: Plan,
    run: RunFolder,
    listener: Listener | None = None,
    device: Device | None = None,
    plugins: Mapping[str, str] | None = None,
    store: DataStore | None = None,
    resumption: Resumption | None = None,
) -> RunResult:
    """Run every stage of a plan, or what is left of them, and leave the results in the run's folder.

    `device` replaces the plan's; `plugins` are versions to write down; `store` may hold data opened already;
    `resumption` says where to continue. The folder gets vocabulary, environment, metrics, schedule, checkpoints, model
    and result; a run that fails or is interrupted has its result too, which says why.

    Raises RunError where training fails, UsageError for a device that is not there, ComponentError for data or
    weights that cannot be used, Interrupted where the user stopped it: after the step under way and a save for the
    first SIGINT, SIGTERM or SIGHUP, at once for the second.
    """
    execution = Execution(plan, run, bus_of(listener), plugins or {}, store or DataStore(), resumption)
    with stopped_by_signals(execution.polling):
        try:
            execution.run_stages(device)
        except Interrupted as stop:
            execution.end_early(Status.interrupted, str(stop))
            raise
        except KeyboardInterrupt as stop:
            message = f"interrupted at once {execution.where}{_go_on(run)}"
            execution.end_early(Status.interrupted, message)
            raise Interrupted(message) from stop
        except (DotexpError, SystemExit) as error:
            if isinstance(error, PluginError | SystemExit):
                raise _fail(error, execution, plan, run) from error
            execution.rescue()
            execution.end_early(Status.failed, str(error))
            raise
        except Exception as error:
            raise _fail(error, execution, plan, run) from error
        return execution.end(Status.finished)


def _fail(error: BaseException, execution: Execution, plan: Plan, run: RunFolder) -> RunError:
    """Save what can be saved, write down why the run failed, and return the error that says it."""
    execution.rescue()
    failure = _failure(error, execution, plan, run)
    execution.end_early(Status.failed, str(failure))
    return failure


def _go_on(run: RunFolder) -> str:
    """Say how to go on, where there is a checkpoint to go on from."""
    return f"\n  to go on from the last checkpoint: {run.resume_line}" if positions(run.checkpoints) else ""


def _failure(error: BaseException, execution: Execution, plan: Plan, run: RunFolder) -> RunError:
    where = execution.where
    if isinstance(error, OSError) and _within(error.filename, run):
        said = said_of_disk(error, Path(error.filename))
        return RunError(f"{said}\n  to go on with room for it: {run.resume_line}")
    if not is_out_of_memory(error):
        return RunError(f"{_reason(error, execution, plan)}{_go_on(run)}")
    stage = execution.drop_stage()
    said = ""
    if stage is not None:
        with suppress(Exception):  # there may be no memory left to estimate with, either
            said = f" The estimate for the stage was {estimate(plan, stage, execution.store, whole=False).said()}."
    advice = "Try a smaller batch_size, a smaller size of the images, or runtime(on_oom = split)"
    kind = "of the device " if isinstance(error, torch.OutOfMemoryError) else ""
    return RunError(f"out of memory {kind}{where}.{said} {advice}")


def _reason(error: BaseException, execution: Execution, plan: Plan) -> str:
    """Say what failed and where: a component by its name, its plugin and its place in the spec."""
    owner, message = error.owner if isinstance(error, PluginError) else None, str(error)
    found = blamed(error, execution.owners())
    if found is not None:
        owner, message = found[0], f"{found[0].label} fails in {found[1]}: {said(error)}"
    if owner is None:
        return f"{type(error).__name__} {execution.where}: {error}"
    place = plan.place_of(owner)
    return f"{message}\n  {execution.where}" + (f"; in the spec: {place}" if place else "")


def _within(filename: object, run: RunFolder) -> bool:
    return isinstance(filename, str) and Path(filename).is_relative_to(run.path)
