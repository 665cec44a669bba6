"""Spec files to experiments: `check` and `load`, which open no data and import neither torch nor the planner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path

from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.overrides import Override, override_of, parse_overrides
from dotexp.experiment.resolve import Resolved, resolve
from dotexp.experiment.weight_files import check_weight_file
from dotexp.language.decoding import LARGEST, read_bounded
from dotexp.language.diagnostics import Collector, Diagnostic, Severity, SpecError, UsageError
from dotexp.language.machine_faults import file_fault
from dotexp.language.parser import parse, read
from dotexp.language.source import Source

SpecPath = str | PathLike[str]
Overrides = str | Override | Iterable[str | Override] | Mapping[str, object] | None
"""One override, `path=value`, or several; or values by their paths."""
STDIN = "-"


def check(
    spec: SpecPath, set: Overrides = (), registry: Registry | None = None, weights: bool = True
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """Check a spec file (`-`: standard input): the experiment, None where it has errors, and every diagnostic.

    Opens no data or weights and does not import torch; `weights` says whether a weights file must be there. Raises
    UsageError where the file cannot be read.
    """
    source, faults = read(*spec_bytes(spec))
    if any(d.severity == "error" for d in faults):
        return None, faults
    resolved, diagnostics = check_source(source, registry or load_registry(), set)
    missing = check_weight_file(resolved) if resolved is not None and weights else None
    if resolved is None or missing is None:
        return resolved, diagnostics
    found = Collector([*diagnostics, missing]).sorted()
    return (None if missing.severity is Severity.error else resolved._replace(diagnostics=found)), found


def check_source(
    source: Source, registry: Registry, set: Overrides = ()
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """Check a spec's text as `check` does a file."""
    collector = Collector()
    overrides = parse_overrides(as_overrides(set), collector)
    resolved, diagnostics = resolve(parse(source), registry, overrides)
    if not collector.diagnostics:
        return resolved, diagnostics
    return None, Collector([*collector.diagnostics, *diagnostics]).sorted()


def load(spec: SpecPath, set: Overrides = (), registry: Registry | None = None, weights: bool = True) -> Resolved:
    """Load and resolve a spec file; `weights` as for `check`. Raises SpecError with every fault found."""
    resolved, diagnostics = check(spec, set, registry, weights)
    if resolved is None:
        raise SpecError(diagnostics)
    return resolved


def as_overrides(set: Overrides) -> tuple[str | Override, ...]:
    """Return overrides as a tuple; a single one may be given without a list. Raises TypeError for anything else."""
    if set is None:
        return ()
    if isinstance(set, str | Override):
        return (set,)
    if isinstance(set, Mapping):
        return tuple(override_of(path, value) for path, value in set.items())
    listed = tuple(set) if isinstance(set, Iterable) and not isinstance(set, bytes | bytearray) else (set,)
    for each in listed:
        if not isinstance(each, str | Override):
            raise TypeError(f'set is an override such as "epochs=3", or several, not {type(each).__name__}')
    return listed


def spec_bytes(spec: SpecPath) -> tuple[bytes, str, Path]:
    """Read a spec file (`-`: standard input): its content, its name, and the folder where its relative paths start.

    Raises UsageError where it cannot be read, TypeError for what is no path.
    """
    if not isinstance(spec, str | PathLike) or not isinstance(fspath(spec), str):
        raise TypeError(f"a spec is a path, or what load returned, not {type(spec).__name__}")
    if str(spec) == STDIN:
        import sys

        return sys.stdin.buffer.read(LARGEST + 1), "<stdin>", Path()
    path = Path(spec)
    try:
        return read_bounded(path), str(path), path.parent
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise file_fault("read", path, error) from error
        raise UsageError(f"cannot read {path}: {error}") from error
