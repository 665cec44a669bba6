"""Fuzzing of everything that a stranger's text goes through: reading, parsing, resolving, planning.

    python tests/support/fuzzing.py --kind bytes --inputs 100000 --seed 1

Whatever the input, the answer is diagnostics: no other exception, every span inside its source, every diagnostic
drawn and written as JSON, no input takes more than `BUDGET` seconds of processor time; and what resolves is written out
as text that resolves to the same experiment. Prints how many inputs there were and the first that fails, which
`--seed` repeats.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from dotexp.components.component import Use
from dotexp.components.facts import DataFacts, DataSignature
from dotexp.experiment.checking import check_source
from dotexp.experiment.experiment import Device, Model, Runtime, Stage
from dotexp.experiment.json import as_json as experiment_json
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.text import as_text
from dotexp.language.diagnostics import ComponentError, Diagnostic, SpecError, UsageError, as_json, render
from dotexp.language.parser import parse, parse_freeze, parse_value, read
from dotexp.language.source import HIDDEN, source_from_text
from dotexp.planning.plan import LayerCount, Plan
from dotexp.planning.planner import make_plan
from dotexp.planning.rewrites.facts import StageFacts
from fuzz_inputs import SPECS, Case, experiment, mutated, random_bytes, registry, text_by_grammar

BUDGET = 5.0
"""Seconds of processor time that one input may take."""


class FailureError(AssertionError):
    """An input that breaks a promise."""


class SlowError(Exception):
    """An input that takes longer than `BUDGET`."""


@dataclass
class FakeProbe:
    """Says of data and models what a real probe might, at random and without opening anything."""

    random: Random
    known: dict[str, DataFacts] = field(default_factory=dict)

    def data_facts(self, use: Use, seed: int) -> DataFacts:
        """Facts of the kind that this data has."""
        task = use.facts_as(DataSignature).task or "classification"
        train = self.random.choice((0, 1, 2, 63, 64, 65, 300))
        classes = tuple(map(str, range(self.random.choice((2, 3, 10))))) if task == "classification" else None
        many = {} if classes else {name: self.random.randint(1, 9) for name in ("users", "items")}
        low = self.random.choice((0.0, 1.0, -5.0, 1e-300))
        ends = None if classes else (low, low + self.random.choice((0.0, 5.0)))
        facts = DataFacts(task, train, 5, classes=classes, entities=many, range=ends, outputs=len(classes or "1"))
        return self.known.setdefault(use.name, facts)

    def layer_counts(self, model: Model, facts: DataFacts) -> tuple[LayerCount, ...]:
        """Every layer of the model, some without parameters or norms."""
        return tuple(LayerCount(name, *self.random.choice(((9, 2, 3), (5, 0, 0), (0, 0, 0)))) for name in model.layers)

    def stage_facts(self, stage: Stage, runtime: Runtime, seed: int) -> StageFacts:
        """Any machine, any way to hold the data."""
        device = self.random.choice((Device.cpu, Device.cuda, Device.mps))
        return StageFacts(device, runtime.precision, *self.random.choices((True, False), k=2))

    def refuses_one(self, stage: Stage, model: Model, facts: DataFacts, seed: int) -> str | None:
        """A layer, or none."""
        return self.random.choice((None, "body.bn"))

    def missing_weights(self, model: Model) -> Sequence[str]:
        """Say that none are missing."""
        return ()

    def builder_faults(self, plan: Plan) -> Sequence[tuple[Use, ComponentError]]:
        """Say that every builder works."""
        return ()

    def run_folder(self, run: str) -> Path:
        """A folder, or none."""
        if self.random.random() < 0.5:
            raise UsageError(f"there is no run {run}")
        return SPECS / "runs" / "a-1"


# What must hold


def check_text(case: Case, random: Random) -> None:
    """Read and parse a file's bytes, and the text as a value and as a freeze statement."""
    source, faults = read(case.data, "f.exp", SPECS)
    sound(faults)
    sound(parse(source).faults)
    if random.random() < 0.1:
        sound(parse_value(source)[1])
        sound(parse_freeze(source)[1])


