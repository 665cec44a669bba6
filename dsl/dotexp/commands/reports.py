"""A run's report: written when the run ends, and anew when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotexp.commands.references import load_run
from dotexp.components.registry import Registry
from dotexp.experiment.checking import Overrides
from dotexp.experiment.experiment import Device
from dotexp.language.diagnostics import DotexpError, Interrupted
from dotexp.planning.inference import Inference, inference_of
from dotexp.runs.folder import RunFolder

if TYPE_CHECKING:
    from dotexp.engine.build.datasets import DataStore
    from dotexp.engine.events import EventBus
    from dotexp.planning.plan import Plan
    from dotexp.reporting import RenderedSection, Report


def rewrite_report(folder: RunFolder, set: Overrides, registry: Registry, device: Device | None) -> Report:
    """Write a run's report anew; where resolved.exp does not check, only what the run's own files tell."""
    try:
        experiment = load_run(folder, set, registry).experiment
    except DotexpError as error:
        if set:
            raise
        message = "resolved.exp is not understood here, so only the run's own files are reported"
        return _write(folder, None, "", registry, None, device, [f"{message}: {error}"])
    return _write(folder, inference_of(experiment), experiment.description, registry, None, device, [])


def report_at_end(
    folder: RunFolder,
    plan: Plan,
    registry: Registry,
    store: DataStore,
    device: Device | None,
    bus: EventBus,
) -> None:
    """Write a finished run's report; whatever goes wrong, the run stays finished."""
    try:
        problems = _write(folder, plan.inference, plan.description, registry, store, device, []).problems
    except KeyboardInterrupt as stop:
        message = f"interrupted: {folder.name} is finished, its report is not written: {folder.report_line}"
        raise Interrupted(message) from stop
    except Exception as error:  # the report is about the run, not part of it
        reason = f"{type(error).__name__}: {error}\n  to try again: {folder.report_line}"
        problems = (f"the report is not written: {reason}",)
    for problem in problems:
        bus.warned(problem)


def origins(registry: Registry) -> dict[str, str]:
    """Distribution and version of every plugin, by the plugin's name."""
    return {provider.name: f"{provider.distribution} {provider.version}" for provider in registry.providers}


def _write(
    folder: RunFolder,
    inference: Inference | None,
    description: str,
    registry: Registry,
    store: DataStore | None,
    device: Device | None,
    problems: list[str],
) -> Report:
    from dotexp.reporting import SectionRenderer, write_report

    renderer = SectionRenderer()
    sections: list[RenderedSection] = []
    if inference is not None and inference.reports:
        from dotexp.engine.build.datasets import DataStore
        from dotexp.engine.reporting import report_sections

        store = store or DataStore()
        try:
            sections, failed = report_sections(inference, folder, store, renderer, origins(registry), device)
            problems = [*problems, *failed]
        except (DotexpError, OSError) as error:
            sections = [renderer.explain("Sections asked for", str(error))]
            problems = [*problems, f"the sections asked for are left out: {error}"]
    return write_report(folder, renderer, description, sections, problems)
