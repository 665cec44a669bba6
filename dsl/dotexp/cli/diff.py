"""`spec-runner diff`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from dotexp.cli.output import columns, json_option, print_diagnostics, print_json, print_line, runs_option, said
from dotexp.commands.differences import Condition, NumberPair, changed_conditions, paired_numbers
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.checking import STDIN, load
from dotexp.experiment.differences import Difference, compare
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.settings import settings_of
from dotexp.language.diagnostics import UsageError
from dotexp.language.effects import Effect
from dotexp.language.source import Span
from dotexp.runs.folder import RunFolder, open_run


class Side(NamedTuple):
    """A spec, or a run with the spec that it was resolved to."""

    name: str
    resolved: Resolved
    run: RunFolder | None


class Found(NamedTuple):
    """Everything in which the two sides differ; of two runs, every number."""

    sides: tuple[Side, Side]
    differences: Sequence[Difference]
    diverges: str | None
    conditions: Sequence[Condition] = ()
    numbers: Sequence[NumberPair] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.differences or self.conditions or any(each.before != each.after for each in self.numbers))


@click.command("diff")
@click.argument("a")
@click.argument("b")
@runs_option
@json_option
def command(a: str, b: str, root: Path, as_json: bool) -> None:
    """Say how two experiments differ: A and B are specs or runs.

    Each difference is labelled by what it does: it changes the weights, the speed only, or the reporting only. Of two
    runs the numbers are compared, too. Exits with 1 where there is a difference.
    """
    if a == b == STDIN:
        raise UsageError("one of the two at most is `-`, standard input")
    registry = load_registry()
    found = _compared(_open(a, root, registry), _open(b, root, registry), registry)
    if as_json:
        print_json(_json(found))
    else:
        for line in _lines(found):
            print_line(line)
    click.get_current_context().exit(int(not found.same))


def _open(reference: str, root: Path, registry: Registry) -> Side:
    path = Path(reference)
    if reference == STDIN or path.is_file() or path.suffix == ".exp":
        resolved, run = load(reference, registry=registry, weights=False), None
        print_diagnostics(resolved.diagnostics, err=True)
        return Side(reference, resolved, run)
    run = open_run(reference, root)
    return Side(run.name, load(run.resolved, registry=registry, weights=False), run)


def _compared(one: Side, other: Side, registry: Registry) -> Found:
    first, second = ((each.resolved.experiment, settings_of(each.resolved, registry)) for each in (one, other))
    comparison = compare(first, second)
    found = Found((one, other), comparison.differences, comparison.diverges)
    if one.run is None or other.run is None:
        return found
    return found._replace(conditions=changed_conditions(one.run, other.run), numbers=paired_numbers(one.run, other.run))


def _lines(found: Found) -> Iterator[str]:
    one, other = (side.name for side in found.sides)
    if found.same:
        yield f"{one} and {other}: no difference"
        return
    yield f"{one} → {other}"
    for effect in Effect:
        rows = [(each.path, _change(each), _note(each)) for each in found.differences if each.effect is effect]
        rows += [(each.name, _change(each), _note(each)) for each in found.conditions if each.effect is effect]
        if rows:
            yield from ("", str(effect), *columns(rows, indent="  ").splitlines())
    yield from ("", _divergence(found))
    if found.numbers:
        cells = [
            (each.stage, each.number, said(each.before), said(each.after), _signed(each.delta))
            for each in found.numbers
        ]
        header = ("stage", "number", one, other, "difference")
        yield from ("", *columns(cells, header, right={2, 3, 4}).splitlines())


def _change(each: Difference | Condition) -> str:
    before, after = ("none there" if value is None else str(value) for value in (each.before, each.after))
    return f"{before} → {after}"


def _note(each: Difference | Condition) -> str:
    return f"({each.note})" if each.note else ""


def _divergence(found: Found) -> str:
    if found.diverges is None:
        return "the weights are the same after every stage, as far as the specs say"
    stages = [stage.name for stage in found.sides[0].resolved.experiment.stages]
    place = stages.index(found.diverges) if found.diverges in stages else len(stages)
    if place == 0:
        return f"the weights differ from the first stage on, `{found.diverges}`"
    return f"the weights are the same after stage `{stages[place - 1]}`, and differ from stage `{found.diverges}` on"


def _signed(delta: float | None) -> str:
    return "" if delta is None else f"{delta:+.6f}" if isinstance(delta, float) else f"{delta:+d}"


def _json(found: Found) -> dict[str, Any]:
    return {
        "format_version": 1,
        "same": found.same,
        "sides": [
            {"name": side.name, "experiment": side.resolved.experiment.name, "run": side.run and str(side.run.path)}
            for side in found.sides
        ],
        "differences": [
            {**_row(each), "path": each.path, "places": [_place(span) for span in each.places]}
            for each in found.differences
        ],
        "conditions": [{**_row(each), "name": each.name} for each in found.conditions],
        "diverges": found.diverges,
        "numbers": [{**each._asdict(), "difference": each.delta} for each in found.numbers],
    }


def _row(each: Difference | Condition) -> dict[str, Any]:
    return {"before": each.before, "after": each.after, "effect": each.effect.name, "note": each.note or None}


def _place(span: Span | None) -> dict[str, Any] | None:
    return None if span is None else {"file": span.source.name, "line": span.line, "column": span.column}
