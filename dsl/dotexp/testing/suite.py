"""All checks of a plugin: of its face, of every component by its kind, and small runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from textwrap import wrap
from typing import Any

from pydantic import ValidationError

from dotexp.components.component import Component, load_attribute
from dotexp.components.provider import Provider
from dotexp.components.registry import Registry, load_registry
from dotexp.language.diagnostics import Problem, UsageError, closest
from dotexp.record import Record
from dotexp.testing.bench import Arguments, Bench
from dotexp.testing.components import component_outcomes, face_findings
from dotexp.testing.trial import Check, Finding, Outcome, State, Trial, failures, label, outcomes, run_checks

_HOME = "dotexp.testing"
_WIDTH = 100

CHECKS: Mapping[str, str] = {
    "data": f"{_HOME}.data:DATA",
    "model": f"{_HOME}.networks:NETWORK",
    "body": f"{_HOME}.networks:NETWORK",
    "head": f"{_HOME}.networks:NETWORK",
    "loss": f"{_HOME}.losses:LOSS",
    "optimizer": f"{_HOME}.optimizers:CHECKS",
    "policy": f"{_HOME}.policies:POLICY",
    "learning_rate": f"{_HOME}.policies:LEARNING_RATE",
    "stages": f"{_HOME}.policies:STAGES",
    "metric": f"{_HOME}.losses:METRIC",
    "callback": f"{_HOME}.callbacks:CALLBACK",
}
"""The checks of the kinds that the core declares; a plugin's own kind brings its own, `Kind.check`."""


class PluginReport(Record):
    """What the checks of a plugin found; `str` of it is a page to read."""

    plugin: str
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Checks that failed."""
        return tuple(failures(self.outcomes))

    def __str__(self) -> str:
        counts = {state: sum(each.state is state for each in self.outcomes) for state in State}
        lines = [f"{self.plugin}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)]
        for subject in dict.fromkeys(outcome.subject for outcome in self.outcomes):
            own = [each for each in self.outcomes if each.subject == subject]
            sound = ", ".join(each.check for each in own if each.state is State.ok)
            lines += [subject, *_wrapped(f"ok    {sound}", bool(sound))]
            lines += [line for each in own if each.state is not State.ok for line in _said(each)]
        return "\n".join(lines)


def _said(outcome: Outcome) -> list[str]:
    said = [f"{outcome.check}: {outcome.message}", *([f"help: {outcome.help}"] if outcome.help else [])]
    lead = "FAIL  " if outcome.state is State.failed else "skip  "
    return [line for first, text in zip((lead, " " * 6), said, strict=False) for line in _wrapped(f"{first}{text}")]


def _wrapped(text: str, shown: bool = True) -> list[str]:
    if not shown:
        return []
    return wrap(text, _WIDTH, initial_indent="  ", subsequent_indent=" " * 8, break_long_words=False)


def inspect_plugin(
    name: str,
    arguments: Arguments | None = None,
    inputs: Mapping[str, Sequence[Any]] | None = None,
    only: Collection[str] = (),
    runs: bool = True,
) -> PluginReport:
    """Check a plugin as `check_plugin` does, and return what was found. Raises UsageError for one that is not there."""
    registry = load_registry()
    provider = _provider(registry, name)
    if provider.load() is not None:
        found = outcomes(
            name, "loads", lambda: [Problem(str(provider.error), help="spec-runner plugins lists it so, too")]
        )
        return PluginReport(name, tuple(found))
    components = [each for each in provider.components if not only or each.name in only]
    if not components:
        help = "mark the function `dotexp_components` with @hookimpl, and return components from it"
        none = Problem("it offers no components", help=help)
        return PluginReport(name, tuple(outcomes(name, "loads", lambda: [none])))
    bench = Bench(arguments, provider.name, registry)
    found = outcomes(name, "face", lambda: face_findings(provider.module.__name__, components))
    for component in components:
        found += _component(component, registry, bench, (inputs or {}).get(component.name, ()), runs)
    title = f"{name} ({provider.distribution} {provider.version})"
    return PluginReport(title, tuple(found))


def check_plugin(
    name: str,
    arguments: Arguments | None = None,
    inputs: Mapping[str, Sequence[Any]] | None = None,
    only: Collection[str] = (),
    runs: bool = True,
) -> PluginReport:
    """Assert all that dotexp relies on of an installed plugin, by its entry point's name; return what was checked.

    Checked are the face, what it declares, each component by its kind, and small runs, done twice, and killed and
    resumed, which end with the same bits. `arguments` are values of parameters by component, for those that have
    required ones: `{"table": {"path": Path("t.csv")}}`; `inputs` are inputs of `predict` by data component. `only`
    names the components to check, and without `runs` nothing is run. Raises AssertionError with every fault.
    """
    report = inspect_plugin(name, arguments, inputs, only, runs)
    if report.failed:
        listed = "\n".join(map(str, report.failed))
        count = "1 check" if len(report.failed) == 1 else f"{len(report.failed)} checks"
        raise AssertionError(f"{report.plugin}: {count} failed\n{listed}")
    return report


def _provider(registry: Registry, name: str) -> Provider:
    by_name = {provider.name: provider for provider in registry.providers}
    if name not in by_name:
        near = closest(name, by_name)
        did = f"did you mean {near}? " if near else ""
        raise UsageError(f"no plugin `{name}` is installed: {did}`pip install -e .` installs the one in this folder")
    return by_name[name]


def _component(
    component: Component, registry: Registry, bench: Bench, inputs: Sequence[Any], runs: bool
) -> Iterator[Outcome]:
    declared = component_outcomes(component, registry.kinds)
    yield from declared
    if failures(declared):
        yield Outcome(declared[0].subject, "the rest", State.skipped, "what it declares is to be mended first")
        return
    try:
        use = bench.use(component)
    except ValidationError as error:
        ungiven = [_ungiven(component, error)]
        yield from outcomes(declared[0].subject, "arguments", lambda: ungiven)
        return
    trial = Trial(use, bench, inputs)
    found = run_checks(trial, _checks(component, registry))
    yield from found
    if not runs or not bench.makes_specs(use):
        return
    if failures(found[:1]):
        yield Outcome(label(use), "runs", State.skipped, f"`{found[0].check}` failed")
    else:
        yield from run_checks(trial, [load_attribute(f"{_HOME}.runs:runs")])


def _ungiven(component: Component, error: ValidationError) -> Problem:
    missing = [str(each["loc"][0]) for each in error.errors() if each["type"] == "missing"]
    if not missing:
        return Problem(f"the arguments given for it do not validate: {error}")
    names = ", ".join(f"`{name}`" for name in missing)
    values = ", ".join(f'"{name}": …' for name in missing)
    help = f'arguments={{"{component.name}": {{{values}}}}}, so that check_plugin can build it'
    return Problem(f"{names} {'is' if len(missing) == 1 else 'are'} required, and no value was given", help=help)


def _checks(component: Component, registry: Registry) -> Sequence[Check]:
    if component.kind in CHECKS:
        module, _, name = CHECKS[component.kind].partition(":")
        checks: Sequence[Check] = getattr(import_module(module), name)
        return checks
    own = registry.kinds[component.kind].check
    return (_of_kind(own),) if own else ()


def _of_kind(path: str) -> Check:
    """Make a check of a function of a `Use` that yields problems."""
    function = load_attribute(path)

    def check(trial: Trial) -> Iterator[Finding]:
        yield from function(trial.use)

    check.__name__ = function.__name__
    return check
