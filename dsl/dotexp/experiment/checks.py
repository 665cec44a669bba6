"""What must hold between statements, and can be known before any data is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dotexp.components.component import PolicyParams, Use
from dotexp.components.facts import Facts
from dotexp.experiment.callback_checks import check_callbacks
from dotexp.experiment.experiment import Experiment, Stage, listings_of
from dotexp.experiment.field_checks import check_fields
from dotexp.experiment.layers import check_rates, training_groups
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span


def check_experiment(experiment: Experiment, origins: Mapping[str, Span], collector: Collector) -> None:
    """Run every check across statements."""
    _fits_data(experiment, origins, collector)
    _fits_images(experiment, origins, collector)
    check_fields(experiment, origins, collector)
    _has_tables(experiment, origins, collector)
    _fits_task("loss", experiment.loss, experiment.data, origins, collector)
    for keyword, uses in listings_of(experiment).items():
        for number, use in enumerate(uses):
            _fits_task(f"{keyword}.{number}", use, experiment.data, origins, collector)
    for stage in experiment.stages:
        _check_stage(stage, experiment, origins, collector)
    _never_trained(experiment, origins, collector)


def _fits_data(experiment: Experiment, origins: Mapping[str, Span], collector: Collector) -> None:
    given = experiment.data.facts
    model = experiment.model
    parts = [(place, use) for place, use in (("model.body", model.body), ("model", model.whole)) if use]
    for place, use in parts:
        wanted = use.facts.inputs
        if wanted and given.inputs and wanted != given.inputs:
            message = f"`{use.name}` takes {_said(wanted)}, and `{experiment.data.name}` gives {_said(given.inputs)}"
            collector.report("E305", message, origins.get(place))
    for place, use in (*parts, *([("model.head", model.head)] if model.head else [])):
        if use.facts.tasks and given.task and given.task not in use.facts.tasks:
            message = f"`{use.name}` is for {_listed(use.facts.tasks)}, and `{experiment.data.name}` is {given.task}"
            collector.report("E305", message, origins.get(place))


def _fits_images(experiment: Experiment, origins: Mapping[str, Span], collector: Collector) -> None:
    model = experiment.model.body or experiment.model.whole
    if model is None:
        return
    datas = {"data": experiment.data, **{f"stage.{stage.name}.data": stage.data for stage in experiment.stages}}
    for place, data in datas.items():
        size = dict(data.params).get("size")
        side, wanted = _side(model.facts, size) if isinstance(size, int) else (size, "")
        if side == size:
            continue
        message = f"`{model.name}` takes images {wanted}, and `{data.name}` gives {size} × {size}"
        written = origins.get(f"{place}.size")
        suggestion = str(side) if written else None
        help = "" if written else f"say so: `size = {side}`"
        collector.report("E305", message, written or origins.get(place), suggestion=suggestion, help=help)


def _side(facts: Facts, size: int) -> tuple[int, str]:
    """Find the side nearest to this one, from it up if there is one, of images that fit, and say which do."""
    smallest, largest = facts.smallest or 1, facts.largest
    if smallest <= size <= (largest or size):
        return size + -size % facts.multiple, f"whose side is a multiple of {facts.multiple}"
    if size < smallest:
        side = smallest + -smallest % facts.multiple
        return side, f"of {side} × {side} {'alone' if smallest == largest else 'or larger'}"
    assert largest is not None
    side = largest - largest % facts.multiple
    return side, f"of {side} × {side} {'alone' if smallest == largest else 'or smaller'}"


def _has_tables(experiment: Experiment, origins: Mapping[str, Span], collector: Collector) -> None:
    model = experiment.model.whole
    tables = model.facts.tables if model is not None else ()
    for number, use in enumerate(experiment.reports):
        missing = [name for name in use.facts.tables if name not in tables]
        if model is not None and tables and missing:
            message = f"`{use.name}` reads the table `{missing[0]}`, which `{model.name}` does not have"
            help = f"tables of {model.name}: {', '.join(tables)}"
            collector.report("E304", message, origins.get(f"report.{number}"), help=help)


def _fits_task(place: str, use: Use, data: Use, origins: Mapping[str, Span], collector: Collector) -> None:
    task = data.facts.task
    if task and use.facts.tasks and task not in use.facts.tasks:
        message = f"`{use.name}` is for {_listed(use.facts.tasks)}, and `{data.name}` is {task}"
        collector.report("E304", message, origins.get(place), help=f"choose a {use.kind} that fits {task}")


def _check_stage(stage: Stage, experiment: Experiment, origins: Mapping[str, Span], collector: Collector) -> None:
    place = f"stage.{stage.name}"
    if stage.loss != experiment.loss:
        _fits_task(f"{place}.loss", stage.loss, stage.data, origins, collector)
    callbacks = "callbacks"
    if stage.callbacks != experiment.callbacks:
        callbacks = f"{place}.callbacks"
        for number, callback in enumerate(stage.callbacks):
            _fits_task(f"{callbacks}.{number}", callback, stage.data, origins, collector)
    check_callbacks(stage.callbacks, callbacks, stage.data, experiment.metrics, origins, collector)
    if stage.data.facts.task != experiment.data.facts.task:
        message = f"the stage's data is {stage.data.facts.task}, the experiment's {experiment.data.facts.task}"
        collector.report("E305", message, origins.get(f"{place}.data"))
    if not training_groups(stage.freeze, experiment.model):
        message = f"the stage `{stage.name}` trains nothing: every layer is frozen"
        collector.report("E303", message, origins.get(f"{place}.freeze") or origins.get(place))
    policy = stage.fit.params
    if isinstance(policy, PolicyParams):
        check_rates(policy.lr, stage.freeze, experiment.model, _rate_span(place, origins), collector)
        _momentum_replaced(stage, policy, origins, collector)


def _rate_span(place: str, origins: Mapping[str, Span]) -> Span | None:
    return origins.get(f"{place}.fit.lr") or origins.get(f"{place}.fit")


def _momentum_replaced(stage: Stage, policy: PolicyParams, origins: Mapping[str, Span], collector: Collector) -> None:
    key = stage.optimizer.facts.momentum
    if key is None or not policy.moves_momentum:
        return
    params = stage.optimizer.params
    if key in params.model_fields_set and dict(params)[key] != type(params).model_fields[key].default:
        span = origins.get(f"stage.{stage.name}.optimizer.{key}") or origins.get(f"optimizer.{key}")
        message = f"`{stage.fit.name}` moves the momentum in the stage `{stage.name}`, so `{key}` is replaced"
        collector.report("W503", message, span, help="`momentum = none` in the policy leaves the optimizer's")


def _never_trained(experiment: Experiment, origins: Mapping[str, Span], collector: Collector) -> None:
    model = experiment.model
    trained = {name for stage in experiment.stages for name in training_groups(stage.freeze, model)}
    for group in model.groups:
        if group.name not in trained and trained:
            last = experiment.stages[-1]
            span = origins.get(f"stage.{last.name}.freeze") or origins.get("model")
            message = f"no stage trains the group `{group.name}`"
            collector.report("W502", message, span, help="its layers keep the weights they start with")


def _said(inputs: str) -> str:
    return {"user_item": "users and items"}.get(inputs, inputs)


def _listed(tasks: Iterable[str]) -> str:
    return " or ".join(str(task) for task in tasks)
