"""Statements of a file and of the files it extends, one of each, the later in place of the earlier."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dotexp.experiment.experiment import LANGUAGE_VERSION
from dotexp.language.diagnostics import Collector, Related, closest
from dotexp.language.keywords import BY_WORD, KEYWORDS, MODEL, Form, in_place
from dotexp.language.source import Source, Span
from dotexp.language.syntax_tree import (
    Component,
    Document,
    ExperimentName,
    Extends,
    Freeze,
    Groups,
    Listing,
    ModelBlock,
    NoStage,
    Param,
    Seed,
    StageBlock,
    Unread,
    Version,
)

Opener = Callable[[Source, Extends], Document | None]


@dataclass
class Merged:
    """What is in force after merging.

    `slots` holds, by keyword, the statement that names the component and the changes after it; `listings` holds the
    statements of several components by keyword; `stages` the stages by name, and the statement that a component
    expands to stages under its own keyword. It is not `complete` where a base could not be read. `unread` are the
    keywords outside stages whose statement has a fault, `unread_names` the words of such statements anywhere,
    `unread_params` the params that one of them declares.
    """

    source: Source
    name: ExperimentName | None = None
    seed: Seed | None = None
    params: dict[str, Param] = field(default_factory=dict)
    slots: dict[str, list[Component]] = field(default_factory=dict)
    model: Span | None = None
    groups: Groups | None = None
    listings: dict[str, Listing] = field(default_factory=dict)
    stages: dict[str, StageBlock | Component] = field(default_factory=dict)
    complete: bool = True
    unread: set[str] = field(default_factory=set)
    unread_names: set[str] = field(default_factory=set)
    unread_params: set[str] = field(default_factory=set)

    def fill(self, slot: str, statement: Component) -> None:
        """Put a component in force, or change the one that is."""
        if statement.call is not None:
            self.slots[slot] = [statement]
        else:
            self.slots.setdefault(slot, []).append(statement)


STAGES = next(each.word for each in KEYWORDS if each.kind == "stages")


WHOLE = next(each.word for each in KEYWORDS if each.form is Form.block)
PARTS = tuple(each.word for each in in_place(MODEL, Form.component))
"""Keywords of a whole model, and of a model's parts."""


def merge(document: Document, open_base: Opener, collector: Collector) -> Merged:
    """Merge a document with the chain of bases it extends, the farthest base first."""
    chain, complete = _chain(document, open_base, collector)
    merged = Merged(document.source, complete=complete)
    for each in reversed(chain):
        _refuse_twice(each, collector)
        _check_order(each, collector)
        _drop_stages(each, merged, collector)
        for statement in each.statements:
            _put(merged, statement)
    return merged


def _chain(document: Document, open_base: Opener, collector: Collector) -> tuple[list[Document], bool]:
    """The document and the bases it extends, the nearest first, and whether all of them could be read."""
    chain = [document]
    while extends := next((s for s in chain[-1].statements if isinstance(s, Extends)), None):
        if len(chain) > _DEEPEST:
            message = f"more than {_DEEPEST} files extend each other"
            collector.report("E211", message, extends.path.span)
            return chain, False
        base = open_base(chain[-1].source, extends)
        if base is None:
            return chain, False
        if any(_same_file(base.source, other.source) for other in chain):
            message = f"the files extend each other in a circle: {base.source.name} is reached again"
            collector.report("E211", message, extends.path.span)
            return chain, False
        chain.append(base)
    unread = (each for document in chain for each in document.statements if isinstance(each, Unread))
    return chain, not any(each.keyword.text == _EXTENDS for each in unread)


_DEEPEST = 16
_EXTENDS = next(each.word for each in KEYWORDS if each.form is Form.path)


def _same_file(one: Source, other: Source) -> bool:
    return os.path.realpath(one.name) == os.path.realpath(other.name)


def _drop_stages(document: Document, merged: Merged, collector: Collector) -> None:
    """Leave out the stages of the bases that a file drops: `stages none`, `stage NAME none`."""
    for statement in document.statements:
        if isinstance(statement, Listing) and statement.keyword.text == STAGES:
            if not merged.stages and merged.complete:
                collector.report("W509", f"`{STAGES} none` changes nothing: no base has a stage", statement.span)
            merged.stages.clear()
    for statement in document.statements:
        if not isinstance(statement, NoStage):
            continue
        name = statement.name
        if merged.stages.pop(name.text, None) is None and merged.complete:
            near = closest(name.text, [each for each in merged.stages if each != STAGES])
            help = (
                f"`{STAGES} none` leaves out the stages that a component stands for" if STAGES in merged.stages else ""
            )
            message = f"no base has a stage `{name.text}`"
            collector.report("E208", message, name.span, suggestion=near, help=help)


