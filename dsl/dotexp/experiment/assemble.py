"""Drafts to the experiment: values converted and validated, what is missing told, names held against the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dotexp.components.component import Use
from dotexp.components.facts import BodyFacts
from dotexp.components.published_layers import layers_fault
from dotexp.experiment.accepted import Expected
from dotexp.experiment.binding import UNKNOWN_FACTS, Bound
from dotexp.experiment.checks import check_outline
from dotexp.experiment.drafts import LISTED, LOCAL, Drafts, StageDraft
from dotexp.experiment.experiment import Experiment, Model, Stage
from dotexp.experiment.layers import make_freeze, make_model
from dotexp.experiment.merge import PARTS, WHOLE, Merged
from dotexp.experiment.outline import Outline, StageOutline
from dotexp.experiment.values import Converter
from dotexp.language.diagnostics import Collector
from dotexp.language.keywords import BY_WORD, STAGE, TOP, Form, in_place
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Call

DEFAULT_SEED = 42


def assemble(merged: Merged, drafts: Drafts) -> Experiment | None:
    """Check everything that can be checked, and make the experiment; None, with the faults reported, if there are."""
    collector = drafts.binder.scope.collector
    _require(merged, collector)
    _note_places(merged, drafts.binder.origins)
    seed = _seed(drafts, merged)
    outline = _outline(merged, drafts)
    check_outline(outline, drafts.binder.origins, collector)
    if collector.failed or merged.name is None or outline.model is None or seed is None:
        return None
    stages = []
    for stage in outline.stages:
        if stage.freeze is None:
            return None
        fields = _fields(STAGE, {**stage.uses, **stage.listings})
        stages.append(Stage(name=stage.name, freeze=stage.freeze, **fields))
    fields = _fields(TOP, {**outline.uses, **outline.listings})
    fields["runtime"] = fields["runtime"].params
    return Experiment(
        name=merged.name.name.text,
        description=merged.name.description.value if merged.name.description else "",
        seed=seed,
        model=outline.model,
        stages=tuple(stages),
        **fields,
    )


def _note_places(merged: Merged, origins: dict[str, Span]) -> None:
    """Note where what no component holds was written."""
    name, groups = merged.name, merged.groups
    if name is not None:
        origins["experiment"] = name.name.span
    if name is not None and name.description is not None:
        origins["experiment.description"] = name.description.span
    if groups is not None:
        origins["model.groups"] = groups.span


def _fields(place: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of statements of components by their fields."""
    keywords = in_place(place, Form.component, Form.listing, Form.settings)
    return {each.field: values[each.word] for each in keywords if each.field and each.word in values}


def _require(merged: Merged, collector: Collector) -> None:
    start = merged.source.span(0, 0)
    found: Mapping[Form, object] = {
        Form.name: merged.name,
        Form.block: merged.model,
        Form.stage: merged.stages or any(_makes_stages(word) for word in merged.unread),
    }
    for keyword in in_place(TOP):
        present = found.get(keyword.form, merged.slots.get(keyword.word)) or keyword.word in merged.unread
        if keyword.required and not present:
            what = "file" if keyword.form is Form.name else "experiment"
            message = f"the {what} has no `{keyword.word}` statement"
            collector.report("E201", message, start, help=f"for example: {keyword.example}")
    if merged.model and WHOLE not in (*merged.slots, *merged.unread):
        place = merged.model.source.span(merged.model.start, merged.model.start + len(WHOLE))
        for word, other in zip(PARTS, reversed(PARTS), strict=True):
            if word not in (*merged.slots, *merged.unread):
                collector.report("E201", f"the model has no `{word}`", place, help=f"a {other} needs a {word}")


def _makes_stages(word: str) -> bool:
    keyword = BY_WORD.get(word)
    return keyword is not None and (keyword.form is Form.stage or keyword.kind == "stages")


def _seed(drafts: Drafts, merged: Merged) -> int | None:
    value = drafts.seed or (merged.seed.value if merged.seed else None)
    if value is None:
        return DEFAULT_SEED
    binder, scope = drafts.binder, drafts.binder.scope
    binder.origins["seed"], binder.nodes["seed"] = value.span, value
    seed = Converter(scope, lambda call, kinds, path: None).convert(value, Expected(integer=True), "the seed", "seed")
    if not isinstance(seed, int):
        return None
    if not 0 <= seed < 2**63:
        scope.collector.report(
            "E207", f"the seed must be at least 0 and less than 2 to the 63rd, not {seed}", value.span
        )
        return None
    return seed


