"""Spec files to experiments: `check` and `load`, which open no data and import neither torch nor the planner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.overrides import Override, parse_overrides
from dotexp.experiment.resolve import Resolved, resolve
from dotexp.experiment.weight_files import check_weight_file
from dotexp.language.decoding import LARGEST, read_bounded
from dotexp.language.diagnostics import Collector, Diagnostic, Severity, SpecError, UsageError
from dotexp.language.machine_faults import file_fault
from dotexp.language.parser import parse, read
from dotexp.language.source import Source

SpecPath = str | Path
Overrides = str | Sequence[str | Override]
"""One override, `path=value`, or several."""
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
    overrides = parse_overrides((set,) if isinstance(set, str) else set, collector)
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


def spec_bytes(spec: SpecPath) -> tuple[bytes, str, Path]:
    """Read a spec file (`-`: standard input): its content, its name, and the folder where its relative paths start.

    Raises UsageError where it cannot be read.
    """
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
