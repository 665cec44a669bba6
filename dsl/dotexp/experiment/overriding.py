"""Overrides put in force in the drafts, and `stages` statements expanded, which overrides may change as well."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp.components.templates import StageTemplate
from dotexp.experiment.accepted import expected_for
from dotexp.experiment.binding import Binder, Draft
from dotexp.experiment.drafts import Drafts, draft_stage, draft_statements
from dotexp.experiment.merge import PARTS, STAGES, WHOLE, Merged
from dotexp.experiment.nodes import stage_node
from dotexp.experiment.overrides import Override
from dotexp.language.diagnostics import ComponentError, Related
from dotexp.language.keywords import BY_WORD, KEYWORDS, STAGE, TOP, Form, Keyword, in_place
from dotexp.language.syntax_tree import (
    Argument,
    Call,
    Component,
    Constant,
    Freeze,
    ListValue,
    StageBlock,
    Text,
    Value,
    Word,
)

_STAGE = next(each.word for each in KEYWORDS if each.form is Form.stage)


def make_drafts(merged: Merged, overrides: Sequence[Override], binder: Binder) -> Drafts:
    """Look every component up, put the overrides in force, and expand what `stages` stands for."""
    drafts = draft_statements(merged, binder)
    for override in overrides:
        if override.path[0] not in (_STAGE, STAGES):
            _override_global(drafts, override)
    for name, stage in _expanded(merged, overrides, drafts).items():
        drafts.stages[name] = draft_stage(stage, drafts)
    for override in overrides:
        if override.path[0] == _STAGE:
            _override_stage(drafts, override)
    _report_unmatched(drafts)
    return drafts


# `stages` statements


def _expanded(merged: Merged, overrides: Sequence[Override], drafts: Drafts) -> dict[str, StageBlock]:
    stages: dict[str, StageBlock] = {}
    collector = drafts.binder.scope.collector
    drafts.expanded = STAGES not in merged.unread and _STAGE not in merged.unread
    if STAGES not in merged.stages and drafts.expanded:
        for override in overrides:
            if override.path[0] == STAGES:
                collector.report("E212", f"the experiment has no `{STAGES}` statement", override.span)
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
    draft = binder.draft(statement.call, (BY_WORD[STAGES].kind,)) if statement.call else None
    for override in overrides:
        if override.path[0] == STAGES and draft is not None:
            draft = _change(draft, override, override.path[1:], binder)
    bound = binder.bind(draft, STAGES) if draft is not None else None
    if bound is None or not bound.sound:
        drafts.expanded = False
        return []
    try:
        templates: Sequence[StageTemplate] = bound.use.build()
    except ComponentError as error:
        binder.scope.collector.report(error.problem.code, str(error), statement.span, help=error.problem.help)
        drafts.expanded = False
        return []
    drafts.expansions.add(statement.span)
    return [stage_node(template, statement.span) for template in templates]


# Overrides outside stages


def _override_global(drafts: Drafts, override: Override) -> None:
    keyword, rest = _target(override.path, drafts)
    binder = drafts.binder
    form = keyword.form if keyword else None
    if keyword is None:
        drafts.unmatched.append(override)
    elif rest and keyword.word in drafts.faulty and keyword.word not in drafts.slots:
        return
    elif form is Form.number and not rest and not isinstance(override.value, Freeze):
        drafts.seed = override.value
    elif form is Form.listing and not rest:
        drafts.listings[keyword.word] = _calls(override, keyword, binder)
    elif form is Form.settings and not rest:
        names = drafts.slots[keyword.word].component.params.model_fields
        said = ", ".join(f"{keyword.path}.{name}" for name in list(names)[:2])
        binder.scope.collector.report("E212", f"say which: {said}, …", override.span)
    elif keyword.word in drafts.slots or (not rest and TOP in keyword.places):
        changed = _changed(drafts.slots.get(keyword.word), override, rest, keyword.kind, binder)
        if changed is not None:
            drafts.slots[keyword.word] = changed
            for part in PARTS if keyword.word == WHOLE else ():
                drafts.slots.pop(part, None)
    else:
        drafts.unmatched.append(override)


def _target(path: tuple[str, ...], drafts: Drafts) -> tuple[Keyword | None, tuple[str, ...]]:
    """The statement outside stages that a path leads to, and the rest of the path."""
    if path[:2] in [tuple(BY_WORD[part].path.split(".")) for part in PARTS]:
        return BY_WORD[path[1]], path[2:]
    keyword = next((each for each in in_place(TOP) if each.path == path[0]), None)
    return keyword, path[1:]


# Overrides of a stage


def _override_stage(drafts: Drafts, override: Override) -> None:
    binder, path = drafts.binder, override.path
    stage = drafts.stages.get(path[1]) if len(path) > 1 else None
    if stage is None and not drafts.expanded:
        return
    if stage is None or len(path) < 3:
        drafts.unmatched.append(override)
        return
    keyword = next((each for each in in_place(STAGE) if each.path == path[2]), None)
    rest = path[3:]
    if keyword is None:
        drafts.unmatched.append(override)
    elif isinstance(override.value, Freeze):
        drafts.stages[path[1]] = stage._replace(freeze=override.value)
    elif keyword.form is Form.listing and not rest:
        listings = {**stage.listings, keyword.word: _calls(override, keyword, binder)}
        drafts.stages[path[1]] = stage._replace(listings=listings)
    elif keyword.word in stage.slots or (keyword.form is Form.component and not rest):
        changed = _changed(stage.slots.get(keyword.word), override, rest, keyword.kind, binder)
        if changed is not None:
            slots = {**stage.slots, keyword.word: changed}
            drafts.stages[path[1]] = stage._replace(slots=slots, stated=stage.stated | {keyword.word})
    else:
        drafts.unmatched.append(override)


# One component


def _changed(draft: Draft | None, override: Override, rest: tuple[str, ...], kind: str, binder: Binder) -> Draft | None:
    if rest:
        return None if draft is None else _change(draft, override, rest, binder)
    if isinstance(override.value, Call):
        return binder.draft(override.value, (kind,))
    if isinstance(override.value, Text) and override.value.faults:
        binder.scope.collector.extend(override.value.faults)
        return None
    binder.scope.collector.report("E206", f"`{override.said}` takes a {kind}", override.span)
    return None


def _change(draft: Draft, override: Override, rest: tuple[str, ...], binder: Binder) -> Draft:
    fields = draft.component.params.model_fields
    if isinstance(override.value, Freeze) or not rest:
        message = f"`{override.said}` is a component: name the parameter to change"
        binder.scope.collector.report("E212", message, override.span, help=f"parameters: {', '.join(fields)}")
        return draft
    written, deeper = rest[0], rest[1:]
    name = binder.parameter(draft.component, written, override.span)
    if name is None:
        from dotexp.language.foreign_words import meaning  # a right call has no unknown names

        near, advice = meaning(written, fields)
        message = f"there is nothing at `{override.said}`: `{draft.component.name}` has no parameter `{written}`"
        help = advice or f"parameters of {draft.component.name}: {', '.join(fields)}"
        help += f"; did you mean `{near}`?" if near else ""
        binder.scope.collector.report("E212", message, override.span, help=help)
        return draft
    value: Value | None = override.value
    if deeper:
        value = _change_inside(draft, name, override, deeper, binder)
    return draft._replace(arguments={**draft.arguments, name: value}) if value is not None else draft


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


def _calls(override: Override, keyword: Keyword, binder: Binder) -> tuple[Call, ...]:
    if isinstance(override.value, Constant) and override.value.value is None:
        return ()
    items = override.value.items if isinstance(override.value, ListValue) else (override.value,)
    calls = tuple(item for item in items if isinstance(item, Call))
    if isinstance(override.value, Text) and override.value.faults:
        binder.scope.collector.extend(override.value.faults)
    elif len(calls) < len(items):
        message = f"`{keyword.word}` takes components of the kind {keyword.kind}, in brackets where there are several"
        binder.scope.collector.report("E206", message, override.span)
    return calls


def _report_unmatched(drafts: Drafts) -> None:
    """Report overrides whose path does not exist, once every path is known."""
    if not drafts.unmatched:
        return
    from dotexp.experiment.override_hints import path_hint  # a right call has none

    for override in drafts.unmatched:
        message = f"there is nothing at `{override.said}`"
        help = path_hint(override.path, drafts)
        drafts.binder.scope.collector.report("E212", message, override.span, help=help)
