"""What differs between two experiments, what each difference does to a run, and the first stage that diverges.

Resolved experiments are compared: the order of statements, comments, params, and defaults that one of them spells out
make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from dotexp.components.component import Use
from dotexp.components.params import Affects, effect_of
from dotexp.experiment.experiment import Experiment, Freeze, Unfreeze, frozen_layers
from dotexp.experiment.json import json_value
from dotexp.experiment.merge import STAGES
from dotexp.experiment.settings import Setting
from dotexp.language.effects import Effect
from dotexp.language.keywords import KEYWORDS, STAGE, TOP, Form, Keyword, in_place
from dotexp.language.source import Span

_STAGE = next(each.word for each in KEYWORDS if each.form is Form.stage)
_UNORDERED = {each.path for each in KEYWORDS if each.form is Form.listing and each.effect is Effect.reporting}
"""Lists whose order means nothing: metrics, and sections of a report."""


class Difference(NamedTuple):
    """A setting with two values, as text, and where they were written; None where an experiment has none."""

    path: str
    before: str | None
    after: str | None
    effect: Effect
    note: str = ""
    places: tuple[Span | None, Span | None] = (None, None)


class Comparison(NamedTuple):
    """Every difference, and the first stage after which the weights differ; None where no difference changes them."""

    differences: tuple[Difference, ...]
    diverges: str | None


class Side(NamedTuple):
    """An experiment and its settings by path."""

    experiment: Experiment
    settings: Mapping[str, Setting]

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in order."""
        return [stage.name for stage in self.experiment.stages]


def compare(first: tuple[Experiment, Sequence[Setting]], second: tuple[Experiment, Sequence[Setting]]) -> Comparison:
    """Compare two experiments, each with its settings."""
    one, other = (Side(experiment, {each.path: each for each in settings}) for experiment, settings in (first, second))
    found = [*_order(one, other), *_differences(one, other)]
    shown = (each for each in found if not all(_is_outside(each.path, side) for side in (one, other)))
    return Comparison(tuple(shown), _diverges(one, other, found))


def _is_outside(path: str, side: Side) -> bool:
    """Whether a setting of a stage is as outside it, where the difference is told once for all stages."""
    first, *rest = path.split(".", 2)
    outside = side.settings.get(rest[1]) if first == _STAGE and len(rest) == 2 else None
    setting = side.settings.get(path)
    return setting is not None and outside is not None and json_value(setting.value) == json_value(outside.value)


def _diverges(one: Side, other: Side, found: Sequence[Difference]) -> str | None:
    paths = [f"{each.path}." for each in found if each.effect is Effect.weights]
    start = any(_of_every_stage(path) for path in paths)
    for name, its in zip_longest(one.stages, other.stages):
        if start or name != its or any(path.startswith(f"{_STAGE}.{name}.") for path in paths):
            return str(name or its)
    return None


def _of_every_stage(path: str) -> bool:
    """Whether a path leads to what no stage has of its own: the seed, the model, the precision."""
    keyword = _keyword(path.split("."))
    return keyword is not None and STAGE not in keyword.places


def _order(one: Side, other: Side) -> Iterator[Difference]:
    """Say that the stages which both experiments have stand in another order."""
    before, after = ([name for name in side.stages if name in {*one.stages} & {*other.stages}] for side in (one, other))
    if before != after:
        yield Difference("order of stages", ", ".join(before), ", ".join(after), Effect.weights)


def _differences(one: Side, other: Side) -> Iterator[Difference]:
    """Every difference in the order of the language; what a stage takes from outside is told of the stage, too."""
    whole: set[str] = set()  # what is told, or the same, as a whole: nothing under it is compared
    known = {**one.settings, **other.settings}
    for path in dict.fromkeys(place for each in known for place in _above(each) if place in known):
        before, after = one.settings.get(path), other.settings.get(path)
        if whole.intersection(_above(path)) or _says_how(before or after):
            continue
        same = before is not None and after is not None and _same(before, after, one, other)
        if any(isinstance(each.value, tuple if same else tuple | Use) for each in (before, after) if each):
            whole.add(path)
        if same:
            continue
        parts = path.split(".")
        if parts[0] == _STAGE and not (parts[1] in one.stages and parts[1] in other.stages):
            path = f"{_STAGE}.{parts[1]}"
            whole.add(path)
            before, after = (side.settings.get(f"{path}.fit") for side in (one, other))
        effect = _effect(path, one, other)
        texts = [each.text if each else _inside(path, side) for each, side in ((before, one), (after, other))]
        spans = (before and before.origin.span, after and after.origin.span)
        yield Difference(path, texts[0], texts[1], effect.effect, effect.note, spans)


def _inside(path: str, side: Side) -> str | None:
    """The components under a path that is no setting of this side: a model's parts, where the other is whole."""
    parts = (each for place, each in side.settings.items() if place.rpartition(".")[0] == path)
    return ", ".join(each.text for each in parts if isinstance(each.value, Use)) or None


def _above(path: str) -> Iterator[str]:
    """Yield a path and those that lead to it."""
    parts = path.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _says_how(setting: Setting | None) -> bool:
    """Whether a setting only says how others come about: a param, or what a statement expands to stages."""
    return setting is not None and (hasattr(setting.value, "span") or setting.path.split(".")[0] == STAGES)


def _same(before: Setting, after: Setting, one: Side, other: Side) -> bool:
    """Whether two values mean the same; a component's parameters are settings of their own."""
    first, second = before.value, after.value
    if isinstance(first, Use) and isinstance(second, Use):
        return bool(first.component == second.component)
    if isinstance(first, Freeze) and isinstance(second, Freeze):
        return _frozen(first, one) == _frozen(second, other)
    values = [json_value(each) for each in (first, second)]  # its paths are absolute
    if before.path in _UNORDERED:
        values = [sorted(map(repr, each)) for each in values]
    return bool(values[0] == values[1])


def _frozen(freeze: Freeze, side: Side) -> tuple[Any, ...]:
    model = side.experiment.model
    layers = frozen_layers(freeze, model.layers, model.groups)
    return layers, None if isinstance(freeze, Unfreeze) else freeze.kept


def _effect(path: str, one: Side, other: Side) -> Affects:
    """What a difference at a path does: as its statement says, or a parameter on the way to it."""
    keyword = _keyword(path.split("."))
    if keyword is not None and keyword.effect is not Effect.weights:
        return Affects(keyword.effect)
    for place in _above(path):
        setting = one.settings.get(place) or other.settings.get(place)
        if setting is not None and setting.field is not None and effect_of(setting.field).effect is not Effect.weights:
            return effect_of(setting.field)
    if keyword is not None and keyword.places == (TOP, STAGE) and keyword.word != "data":
        every = (each.outside for side in (one, other) for each in side.settings.values())
        if not path.startswith(f"{_STAGE}.") and path not in every:
            return Affects(Effect.reporting, "every stage replaces it")
    return Affects(Effect.weights)


def _keyword(parts: Sequence[str]) -> Keyword | None:
    """Return the statement that a path leads into."""
    if parts[0] == _STAGE:
        return next((each for each in in_place(STAGE) if each.path == (*parts, "", "")[2]), None)
    return next((each for each in in_place(TOP) if parts[0] in (each.path, each.word)), None)
