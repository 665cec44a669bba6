"""The experiment as drafts: every component looked up, overrides applied, nothing converted yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dotexp.components.component import Component as ComponentDeclaration
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.binding import Binder, Draft
from dotexp.experiment.experiment import Runtime
from dotexp.experiment.merge import STAGES, Merged
from dotexp.experiment.overrides import Override
from dotexp.language.diagnostics import Related, closest
from dotexp.language.parser import parse
from dotexp.language.source import Source, Span, source_from_text
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Constant,
    Freeze,
    Listing,
    ListValue,
    StageBlock,
    Value,
    Word,
)

RUNTIME = ComponentDeclaration("runtime", "runtime", Runtime, build="dotexp.experiment.experiment:Runtime")
LOCAL = ("data", "loss", "optimizer")
LISTED = {"metrics": "metric", "callbacks": "callback", "report": "report"}
"""Kind of the components behind each keyword that takes several."""

_KINDS = {"whole": "model", "fit": "policy"}


@dataclass(frozen=True)
class StageDraft:
    """A stage: what is in force in it by slot (fit, data, loss, optimizer), and its freeze statement.

    `callbacks` are its own; None takes the experiment's.
    """

    name: Word
    slots: Mapping[str, Draft]
    freeze: Freeze | None = None
    has_fit: bool = True
    callbacks: tuple[Call, ...] | None = None


@dataclass
class Drafts:
    """Everything in force, by slot (data, whole, body, head, loss, optimizer, runtime), and the stages in order.

    `listings` has the metrics, callbacks and report by their keyword.
    """

    binder: Binder
    slots: dict[str, Draft] = field(default_factory=dict)
    seed: Value | None = None
    listings: dict[str, tuple[Call, ...]] = field(default_factory=dict)
    stages: dict[str, StageDraft] = field(default_factory=dict)
    generated: dict[Source, Span] = field(default_factory=dict)


def make_drafts(merged: Merged, overrides: Sequence[Override], binder: Binder) -> Drafts:
    """Look every component up, put the overrides in force, and expand what `stages` stands for."""
    drafts = Drafts(binder, listings={keyword: listing.calls for keyword, listing in merged.listings.items()})
    drafts.slots["runtime"] = Draft(RUNTIME, {}, merged.source.span(0, 0))
    adam = Word("adam", merged.source.span(0, 0))
    if "optimizer" not in merged.slots or merged.slots["optimizer"][0].call is None:
        default = binder.draft(Call(adam, None, adam.span), ("optimizer",))
        if default is not None:
            drafts.slots["optimizer"] = default
    for slot, statements in merged.slots.items():
        for statement in statements:
            _put(drafts.slots, slot, statement, binder)
    for override in overrides:
        if override.path[0] not in ("stage", STAGES):
            _override_global(drafts, override)
    for name, stage in _expanded(merged, overrides, drafts).items():
        drafts.stages[name] = _stage(stage, drafts)
    for override in overrides:
        if override.path[0] == "stage":
            _override_stage(drafts, override)
    return drafts


def _put(slots: dict[str, Draft], slot: str, statement: Component, binder: Binder) -> None:
    kind = _KINDS.get(slot, slot)
    if statement.call is not None:
        slots.pop(slot, None)
        draft = binder.draft(statement.call, (kind,))
        if draft is not None:
            slots[slot] = draft
    elif slot in slots:
        slots[slot] = binder.change(slots[slot], statement.changes or ())
    elif not binder.scope.collector.failed:
        message = f"there is no {kind} in force that this could change"
        help = f"name one: `{statement.keyword.text} NAME(…)`"
        binder.scope.collector.report("E201", message, statement.keyword.span, help=help)


def _stage(block: StageBlock, drafts: Drafts) -> StageDraft:
    slots = {slot: drafts.slots[slot] for slot in LOCAL if slot in drafts.slots}
    freeze, callbacks, has_fit = None, None, False
    for member in block.members:
        if isinstance(member, Freeze):
            freeze = member
        elif isinstance(member, Listing):
            callbacks = member.calls
        else:
            has_fit = has_fit or member.keyword.text == "fit"
            _put(slots, member.keyword.text, member, drafts.binder)
    return StageDraft(block.name, slots, freeze, has_fit, callbacks)


def _expanded(merged: Merged, overrides: Sequence[Override], drafts: Drafts) -> dict[str, StageBlock]:
    stages: dict[str, StageBlock] = {}
    collector = drafts.binder.scope.collector
    if STAGES not in merged.stages:
        for override in overrides:
            if override.path[0] == STAGES:
                collector.report("E212", "the experiment has no `stages` statement", override.span)
    for name, statement in merged.stages.items():
        blocks = [statement] if isinstance(statement, StageBlock) else _expand(statement, overrides, drafts)
        for block in blocks:
            if block.name.text in stages:
                message = f"`{name}` makes a stage `{block.name.text}`, and there is one"
                first = Related("first here", stages[block.name.text].name.span)
                collector.report("E202", message, block.name.span, related=(first,))
            stages[block.name.text] = block
    return stages


def _expand(statement: Component, overrides: Sequence[Override], drafts: Drafts) -> list[StageBlock]:
    binder = drafts.binder
    draft = binder.draft(statement.call, ("stages",)) if statement.call else None
    if draft is None:
        return []
    for override in overrides:
        if override.path[0] == STAGES:
            draft = _change(draft, override, override.path[1:], binder)
    use = binder.use(draft, STAGES)
    if use is None:
        return []
    source = source_from_text(use.build(), f"stages {use.name}", statement.span.source.folder)
    drafts.generated[source] = statement.span
    document, faults = parse(source)
    binder.scope.collector.extend(faults)
    return [each for each in document.statements if isinstance(each, StageBlock)]


def _override_global(drafts: Drafts, override: Override) -> None:
    slot, rest = _slot(override.path)
    binder = drafts.binder
    if slot == "model" and ("whole" in drafts.slots or not {"body", "head"} & drafts.slots.keys()):
        slot = "whole"
    if slot == "seed" and not rest and not isinstance(override.value, Freeze):
        drafts.seed = override.value
    elif slot in LISTED and not rest:
        drafts.listings[slot] = _calls(override, slot, binder)
    elif slot == "runtime" and not rest:
        binder.scope.collector.report("E212", "say which: runtime.device, runtime.precision, …", override.span)
    elif slot in drafts.slots or (not rest and slot in ("data", "loss", "optimizer")):
        changed = _changed(drafts.slots.get(slot), override, rest, _KINDS.get(slot, slot), binder)
        if changed is not None:
            drafts.slots[slot] = changed
    else:
        _no_such_path(override, ["seed", "stage", *LISTED, *_spoken(drafts.slots), *binder.scope.params], binder)


def _slot(path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if path[0] == "model" and len(path) > 1 and path[1] in ("body", "head"):
        return path[1], path[2:]
    return ("" if path[0] in ("whole", "body", "head") else path[0]), path[1:]


def _spoken(slots: Iterable[str]) -> list[str]:
    return [{"whole": "model", "body": "model.body", "head": "model.head"}.get(slot, slot) for slot in slots]


def _override_stage(drafts: Drafts, override: Override) -> None:
    binder, path = drafts.binder, override.path
    stage = drafts.stages.get(path[1]) if len(path) > 1 else None
    if stage is None or len(path) < 3:
        _no_such_path(override, [f"stage.{name}.fit" for name in drafts.stages], binder)
        return
    slot, rest = path[2], path[3:]
    if slot == "freeze" and isinstance(override.value, Freeze):
        drafts.stages[path[1]] = replace(stage, freeze=override.value)
    elif slot == "callbacks" and not rest:
        drafts.stages[path[1]] = replace(stage, callbacks=_calls(override, slot, binder))
    elif slot in stage.slots or (slot in ("fit", *LOCAL) and not rest):
        changed = _changed(stage.slots.get(slot), override, rest, _KINDS.get(slot, slot), binder)
        if changed is not None:
            slots = {**stage.slots, slot: changed}
            drafts.stages[path[1]] = replace(stage, slots=slots, has_fit=stage.has_fit or slot == "fit")
    else:
        _no_such_path(override, [f"stage.{path[1]}.{name}" for name in ("freeze", "fit", *LOCAL, "callbacks")], binder)


def _changed(draft: Draft | None, override: Override, rest: tuple[str, ...], kind: str, binder: Binder) -> Draft | None:
    if rest:
        return None if draft is None else _change(draft, override, rest, binder)
    if isinstance(override.value, Call):
        return binder.draft(override.value, (kind,))
    binder.scope.collector.report("E206", f"`{override.said}` takes a {kind}", override.span)
    return None


def _change(draft: Draft, override: Override, rest: tuple[str, ...], binder: Binder) -> Draft:
    if isinstance(override.value, Freeze) or not rest:
        _no_such_path(override, [f"{override.said}.{name}" for name in draft.component.params.model_fields], binder)
        return draft
    written, deeper = rest[0], rest[1:]
    name = binder.parameter(draft.component, written, override.span)
    if name is None:
        fields = draft.component.params.model_fields
        known = ", ".join(fields)
        message = f"there is nothing at `{override.said}`: `{draft.component.name}` has no parameter `{written}`"
        help = f"parameters of {draft.component.name}: {known}"
        near = closest(written, fields)
        binder.scope.collector.report(
            "E212", message, override.span, help=help + (f"; did you mean `{near}`?" if near else "")
        )
        return draft
    value: Value | None = override.value
    if deeper:
        value = _change_inside(draft, name, override, deeper, binder)
    return replace(draft, arguments={**draft.arguments, name: value}) if value is not None else draft


def _change_inside(
    draft: Draft, name: str, override: Override, deeper: tuple[str, ...], binder: Binder
) -> Value | None:
    kinds = expected_for(draft.component.params.model_fields[name]).kinds
    inner = draft.arguments.get(name)
    call = binder.scope.follow(inner) if inner is not None else None
    nested = binder.draft(call, kinds) if isinstance(call, Call) and kinds else None
    if nested is None or not isinstance(call, Call):
        message = f"there is nothing at `{override.said}`: `{name}` holds no component"
        binder.scope.collector.report("E212", message, override.span)
        return None
    changed = _change(nested, override, deeper, binder)
    arguments = tuple(Argument(Word(key, value.span), value, value.span) for key, value in changed.arguments.items())
    return call._replace(arguments=arguments)


def _calls(override: Override, keyword: str, binder: Binder) -> tuple[Call, ...]:
    if isinstance(override.value, Constant) and override.value.value is None:
        return ()
    items = override.value.items if isinstance(override.value, ListValue) else (override.value,)
    calls = tuple(item for item in items if isinstance(item, Call))
    if len(calls) < len(items):
        message = f"`{keyword}` takes components of the kind {LISTED[keyword]}, in brackets where there are several"
        binder.scope.collector.report("E206", message, override.span)
    return calls


def _no_such_path(override: Override, choices: Sequence[str], binder: Binder) -> None:
    near = closest(override.said, choices)
    help = f"did you mean `{near}`?" if near else f"for example {', '.join(choices[:4])}"
    binder.scope.collector.report("E212", f"there is nothing at `{override.said}`", override.span, help=help)