def _outline(merged: Merged, drafts: Drafts) -> Outline:
    binder = drafts.binder
    bound = {word: binder.bind(draft, BY_WORD[word].path) for word, draft in drafts.slots.items()}
    listings = {
        word: _listing(drafts.listings.get(word, ()), kind, BY_WORD[word].path, drafts) for word, kind in LISTED.items()
    }
    model, groups_known = _model(merged, drafts, bound)
    uses = {word: each.use for word, each in bound.items()}
    common = {word: _places(binder.origins, word) for word in LOCAL}
    stages = (_stage(stage, uses, listings, model, drafts, common) for stage in drafts.stages.values())
    return Outline(uses, listings, model, groups_known, tuple(stages))


def _listing(calls: Sequence[Call], kind: str, place: str, drafts: Drafts) -> tuple[Use | None, ...]:
    made = []
    if calls:
        drafts.binder.origins[place] = calls[0].span.to(calls[-1].span)
    for number, call in enumerate(calls):
        draft = drafts.binder.draft(call, (kind,))
        made.append(drafts.binder.bind(draft, f"{place}.{number}").use if draft else None)
    return tuple(made)


def _model(merged: Merged, drafts: Drafts, bound: Mapping[str, Bound]) -> tuple[Model | None, bool]:
    """The model with its layers and groups, and whether the groups are right; no model where layers are unknown."""
    uses = {word: bound[word].use for word in (*PARTS, WHOLE) if word in bound}
    body, head, whole = (uses.get(word) for word in (*PARTS, WHOLE))
    published = body or whole
    if published is None or published.component.facts is UNKNOWN_FACTS:
        return None, False
    collector = drafts.binder.scope.collector
    fault = layers_fault(published.facts_as(BodyFacts), published.kind)
    if fault:
        span = drafts.binder.origins.get(BY_WORD[PARTS[0] if body else WHOLE].path)
        message = f"{published.label}: {fault}"
        collector.report("E215", message, span, help="this is for the plugin's author to mend, not for the spec")
        return None, False
    known = "groups" not in merged.unread
    return make_model(body, head, whole, merged.groups, known, collector)


def _stage(
    draft: StageDraft,
    common_uses: Mapping[str, Use],
    listings: Mapping[str, tuple[Use | None, ...]],
    model: Model | None,
    drafts: Drafts,
    common: Mapping[str, Mapping[str, Span]],
) -> StageOutline:
    binder, place = drafts.binder, f"stage.{draft.name.text}"
    collector = binder.scope.collector
    binder.origins[place] = draft.name.span
    if draft.freeze is not None:
        binder.origins[f"{place}.freeze"] = draft.freeze.span
    for keyword in in_place(STAGE):
        if keyword.required and keyword.word not in (*draft.stated, *LOCAL):
            message = f"the stage `{draft.name.text}` has no `{keyword.word}`"
            collector.report("E201", message, draft.name.span, help=f"for example: {keyword.example}")
    uses: dict[str, Use | None] = {}
    for word, each in draft.slots.items():
        same = drafts.slots.get(word) is each
        uses[word] = common_uses[word] if same else binder.bind(each, f"{place}.{word}").use
        if same:
            binder.origins.update({f"{place}.{word}{rest}": span for rest, span in common[word].items()})
    own: dict[str, tuple[Use | None, ...]] = {}
    for keyword in in_place(STAGE, Form.listing):
        calls, path = draft.listings.get(keyword.word), f"{place}.{keyword.path}"
        own[keyword.word] = listings[keyword.word] if calls is None else _listing(calls, keyword.kind, path, drafts)
    unread = "freeze" in draft.stated
    freeze = make_freeze(draft.freeze, model, collector) if model and not unread else None
    return StageOutline(draft.name.text, uses, own, freeze)


def _places(origins: Mapping[str, Span], slot: str) -> dict[str, Span]:
    """Places of a slot's component and its parameters, by what stands behind the slot's name."""
    return {
        path.removeprefix(slot): span for path, span in origins.items() if path == slot or path.startswith(f"{slot}.")
    }
