"""Drafts to the experiment: values converted and validated, what is missing told, names held against the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dotexp.components.component import Use
from dotexp.experiment.accepted import Expected
from dotexp.experiment.checks import check_experiment
from dotexp.experiment.drafts import LISTED, LOCAL, Drafts, StageDraft
from dotexp.experiment.experiment import Experiment, Model, Runtime, Stage
from dotexp.experiment.layers import make_freeze, make_model
from dotexp.experiment.merge import PARTS, WHOLE, Merged
from dotexp.experiment.values import Converter
from dotexp.language.diagnostics import Collector
from dotexp.language.keywords import BY_WORD, STAGE, TOP, Form, in_place
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Call

DEFAULT_SEED = 42

_COMPONENTS = tuple(each for each in in_place(TOP, Form.component) if each.field)
_LISTINGS = in_place(TOP, Form.listing)


def assemble(merged: Merged, drafts: Drafts, complete: bool) -> Experiment | None:
    """Make the experiment of its drafts; None, with the faults reported, where something is wrong.

    `complete` is false when the text had errors: a statement that is missing may then be one that did not parse.
    """
    binder = drafts.binder
    collector = binder.scope.collector
    if complete:
        _require(merged, collector)
    uses = {word: binder.use(draft, BY_WORD[word].path) for word, draft in drafts.slots.items()}
    listings = {
        word: _listing(drafts.listings.get(word, ()), kind, BY_WORD[word].path, drafts) for word, kind in LISTED.items()
    }
    seed = _seed(drafts, merged)
    model = _model(merged, uses, complete, collector)
    common = {word: _places(binder.origins, word) for word in LOCAL}
    stages = [_stage(stage, uses, listings, model, drafts, common) for stage in drafts.stages.values()]
    runtime = uses["runtime"]
    components = {each.field: uses.get(each.word) for each in _COMPONENTS if each.word in uses}
    missing = [each for each in _COMPONENTS if (each.required or each.word in uses) and not uses.get(each.word)]
    if not (merged.name and model and runtime and stages) or missing or seed is None:
        return None
    sound_stages = tuple(stage for stage in stages if stage is not None)
    if not sound_stages or not isinstance(runtime.params, Runtime):
        return None
    fields: dict[str, Any] = {**components, **{each.field: listings[each.word] for each in _LISTINGS}}
    experiment = Experiment(
        name=merged.name.name.text,
        description=merged.name.description.value if merged.name.description else "",
        seed=seed,
        model=model,
        stages=sound_stages,
        runtime=runtime.params,
        **fields,
    )
    check_experiment(experiment, binder.origins, collector)
    return experiment


def _require(merged: Merged, collector: Collector) -> None:
    start = merged.source.span(0, 0)
    present: Mapping[Form, object] = {Form.name: merged.name, Form.block: merged.model, Form.stage: merged.stages}
    for keyword in in_place(TOP):
        if keyword.required and not present.get(keyword.form, merged.slots.get(keyword.word)):
            what = "file" if keyword.form is Form.name else "experiment"
            message = f"the {what} has no `{keyword.word}` statement"
            collector.report("E201", message, start, help=f"for example: {keyword.example}")


def _listing(calls: Sequence[Call], kind: str, place: str, drafts: Drafts) -> tuple[Use, ...]:
    made = []
    for number, call in enumerate(calls):
        draft = drafts.binder.draft(call, (kind,))
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
    body, head, whole = (uses.get(word) for word in (*PARTS, WHOLE))
    if complete and merged.model and WHOLE not in merged.slots:
        for word, other in zip(PARTS, reversed(PARTS), strict=True):
            if word not in merged.slots:
                place = merged.model.source.span(merged.model.start, merged.model.start + len(WHOLE))
                collector.report("E201", f"the model has no `{word}`", place, help=f"a {other} needs a {word}")
    if whole is None and (body is None or head is None):
        return None
    return make_model(body, head, whole, merged.groups, collector)


def _stage(
    draft: StageDraft,
    uses: dict[str, Use | None],
    listings: Mapping[str, tuple[Use, ...]],
    model: Model | None,
    drafts: Drafts,
    common: Mapping[str, Mapping[str, Span]],
) -> Stage | None:
    binder, place = drafts.binder, f"stage.{draft.name.text}"
    collector = binder.scope.collector
    binder.origins[place] = draft.name.span
    if draft.freeze is not None:
        binder.origins[f"{place}.freeze"] = draft.freeze.span
    for keyword in in_place(STAGE):
        if keyword.required and keyword.word not in (*draft.stated, *LOCAL):
            message = f"the stage `{draft.name.text}` has no `{keyword.word}`"
            collector.report("E201", message, draft.name.span, help=f"for example: {keyword.example}")
    own: dict[str, Use | None] = {}
    for word, each in draft.slots.items():
        same = drafts.slots.get(word) is each
        own[word] = uses[word] if same else binder.use(each, f"{place}.{word}")
        if same:
            binder.origins.update({f"{place}.{word}{rest}": span for rest, span in common[word].items()})
    fields: dict[str, Any] = {each.field: own.get(each.word) for each in in_place(STAGE, Form.component)}
    for keyword in in_place(STAGE, Form.listing):
        calls, path = draft.listings.get(keyword.word), f"{place}.{keyword.path}"
        fields[keyword.field] = listings[keyword.word] if calls is None else _listing(calls, keyword.kind, path, drafts)
    freeze = make_freeze(draft.freeze, model, collector) if model else None
    if not freeze or any(fields[each.field] is None for each in in_place(STAGE, Form.component)):
        return None
    return Stage(name=draft.name.text, freeze=freeze, **fields)


def _places(origins: Mapping[str, Span], slot: str) -> dict[str, Span]:
    """Places of a slot's component and its parameters, by what stands behind the slot's name."""
    return {
        path.removeprefix(slot): span for path, span in origins.items() if path == slot or path.startswith(f"{slot}.")
    }
