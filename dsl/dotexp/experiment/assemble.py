"""Drafts to the experiment: values converted and validated, what is missing told, names held against the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dotexp.components.component import Use
from dotexp.experiment.accepted import Expected
from dotexp.experiment.checks import check_experiment
from dotexp.experiment.drafts import LISTED, LOCAL, Drafts, StageDraft
from dotexp.experiment.experiment import Experiment, Model, Runtime, Stage
from dotexp.experiment.layers import make_freeze, make_model
from dotexp.experiment.merge import Merged
from dotexp.experiment.values import Converter
from dotexp.language.diagnostics import Collector
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Call

PLACES = {"whole": "model", "body": "model.body", "head": "model.head"}
"""Path of a slot's component in overrides and diagnostics, where it is not the slot's own name."""

DEFAULT_SEED = 42


def assemble(merged: Merged, drafts: Drafts, complete: bool) -> Experiment | None:
    """Make the experiment of its drafts; None, with the faults reported, where something is wrong.

    `complete` is false when the text had errors: a statement that is missing may then be one that did not parse.
    """
    binder = drafts.binder
    collector = binder.scope.collector
    if complete:
        _require(merged, collector)
    uses = {slot: binder.use(draft, PLACES.get(slot, slot)) for slot, draft in drafts.slots.items()}
    listings = {word: _listing(drafts.listings.get(word, ()), word, word, drafts) for word in LISTED}
    seed = _seed(drafts, merged)
    model = _model(merged, uses, complete, collector)
    common = {slot: _places(binder.origins, slot) for slot in LOCAL}
    callbacks = listings["callbacks"]
    stages = [_stage(stage, uses, callbacks, model, drafts, common) for stage in drafts.stages.values()]
    runtime = uses["runtime"]
    data, loss, optimizer = (uses.get(slot) for slot in LOCAL)
    if (
        not (merged.name and data and loss and optimizer and model and runtime and stages)
        or seed is None
        or not isinstance(runtime.params, Runtime)
    ):
        return None
    sound_stages = tuple(stage for stage in stages if stage is not None)
    if not sound_stages:
        return None
    experiment = Experiment(
        name=merged.name.name.text,
        description=merged.name.description.value if merged.name.description else "",
        seed=seed,
        data=data,
        model=model,
        loss=loss,
        optimizer=optimizer,
        metrics=listings["metrics"],
        callbacks=callbacks,
        reports=listings["report"],
        stages=sound_stages,
        runtime=runtime.params,
    )
    check_experiment(experiment, binder.origins, collector)
    return experiment


def _require(merged: Merged, collector: Collector) -> None:
    start = merged.source.span(0, 0)
    present = {
        "experiment": (merged.name, 'experiment name "what it is about"'),
        "data": (merged.slots.get("data"), "data image_folder(…)"),
        "model": (merged.model, "model { body resnet34  head mlp }"),
        "loss": (merged.slots.get("loss"), "loss cross_entropy"),
        "stage": (merged.stages, "stage train { fit one_cycle(epochs = 5, lr = 1e-3) }"),
    }
    for keyword, (found, example) in present.items():
        if not found:
            message = (
                f"the experiment has no `{keyword}` statement"
                if keyword != "experiment"
                else ("the file has no `experiment` statement")
            )
            collector.report("E201", message, start, help=f"for example: {example}")


def _listing(calls: Sequence[Call], keyword: str, place: str, drafts: Drafts) -> tuple[Use, ...]:
    made = []
    for number, call in enumerate(calls):
        draft = drafts.binder.draft(call, (LISTED[keyword],))
        use = drafts.binder.use(draft, f"{place}.{number}") if draft else None
        if use is not None:
            made.append(use)
    return tuple(made)


def _seed(drafts: Drafts, merged: Merged) -> int | None:
    value = drafts.seed or (merged.seed.value if merged.seed else None)
    if value is None:
        return DEFAULT_SEED
    scope = drafts.binder.scope
    seed = Converter(scope, lambda call, kinds, path: None).convert(value, Expected(integer=True), "the seed", "seed")
    if not isinstance(seed, int):
        return None
    if not 0 <= seed < 2**63:
        scope.collector.report(
            "E207", f"the seed must be at least 0 and less than 2 to the 63rd, not {seed}", value.span
        )
        return None
    return seed


def _model(merged: Merged, uses: dict[str, Use | None], complete: bool, collector: Collector) -> Model | None:
    body, head, whole = uses.get("body"), uses.get("head"), uses.get("whole")
    if complete and merged.model and "whole" not in merged.slots:
        for slot in ("body", "head"):
            if slot not in merged.slots:
                place = merged.model.source.span(merged.model.start, merged.model.start + len("model"))
                other = "a body needs a head" if slot == "head" else "a head needs a body"
                collector.report("E201", f"the model has no `{slot}`", place, help=other)
    if whole is None and (body is None or head is None):
        return None
    return make_model(body, head, whole, merged.groups, collector)


def _stage(
    draft: StageDraft,
    uses: dict[str, Use | None],
    callbacks: tuple[Use, ...],
    model: Model | None,
    drafts: Drafts,
    common: Mapping[str, Mapping[str, Span]],
) -> Stage | None:
    binder, place = drafts.binder, f"stage.{draft.name.text}"
    collector = binder.scope.collector
    binder.origins[place] = draft.name.span
    if draft.freeze is not None:
        binder.origins[f"{place}.freeze"] = draft.freeze.span
    if not draft.has_fit:
        help = "for example: fit one_cycle(epochs = 5, lr = 1e-3)"
        collector.report("E201", f"the stage `{draft.name.text}` has no `fit`", draft.name.span, help=help)
    own: dict[str, Use | None] = {}
    for slot, each in draft.slots.items():
        same = drafts.slots.get(slot) is each
        own[slot] = uses[slot] if same else binder.use(each, f"{place}.{slot}")
        if same:
            binder.origins.update({f"{place}.{slot}{rest}": span for rest, span in common[slot].items()})
    if draft.callbacks is not None:
        callbacks = _listing(draft.callbacks, "callbacks", f"{place}.callbacks", drafts)
    freeze = make_freeze(draft.freeze, model, collector) if model else None
    fit, data, loss, optimizer = (own.get(slot) for slot in ("fit", *LOCAL))
    if not (freeze and fit and data and loss and optimizer):
        return None
    return Stage(
        name=draft.name.text,
        freeze=freeze,
        data=data,
        loss=loss,
        optimizer=optimizer,
        fit=fit,
        callbacks=callbacks,
    )


def _places(origins: Mapping[str, Span], slot: str) -> dict[str, Span]:
    """Places of a slot's component and its parameters, by what stands behind the slot's name."""
    return {
        path.removeprefix(slot): span for path, span in origins.items() if path == slot or path.startswith(f"{slot}.")
    }
