"""What must hold between statements, and can be known before any data is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dotexp.components.bases import ImageDataParams, PolicyParams
from dotexp.components.component import Use
from dotexp.components.facts import BodyFacts, DataSignature, ModelFacts, OptimizerFacts, ReportFacts
from dotexp.experiment.batch_checks import check_batch_of_one
from dotexp.experiment.callback_checks import check_callbacks
from dotexp.experiment.experiment import FreezeBefore, FreezeLayers, Unfreeze, frozen_layers
from dotexp.experiment.field_checks import check_fields, check_stage_fields
from dotexp.experiment.layers import check_rates, check_sizes, training_groups
from dotexp.experiment.outline import Outline, StageOutline
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span


def check_outline(outline: Outline, origins: Mapping[str, Span], collector: Collector) -> None:
    """Run every check across statements, each on the statements that could be read."""
    data = outline.uses.get("data")
    if data is not None:
        _fits_data(outline, data, origins, collector)
        check_fields(outline.parts, data, origins, collector)
        _fits_task("loss", outline.uses.get("loss"), data, origins, collector)
        for keyword, uses in outline.listings.items():
            for number, use in enumerate(uses):
                _fits_task(f"{keyword}.{number}", use, data, origins, collector)
    _fits_images(outline, origins, collector)
    _has_tables(outline, origins, collector)
    for stage in outline.stages:
        _check_stage(stage, outline, origins, collector)
    _never_trained(outline, origins, collector)
    check_batch_of_one(outline.stages, outline.model, origins, collector)


def _fits_data(outline: Outline, data: Use, origins: Mapping[str, Span], collector: Collector) -> None:
    given = data.facts_as(DataSignature)
    for place, use in outline.parts.items():
        wanted = use.facts.inputs
        if wanted and given.inputs and wanted != given.inputs:
            message = f"`{use.name}` takes {wanted}, and `{data.name}` gives {given.inputs}"
            collector.report("E305", message, origins.get(place))
        if use.facts.tasks and given.task and given.task not in use.facts.tasks:
            message = f"`{use.name}` is for {_listed(use.facts.tasks)}, and `{data.name}` is {given.task}"
            collector.report("E305", message, origins.get(place))


def _fits_images(outline: Outline, origins: Mapping[str, Span], collector: Collector) -> None:
    model = outline.uses.get("body") or outline.uses.get("model")
    datas = {"data": outline.uses.get("data")}
    datas |= {f"stage.{stage.name}.data": stage.uses.get("data") for stage in outline.stages}
    for place, data in datas.items():
        if model is None or data is None or not isinstance(data.params, ImageDataParams):
            continue
        size = data.params.size
        side, wanted = _side(model.facts_as(BodyFacts), size)
        if side == size:
            continue
        message = f"`{model.name}` takes images {wanted}, and `{data.name}` gives {size} × {size}"
        written = origins.get(f"{place}.size")
        suggestion = str(side) if written else None
        help = "" if written else f"say so: `size = {side}`"
        collector.report("E305", message, written or origins.get(place), suggestion=suggestion, help=help)


def _side(facts: BodyFacts, size: int) -> tuple[int, str]:
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


def _has_tables(outline: Outline, origins: Mapping[str, Span], collector: Collector) -> None:
    model = outline.uses.get("model")
    tables = model.facts_as(ModelFacts).tables if model is not None else ()
    for number, use in enumerate(outline.listings["report"]):
        missing = [name for name in use.facts_as(ReportFacts).tables if name not in tables] if use is not None else []
        if use is not None and model is not None and tables and missing:
            message = f"`{use.name}` reads the table `{missing[0]}`, which `{model.name}` does not have"
            help = f"tables of {model.name}: {', '.join(tables)}"
            collector.report("E304", message, origins.get(f"report.{number}"), help=help)


def _fits_task(
    place: str, use: Use | None, data: Use | None, origins: Mapping[str, Span], collector: Collector
) -> None:
    task = data.facts_as(DataSignature).task if data is not None else None
    if use is not None and data is not None and task and use.facts.tasks and task not in use.facts.tasks:
        message = f"`{use.name}` is for {_listed(use.facts.tasks)}, and `{data.name}` is {task}"
        collector.report("E304", message, origins.get(place), help=f"choose a {use.kind} that fits {task}")


def _check_stage(stage: StageOutline, outline: Outline, origins: Mapping[str, Span], collector: Collector) -> None:
    place = f"stage.{stage.name}"
    data, common = stage.uses.get("data"), outline.uses.get("data")
    if stage.uses.get("loss") != outline.uses.get("loss"):
        _fits_task(f"{place}.loss", stage.uses.get("loss"), data, origins, collector)
    callbacks = "callbacks"
    if stage.listings["callbacks"] != outline.listings["callbacks"]:
        callbacks = f"{place}.callbacks"
        for number, callback in enumerate(stage.listings["callbacks"]):
            _fits_task(f"{callbacks}.{number}", callback, data, origins, collector)
    metrics = outline.listings["metrics"]
    check_callbacks(stage.listings["callbacks"], callbacks, data, metrics, origins, collector)
    signatures = [use.facts_as(DataSignature) for use in (data, common) if use is not None]
    tasks = [signature.task for signature in signatures if signature.task]
    if len(set(tasks)) > 1:
        message = f"the stage's data is {tasks[0]}, the experiment's {tasks[1]}"
        collector.report("E305", message, origins.get(f"{place}.data"))
    if data is not None and common is not None:
        check_stage_fields(stage.name, data, common, origins, collector)
    if stage.freeze is not None and outline.model is not None:
        frozen = frozen_layers(stage.freeze, outline.model.layers, outline.model.groups)
        if frozen.issuperset(outline.model.layers) and not training_groups(stage.freeze, outline.model):
            message = f"the stage `{stage.name}` trains nothing: every layer is frozen"
            collector.report("E303", message, origins.get(f"{place}.freeze") or origins.get(place))
    _check_policy(stage, outline, origins, collector)


def _check_policy(stage: StageOutline, outline: Outline, origins: Mapping[str, Span], collector: Collector) -> None:
    fit, place = stage.uses.get("fit"), f"stage.{stage.name}"
    if fit is None or not isinstance(fit.params, PolicyParams):
        return
    if outline.model is not None:
        span = origins.get(f"{place}.fit.lr") or origins.get(f"{place}.fit")
        freeze = stage.freeze if outline.groups_known else None
        check_rates(getattr(fit.params, "lr", None), freeze, outline.model, span, collector)
        names = [group.name for group in outline.model.groups]
        check_sizes(getattr(fit.params, "lr", None), names, span, collector)
    optimizer = stage.uses.get("optimizer")
    key = optimizer.facts_as(OptimizerFacts).momentum if optimizer is not None else None
    if optimizer is None or key is None or not fit.params.moves_momentum:
        return
    params = optimizer.params
    if key in params.model_fields_set and dict(params).get(key) != type(params).model_fields[key].default:
        place = f"stage.{stage.name}.optimizer.{key}"
        message = f"`{fit.name}` moves the momentum in the stage `{stage.name}`, so `{key}` is replaced"
        help = "`momentum = none` in the policy leaves the optimizer's"
        collector.report("W503", message, origins.get(place) or origins.get(f"optimizer.{key}"), help=help)


def _never_trained(outline: Outline, origins: Mapping[str, Span], collector: Collector) -> None:
    """W502 for groups that no stage trains, unless every stage freezes the whole body, which says what is meant."""
    model = outline.model
    freezes = [stage.freeze for stage in outline.stages if stage.freeze is not None]
    if model is None or not outline.groups_known or not freezes or len(freezes) < len(outline.stages):
        return
    trained = {name for freeze in freezes for name in training_groups(freeze, model)}
    idle = [group.name for group in model.groups if group.name not in trained]
    if not idle or not trained:
        return
    span = origins.get(f"stage.{outline.stages[-1].name}.freeze") or origins.get("model")
    if all(_freezes_body(freeze) for freeze in freezes):
        body = model.body
        if body is not None and "weights" in dict(body.params) and dict(body.params)["weights"] is None:
            message = f"no stage trains the body, and `{body.name}` starts from random weights"
            help = "train it in a stage, or start it from trained weights, such as `weights = imagenet`"
            collector.report("W502", message, span, help=help)
        return
    names = " and ".join(
        [", ".join(f"`{name}`" for name in idle[:-1]), f"`{idle[-1]}`"] if idle[1:] else [f"`{idle[0]}`"]
    )
    message = f"no stage trains the group{'s' * (len(idle) > 1)} {names}"
    collector.report("W502", message, span, help="their layers keep the weights they start with")


def _freezes_body(freeze: Unfreeze | FreezeBefore | FreezeLayers) -> bool:
    """Whether a freeze statement is `freeze body`."""
    return isinstance(freeze, FreezeLayers) and [(item.first, item.last) for item in freeze.items] == [("body", None)]


def _listed(tasks: Iterable[str]) -> str:
    return " or ".join(tasks)
