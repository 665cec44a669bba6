"""Arguments of the Python functions, each turned into one type in one place: runs, folders, devices, inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.checking import Overrides, SpecPath, load
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.export.bundle import changed_versions
from dotexp.language.diagnostics import Diagnostic, Severity, SpecError, UsageError
from dotexp.planning.plan import Plan
from dotexp.planning.planner import Probe, make_plan
from dotexp.runs.bundle_files import is_bundle, require_sound
from dotexp.runs.folder import RunFolder, newest_unfinished, open_run

RunReference = str | Path | RunFolder
"""A run: its folder, its name or path, or an experiment's name."""

DeviceName = Device | str | None
"""A device; None and `auto` leave the choice to the spec, or to the run that is resumed or verified."""

Inputs = str | Path | Sequence[str | Path]
"""What to predict for: one input or several."""


def as_device(device: DeviceName) -> Device | None:
    """Return the device that replaces the spec's, None for `auto`. Raises UsageError for an unknown name."""
    try:
        chosen = None if device is None else Device(device)
    except ValueError:
        raise UsageError(f"there is no device `{device}`: devices are {', '.join(Device)}") from None
    return None if chosen is Device.auto else chosen


def as_inputs(inputs: Inputs) -> list[str]:
    """Return inputs as text; a single one may be given without a list."""
    return [str(each) for each in ([inputs] if isinstance(inputs, str | Path) else inputs)]


def find_run(run: RunReference, root: Path) -> RunFolder:
    """Find a run or a bundle; an experiment's name stands for its newest finished run.

    Raises UsageError where there is none, and for a bundle whose files are not as they were written.
    """
    found = run if isinstance(run, RunFolder) else open_run(str(run), root)
    if is_bundle(found.path):
        require_sound(found.path)
    return found


def find_unfinished(run: RunReference, root: Path) -> RunFolder:
    """Find a run; an experiment's name stands for its newest run. Raises UsageError where there is none."""
    return run if isinstance(run, RunFolder) else newest_unfinished(str(run), root) or open_run(str(run), root)


def load_spec(spec: SpecPath | Resolved, set: Overrides, registry: Registry) -> Resolved:
    """Load a spec unless it is resolved already. Raises UsageError where a resolved one comes with overrides."""
    if not isinstance(spec, Resolved):
        return load(spec, set, registry)
    if set:
        raise UsageError(
            f"`set` replaces values while a spec is loaded, and `{spec.experiment.name}` is resolved already:"
            " give it to load(spec, set)"
        )
    return spec


def load_run(folder: RunFolder, set: Overrides = (), registry: Registry | None = None) -> Resolved:
    """Load a run's resolved.exp. Raises UsageError where the folder has none, SpecError with the errors alone."""
    if not folder.resolved.exists():
        raise UsageError(f"{folder.path} has no resolved.exp: it is not a run's folder")
    try:
        return load(folder.resolved, set, registry, weights=False)
    except SpecError as error:
        changed = changed_versions(folder.path, registry or load_registry()) if is_bundle(folder.path) else ""
        raise SpecError([_with_help(each, changed) for each in _errors(error)]) from None


def plan_run(resolved: Resolved, probe: Probe) -> Plan:
    """Plan a run's resolved.exp. Raises SpecError, which says how to tell where data is that has moved."""
    try:
        return make_plan(resolved, probe)[0]
    except SpecError as error:
        raise SpecError([_with_cure(each, resolved) for each in _errors(error)]) from None


def _errors(error: SpecError) -> list[Diagnostic]:
    """Leave out the warnings of a run's spec: they were given when it was made."""
    return [each for each in error.diagnostics if each.severity is Severity.error]


def _with_cure(diagnostic: Diagnostic, resolved: Resolved) -> Diagnostic:
    """Say which `--set` names data anew that a run's resolved.exp names in vain."""
    span = diagnostic.span
    if diagnostic.code != "E401" or span is None or span.source != resolved.source:
        return diagnostic
    paths = sorted((path for path, place in resolved.origins.items() if place == span), key=len)
    if not paths:
        return diagnostic
    cure = f"where it has moved since the run: --set {paths[0]}=NEW"
    return _with_help(diagnostic, cure)


def _with_help(diagnostic: Diagnostic, more: str) -> Diagnostic:
    return diagnostic.replace(help="; ".join(each for each in (diagnostic.help, more) if each))
