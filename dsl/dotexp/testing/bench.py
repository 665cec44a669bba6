"""A spec around a component under test: the other components that it needs, small ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dotexp.components.bases import BodyParams
from dotexp.components.component import Component, Use
from dotexp.components.facts import BodyFacts, DataFacts, DataSignature
from dotexp.components.provider import Provider
from dotexp.components.registry import Registry, load_registry
from dotexp.experiment.checking import check_source
from dotexp.experiment.text import use_text
from dotexp.language.diagnostics import Diagnostic, Severity, SpecError
from dotexp.language.source import source_from_text
from dotexp.testing.samples import COMPONENTS, NAME

if TYPE_CHECKING:
    from dotexp.planning.plan import Plan

EPOCHS = 2
_LR = 1e-2
_SIDE = 16
_EPOCH_STEPS = 3
_LARGEST_BATCH = 64
_LOSSES = {
    "classification": "losses.cross_entropy", "multilabel": "losses.binary_cross_entropy",
    "regression": "losses.mse", "ratings": "losses.mse",
}  # fmt: skip
_RATINGS = "collab.latent_ratings(users = 12, items = 20, density = 0.3, valid = 20%, batch_size = 16)"
_RATING_MODEL = "collab.embedding_dot_bias(factors = 2)"
_IN_A_SPEC = (
    "data", "model", "body", "head", "loss", "optimizer", "policy", "learning_rate", "stages", "metric", "callback",
    "report",
)  # fmt: skip
"""Kinds that have a place in a spec of their own, so that a run can be made of each."""

Arguments = Mapping[str, Mapping[str, Any]]
"""Values of parameters, by component."""


class Bench:
    """Puts a plugin's components into specs. `arguments` are those of components that have required parameters."""

    def __init__(self, arguments: Arguments | None = None, plugin: str = "", registry: Registry | None = None) -> None:
        self._arguments = arguments or {}
        self._plugin = plugin
        self._installed = registry

    @cached_property
    def registry(self) -> Registry:
        """The installed plugins, and the samples."""
        installed = self._installed or load_registry()
        samples = Provider(NAME, offered=COMPONENTS, known=installed.kinds)
        return Registry((*installed.providers, samples))

    @cached_property
    def own(self) -> tuple[Component, ...]:
        """The plugin's components."""
        return tuple(each for each in self.registry.components if each.provider == self._plugin)

    def use(self, component: Component) -> Use:
        """Return a component with the arguments given for it, and few epochs of a policy.

        Raises ValidationError where a parameter is required and not given, or a value is none of its.
        """
        fields = component.params.model_fields
        given = dict(self._arguments.get(component.name, {}))
        if issubclass(component.params, BodyParams) and "weights" in fields:
            given.setdefault("weights", None)
        for name, value in (("epochs", EPOCHS), ("lr", _LR)):
            if name in fields and fields[name].is_required() and component.kind in ("policy", "stages"):
                given.setdefault(name, value)
        return Use(component=component, params=component.params(**given))

    def makes_specs(self, use: Use) -> bool:
        """Whether a run can be made of the component itself; one of another kind is a parameter of something."""
        return use.kind in _IN_A_SPEC

    def plan(self, use: Use) -> Plan:
        """Plan the first spec with the component that can be planned. Raises SpecError with the errors of the first."""
        from dotexp.engine.build.probe import Probe
        from dotexp.planning.planner import make_plan

        first: Sequence[Diagnostic] = ()
        for text in self._specs(use):
            found, diagnostics = check_source(source_from_text(text, "check.exp"), self.registry)
            try:
                if found is not None:
                    return make_plan(found, Probe())[0]
            except SpecError as error:
                diagnostics = error.diagnostics
            first = first or [each for each in diagnostics if each.severity is Severity.error]
        raise SpecError(first)

    def _specs(self, use: Use) -> Iterator[str]:
        for data, task, inputs in self._data(use):
            for model in self._models(use, inputs):
                for loss in self._losses(use, task):
                    yield _spec(use, data, model, loss)

    def _data(self, use: Use) -> Iterator[tuple[str, str | None, str | None]]:
        """Data to run the component with, its task and its inputs: the plugin's own, then samples."""
        if use.kind == "data":
            yield self._opened(use)
            return
        side = _side(use.facts_as(BodyFacts))
        samples = [
            *((f"samples.sample_images(task = {task}, size = {side})", task, "images") for task in list(_LOSSES)[:3]),
            (_RATINGS, "ratings", "users and items"),
        ]
        own = map(self._opened, self._usable("data"))
        wanted, tasks = use.facts.inputs, use.facts.tasks
        ordered = chain(own, samples) if use.kind in ("model", "body", "report") else chain(samples, own)
        for text, task, inputs in ordered:
            if (wanted is None or inputs in (None, wanted)) and (not tasks or task in tasks):
                yield text, task, inputs

    def _opened(self, use: Use) -> tuple[str, str | None, str | None]:
        """Data as text, in batches of which an epoch has a few unless their size is given; its task and inputs."""
        from dotexp.components.builders import DataContext

        facts: DataFacts = use.build(DataContext(0, {})).facts
        if "batch_size" not in self._arguments.get(use.name, {}) and "batch_size" in type(use.params).model_fields:
            size = min(max(facts.train // _EPOCH_STEPS, 1), _LARGEST_BATCH)
            use = use.replace(params=use.params.model_copy(update={"batch_size": size}))
        return use_text(use), facts.task, use.facts_as(DataSignature).inputs

    def _models(self, use: Use, inputs: str | None) -> Iterator[str]:
        if use.kind == "model":
            yield f"model {use_text(use)}"
        elif use.kind == "body":
            yield f"model {{ body {use_text(use)}  head samples.sample_head }}"
        elif use.kind == "head":
            yield f"model {{ body samples.sample_body  head {use_text(use)} }}"
        else:
            for each in self._usable("model"):
                if each.facts.inputs in (None, inputs):
                    yield f"model {use_text(each)}"
            if inputs == "images":
                yield "model { body samples.sample_body  head samples.sample_head }"
            if inputs == "users and items":
                yield f"model {_RATING_MODEL}"
            yield "model samples.sample_model"

    def _losses(self, use: Use, task: str | None) -> Iterator[str]:
        if use.kind == "loss":
            yield use_text(use)
            return
        if task in _LOSSES:
            yield _LOSSES[task]
        yield from (use_text(each) for each in self._usable("loss") if not each.facts.tasks or task in each.facts.tasks)

    def _usable(self, kind: str) -> Iterator[Use]:
        """The plugin's components of a kind, without those whose required parameters nobody has given."""
        for component in self.own:
            if component.kind == kind:
                try:
                    yield self.use(component)
                except ValidationError:
                    continue


def _spec(use: Use, data: str, model: str, loss: str) -> str:
    text = use_text(use)
    plain = f"optimizers.flat(epochs = {EPOCHS}, lr = {_LR})"
    fit = text if use.kind == "policy" else plain
    if use.kind == "learning_rate":
        fit = f"optimizers.flat(epochs = {EPOCHS}, lr = {text})"
    lines = [
        "experiment checked", "seed 1", f"data {data}", model, f"loss {loss}",
        f"optimizer {text if use.kind == 'optimizer' else 'optimizers.adam'}",
        *(f"{word} {text}" for word, kind in _LISTED.items() if use.kind == kind),
        *_measured(use),
        *([f"stages {text}"] if use.kind == "stages" else _stages(use, fit)),
        "runtime(device = cpu, threads = 1)",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _side(facts: BodyFacts) -> int:
    """A side that images may have, 16 pixels where all may."""
    side = max(facts.smallest or 0, _SIDE)
    side += -side % facts.multiple
    return side if facts.largest is None else min(side, facts.largest)


_LISTED = {"metrics": "metric", "callbacks": "callback", "report": "report"}


def _measured(use: Use) -> Iterable[str]:
    """The metrics that a callback looks at."""
    metrics = [value for _, value in use.params if isinstance(value, Use) and value.kind == "metric"]
    return [f"metrics {', '.join(map(use_text, metrics))}"] if metrics and use.kind == "callback" else []


def _stages(use: Use, fit: str) -> Iterator[str]:
    """One stage; of a model with several layers another before it, in which the last layer trains alone."""
    layers = use.facts_as(BodyFacts).layers if use.kind in ("body", "model") else ()
    if use.kind == "body" and layers:
        yield f"stage last {{ freeze body  fit {fit} }}"
    elif len(layers) > 1:
        yield f"stage last {{ freeze before {layers[-1]}  fit {fit} }}"
    yield f"stage every {{ fit {fit} }}"