def _put(merged: Merged, statement: object) -> None:
    match statement:
        case Listing(keyword=keyword) if keyword.text == STAGES:
            pass
        case ExperimentName():
            merged.name = statement
        case Seed():
            merged.seed = statement
        case Param():
            merged.params[statement.name.text] = statement
        case Listing():
            merged.listings[statement.keyword.text] = statement
        case StageBlock():
            merged.unread_names.update(n for each in statement.members if isinstance(each, Unread) for n in each.names)
            merged.stages[statement.name.text] = statement
        case ModelBlock():
            _put_block(merged, statement)
        case Unread():
            _note_unread(merged, statement)
        case Component(keyword=keyword) if BY_WORD[keyword.text].form is Form.block:
            _put_whole(merged, statement)
        case Component(keyword=keyword) if keyword.text == STAGES and statement.call is not None:
            merged.stages[STAGES] = statement
        case Component(keyword=keyword):
            merged.fill(keyword.text, statement)


def _note_unread(merged: Merged, statement: Unread) -> None:
    word, names = statement.keyword.text, statement.names
    merged.unread.add(word)
    merged.unread_names.update(names)
    keyword = BY_WORD.get(word)
    if keyword is not None and keyword.form is Form.param:
        merged.unread_params.update(names[1:2])


def _put_whole(merged: Merged, statement: Component) -> None:
    merged.model = statement.span
    if statement.call is not None:
        merged.groups = None
        for slot in PARTS:
            merged.slots.pop(slot, None)
    merged.fill(statement.keyword.text, statement)


def _put_block(merged: Merged, block: ModelBlock) -> None:
    before = {slot: merged.slots.pop(slot, []) for slot in PARTS}
    merged.slots.pop(WHOLE, None)
    merged.model, merged.groups = block.span, None
    for member in block.members:
        if isinstance(member, Groups):
            merged.groups = member
        elif isinstance(member, Unread):
            _note_unread(merged, member)
        else:
            slot = member.keyword.text
            if member.call is None:
                merged.slots[slot] = list(before[slot])
            merged.fill(slot, member)


def _refuse_twice(document: Document, collector: Collector) -> None:
    seen: dict[str, Span] = {}
    for statement in document.statements:
        if isinstance(statement, Unread):
            continue
        name, place = _identity(statement)
        _once(name, place, seen, collector)
        if isinstance(statement, ModelBlock | StageBlock):
            _refuse_members_twice(statement.members, collector)


def _refuse_members_twice(
    members: Sequence[Component | Groups | Freeze | Listing | Unread], collector: Collector
) -> None:
    seen: dict[str, Span] = {}
    for member in members:
        if isinstance(member, Component | Listing):
            _once(member.keyword.text, member.keyword.span, seen, collector)
        elif not isinstance(member, Unread):
            _once("freeze statement" if isinstance(member, Freeze) else "groups", member.span, seen, collector)


def _once(name: str, place: Span, seen: dict[str, Span], collector: Collector) -> None:
    if name in seen:
        message = f"`{name}` stands twice"
        collector.report("E202", message, place, related=(Related("first here", seen[name]),))
    seen.setdefault(name, place)


def _identity(statement: object) -> tuple[str, Span]:
    match statement:
        case Listing() if statement.keyword.text == STAGES:
            return f"{STAGES} none", statement.keyword.span
        case Component() | Listing():
            return statement.keyword.text, statement.keyword.span
        case Param():
            return f"param {statement.name.text}", statement.name.span
        case StageBlock() | NoStage():
            return f"stage {statement.name.text}", statement.name.span
        case Version(span=span):
            return "dotexp", span
        case Extends(span=span):
            return "extends", span
        case ExperimentName(span=span):
            return "experiment", span
        case Seed(span=span):
            return "seed", span
        case ModelBlock(span=span):
            return WHOLE, span.source.span(span.start, span.start + len(WHOLE))
    raise TypeError(f"not a statement: {statement!r}")


def _check_order(document: Document, collector: Collector) -> None:
    for number, statement in enumerate(document.statements):
        if isinstance(statement, Version):
            if number:
                collector.report("E103", "`dotexp` stands first in a file", statement.span)
            if statement.number.value != LANGUAGE_VERSION or statement.number.percent:
                said = statement.number.span.text
                message = f"this version reads the language's version {LANGUAGE_VERSION}, not {said}"
                collector.report("E207", message, statement.number.span, suggestion=str(LANGUAGE_VERSION))
        elif isinstance(statement, Extends) and any(not isinstance(s, Version) for s in document.statements[:number]):
            collector.report("E103", "`extends` stands first, behind `dotexp` at most", statement.span)
