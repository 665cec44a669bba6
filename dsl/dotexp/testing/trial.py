"""A component under test, and what a check of it finds."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dotexp.components.component import Use
from dotexp.language.diagnostics import Problem, SpecError

if TYPE_CHECKING:
    from dotexp.testing.bench import Bench


class Skip(NamedTuple):
    """Why a check says nothing of a component."""

    reason: str


Finding = Problem | Skip


@dataclass(frozen=True)
class Trial:
    """A component with its parameters, the other components that it is run with, and inputs of `predict` for it."""

    use: Use
    bench: Bench
    inputs: Sequence[Any] = ()

    @property
    def label(self) -> str:
        """Name the component as messages do: "optimizer `lion`"."""
        return label(self.use)


def label(use: Use) -> str:
    """Name a component as messages do: "optimizer `lion`"."""
    return f"{use.kind.replace('_', ' ')} `{use.name}`"


Check = Callable[[Trial], Iterator[Finding]]
"""A check yields a `Problem` for each fault, `help` says the cure; its function's name is its name."""


class State(StrEnum):
    """How a check ended."""

    ok = "ok"
    failed = "failed"
    skipped = "skipped"


class Outcome(NamedTuple):
    """What one check found of one component, or of the plugin as a whole; a failed check may find several faults."""

    subject: str
    check: str
    state: State = State.ok
    message: str = ""
    help: str = ""

    def __str__(self) -> str:
        cure = f"\n    help: {self.help}" if self.help else ""
        return f"{self.subject}: {self.check}: {self.message}{cure}"


def outcomes(subject: str, check: str, findings: Callable[[], Iterable[Finding]]) -> list[Outcome]:
    """Run a check. What it raises is a fault of the component, with the place in its code."""
    found: list[Outcome] = []
    try:
        for finding in findings():
            if isinstance(finding, Skip):
                found.append(Outcome(subject, check, State.skipped, finding.reason))
            else:
                found.append(Outcome(subject, check, State.failed, finding.message, finding.help))
    except (Exception, SystemExit) as error:  # a plugin's code may raise anything; the other checks go on
        found.append(Outcome(subject, check, State.failed, raised(error)))
    return found or [Outcome(subject, check)]


def named(check: Check) -> str:
    """Return a check's name as reports write it: its function's, with spaces."""
    return check.__name__.replace("_", " ")


def run_checks(trial: Trial, checks: Sequence[Check]) -> list[Outcome]:
    """Run checks one after the other; where the first fails, which builds the component, the others are skipped."""
    found: list[Outcome] = []
    for place, check in enumerate(checks):
        mine = outcomes(trial.label, named(check), lambda check=check: check(trial))  # type: ignore[misc]
        found += mine
        if place == 0 and failures(mine):
            reason = f"`{named(check)}` failed"
            found += [Outcome(trial.label, named(other), State.skipped, reason) for other in checks[1:]]
            break
    return found


def failures(found: Iterable[Outcome]) -> list[Outcome]:
    """Return the outcomes of checks that failed."""
    return [outcome for outcome in found if outcome.state is State.failed]


def require(found: Iterable[Outcome]) -> None:
    """Raise AssertionError with every fault found."""
    failed = failures(found)
    if failed:
        raise AssertionError("\n".join(map(str, failed)))


def raised(error: BaseException) -> str:
    """Say what was raised, and where: the innermost line that is neither dotexp's nor a library's."""
    if isinstance(error, SpecError):
        return f"no spec can use it: {'; '.join(each.message for each in error.diagnostics)}"
    said = f"raises {type(error).__name__}: {error}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return f"{said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else said


def _is_own(file: str) -> bool:
    """Whether a file is the plugin's own code."""
    path = Path(file)
    if not path.is_file() or path.is_relative_to(Path(__file__).parents[1]):
        return False
    libraries = {Path(module.__file__).parent for name in ("torch", "pydantic", "torchmetrics", "torchvision", "numpy")
                 if (module := sys.modules.get(name)) is not None and module.__file__}  # fmt: skip
    standard = Path(traceback.__file__).parent
    inside = path.is_relative_to(standard) and "site-packages" not in path.parts
    return not inside and not any(path.is_relative_to(folder) for folder in libraries)
