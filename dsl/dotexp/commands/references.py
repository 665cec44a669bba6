"""Arguments of the Python functions, each turned into one type in one place: runs, folders, devices, inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.checking import Overrides, SpecPath, as_overrides, load
from dotexp.experiment.experiment import Device
from dotexp.experiment.resolve import Resolved
from dotexp.export.bundle import changed_versions
from dotexp.language.diagnostics import Diagnostic, Severity, SpecError, UsageError
from dotexp.planning.plan import Plan
from dotexp.planning.planner import Probe, make_plan
from dotexp.runs.bundle_files import is_bundle, require_sound
from dotexp.runs.folder import DEFAULT_ROOT, RunFolder, newest_unfinished, open_run

RunReference = str | PathLike[str] | RunFolder
"""A run: its folder, its name or path, or an experiment's name."""

DeviceName = Device | str | None
"""A device; None and `auto` leave the choice to the spec, or to the run that is resumed or verified.

A `torch.device` of the first index is taken as well.
"""

Input = str | PathLike[str] | tuple[str | int, ...]
"""An input of the run's data: text, a path, or the texts of an input that has several, such as two ids."""

Inputs = Input | Iterable[Input]
"""What to predict for: one input or several; a tuple stands for one input inside a list alone."""

Root = str | PathLike[str] | None
"""Folder of runs; None: `runs` in the current folder."""


def as_root(runs: Root) -> Path:
    """Return the folder of runs. Raises TypeError for anything but a path."""
    if runs is None:
        return DEFAULT_ROOT
    return Path(_path_text(runs, "runs", "the path of a folder"))


def as_device(device: DeviceName) -> Device | None:
    """Return the device that replaces the spec's, None for `auto`.

    Raises UsageError for an unknown name, TypeError for what is no name of a device.
    """
    if device is not None and not isinstance(device, str):
        device = _torch_device(device)
    try:
        chosen = None if device is None else Device(device)
    except ValueError:
        raise UsageError(f"there is no device `{device}`: devices are {', '.join(Device)}") from None
    return None if chosen is Device.auto else chosen


def as_inputs(inputs: Inputs) -> list[str | tuple[str, ...]]:
    """Return inputs as texts; a single one may be given without a list, and a generator is read to its end.

    Raises TypeError for what is neither text nor a path nor a tuple of texts and whole numbers.
    """
    if isinstance(inputs, str | PathLike):
        return [_input(inputs)]
    table = isinstance(inputs, Mapping) or hasattr(inputs, "columns")
    if table or isinstance(inputs, bytes | bytearray) or not isinstance(inputs, Iterable):
        raise _wrong_type("inputs", f"{_INPUT}, or a list of these", inputs)
    try:
        return [_input(each) for each in inputs]
    except TypeError as error:
        if isinstance(inputs, tuple):
            raise TypeError(f"{error}; write a single input of several ids in a list: [{inputs!r}]") from None
        raise


def as_number(name: str, value: float, whole: bool = False) -> float:
    """Return a number. Raises TypeError, with the parameter's name, for anything else."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex if whole else SupportsFloat):
        raise _wrong_type(name, "a whole number" if whole else "a number", value)
    return value


def as_id(name: str, value: str | int) -> str:
    """Return an id as text. Raises TypeError for anything but text and whole numbers."""
    if isinstance(value, bool) or not isinstance(value, str | SupportsIndex):
        raise _wrong_type(name, "text or a whole number", value)
    return value if isinstance(value, str) else str(index(value))


_INPUT = "text, the path of a file or folder, or a tuple of ids"


def _input(given: object) -> str | tuple[str, ...]:
    if isinstance(given, tuple):
        return tuple(as_id("an id of an input", each) for each in given)
    return _path_text(given, "an input", _INPUT)


def _path_text(given: object, name: str, expected: str) -> str:
    text = fspath(given) if isinstance(given, PathLike) else given
    if not isinstance(text, str):
        raise _wrong_type(name, expected, given)
    return text


def _torch_device(device: object) -> str:
    """Return the name of a `torch.device`, without importing torch."""
    if (type(device).__module__, type(device).__name__) != ("torch", "device"):
        raise _wrong_type("device", f"one of {', '.join(Device)}", device)
    if getattr(device, "index", None):
        raise UsageError(f"the device `{device}` cannot be chosen: CUDA_VISIBLE_DEVICES says which GPU `cuda` is")
    return str(device).partition(":")[0]


def _wrong_type(name: str, expected: str, given: object) -> TypeError:
    return TypeError(f"{name} is {expected}, not {type(given).__name__}")


def _name(run: object) -> str:
    return _path_text(run, "a run", "its name, its path or its RunFolder")


def find_run(run: RunReference, root: Path) -> RunFolder:
    """Find a run or a bundle; an experiment's name stands for its newest finished run.

    Raises UsageError where there is none, and for a bundle whose files are not as they were written.
    """
    found = run if isinstance(run, RunFolder) else open_run(_name(run), root)
    if is_bundle(found.path):
        require_sound(found.path)
    return found


def find_unfinished(run: RunReference, root: Path) -> RunFolder:
    """Find a run; an experiment's name stands for its newest run. Raises UsageError where there is none."""
    if isinstance(run, RunFolder):
        return run
    return newest_unfinished(_name(run), root) or open_run(_name(run), root)


def load_spec(spec: SpecPath | Resolved, set: Overrides, registry: Registry) -> Resolved:
    """Load a spec unless it is resolved already. Raises UsageError where a resolved one comes with overrides."""
    if not isinstance(spec, Resolved):
        return load(spec, set, registry)
    if as_overrides(set):
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