def check_spec(case: Case, random: Random) -> Resolved | None:
    """Read and resolve; what resolves is written out, as JSON too, and resolves to the same."""
    source, faults = read(case.data, "f.exp", SPECS)
    sound(faults)
    resolved, diagnostics = check_source(source, registry(), case.overrides)
    sound(diagnostics)
    require((resolved is None) == any(d.code[0] == "E" for d in diagnostics), "errors and an experiment, or neither")
    if resolved is None:
        return None
    as_written = experiment_json(resolved.experiment)
    json.dumps(as_written, allow_nan=False)
    text = as_text(resolved.experiment)
    again, more = check_source(source_from_text(text, "again.exp", SPECS), registry())
    require(again is not None, f"does not resolve again: {[render(d) for d in more]}\n{text}")
    require(
        again is not None and experiment_json(again.experiment) == as_written,
        f"resolves to another experiment:\n{text}",
    )
    return resolved


def check_plan(case: Case, random: Random) -> None:
    """Resolve, and plan what resolves with made-up data."""
    resolved = check_spec(case, random)
    if resolved is None:
        return
    try:
        plan, warnings = make_plan(resolved, FakeProbe(random))
    except SpecError as error:
        require(any(d.code[0] == "E" for d in error.diagnostics), "a refusal without an error")
        sound(error.diagnostics)
        return
    sound(warnings)
    json.dumps(plan.as_json(), allow_nan=False)
    for stage in plan.stages:
        require(all(rates is None or len(rates) == stage.steps for rates in stage.rates), "a rate for every step")
        require(all(rate >= 0 for rates in stage.rates for rate in rates or ()), "no rate below 0")


def sound(diagnostics: Sequence[Diagnostic]) -> None:
    """Draw diagnostics, write them as JSON, and see that every place is inside its text."""
    for diagnostic in diagnostics:
        for span in (diagnostic.span, *(related.span for related in diagnostic.related)):
            inside = span is None or 0 <= span.start <= span.end <= len(span.source.text)
            require(inside, f"a span outside its text: {diagnostic}")
        drawn = render(diagnostic)
        require(bool(drawn) and not HIDDEN.search(drawn), f"shown with controls in it: {drawn!r}")
    json.dumps(as_json(diagnostics), allow_nan=False)


def require(holds: bool, what: str) -> None:
    """Raise FailureError unless it holds."""
    if not holds:
        raise FailureError(what)


Kind = tuple[Callable[[Random], Case], Callable[[Case, Random], object]]
KINDS: Mapping[str, Kind] = {
    "bytes": (random_bytes, check_text),
    "mutate": (mutated, check_spec),
    "grammar": (text_by_grammar, check_spec),
    "resolve": (experiment, check_spec),
    "plan": (experiment, check_plan),
}
"""What each kind makes, and what it does with it."""


def run_one(kind: str, seed: str) -> None:
    """Make one input of its seed, such as `1:42`, and check it."""
    random = Random(seed)
    make, check = KINDS[kind]
    case = make(random)
    try:
        check(case, random)
    except Exception as error:
        raise FailureError(f"{kind} {seed}: {type(error).__name__}: {error}\n{case!r}") from error


@contextmanager
def alarm() -> Iterator[Callable[[], None]]:
    """Yield a function that starts an input's processor time; SlowError is raised when it runs out."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise SlowError(f"more than {BUDGET:g} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_PROF, BUDGET) and None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fuzz(kind: str, inputs: int, seed: int, seconds: float = 1e9, keep: int = 1) -> tuple[int, list[FailureError]]:
    """Check so many inputs, or as many as fit in the time; return how many there were and the first failures."""
    failures: list[FailureError] = []
    end = time.monotonic() + seconds
    done = 0
    with alarm() as start:
        while done < inputs and len(failures) < keep and time.monotonic() < end:
            start()
            try:
                run_one(kind, f"{seed}:{done}")
            except FailureError as failure:
                failures.append(failure)
            done += 1
    return done, failures


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=1e9, help="of each kind, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=int, default=1, help="failures to show before stopping")
    options = parser.parse_args()
    found = 0
    for kind in KINDS if options.kind == "all" else [options.kind]:
        began = time.monotonic()
        done, failures = fuzz(kind, options.inputs, options.seed, options.seconds, options.keep)
        took = time.monotonic() - began
        print(
            f"{kind}: {done:,} inputs in {took:.0f} s ({done / took:,.0f} a second), {len(failures)} failures",
            flush=True,
        )
        for failure in failures:
            print(ascii(str(failure))[:3000], flush=True)
        found += len(failures)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
