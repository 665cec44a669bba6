"""The experiment as drafts: every component looked up, overrides applied, nothing converted yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from dotexp.components.component import Component as ComponentDeclaration
from dotexp.experiment.binding import Binder, Draft
from dotexp.experiment.experiment import Runtime
from dotexp.experiment.merge import Merged
from dotexp.experiment.overrides import Override
from dotexp.language.keywords import BY_WORD, KEYWORDS, STAGE, TOP, Form, in_place
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Call, Component, Freeze, Listing, StageBlock, Unread, Value, Word

RUNTIME = ComponentDeclaration("runtime", "runtime", Runtime, build="dotexp.experiment.experiment:Runtime")

LOCAL = tuple(each.word for each in in_place(STAGE, Form.component) if TOP in each.places)
"""Keywords of one component that a stage may replace."""

LISTED = {each.word: each.kind for each in KEYWORDS if each.form is Form.listing}
"""Kind of the components behind each keyword that takes several."""


class StageDraft(NamedTuple):
    """A stage: the drafts in force in it by keyword, its freeze statement, and its own lists of components.

    A keyword of several components that `listings` lacks takes the experiment's.
    """

    name: Word
    slots: Mapping[str, Draft]
    freeze: Freeze | None = None
    stated: frozenset[str] = frozenset()
    listings: Mapping[str, tuple[Call, ...]] = MappingProxyType({})


@dataclass
class Drafts:
    """The drafts in force and the lists of components, each by keyword, and the stages in order.

    `expansions` are the places of the statements that a component expands to stages; `expanded` is false where one of
    them has a fault, so that its stages are unknown. `faulty` are the keywords of statements outside stages that name
    no known component, or are unread; `unmatched` are overrides whose path does not exist.
    """

    binder: Binder
    slots: dict[str, Draft] = field(default_factory=dict)
    seed: Value | None = None
    listings: dict[str, tuple[Call, ...]] = field(default_factory=dict)
    stages: dict[str, StageDraft] = field(default_factory=dict)
    expansions: set[Span] = field(default_factory=set)
    faulty: set[str] = field(default_factory=set)
    expanded: bool = True
    unmatched: list[Override] = field(default_factory=list)


def draft_statements(merged: Merged, binder: Binder) -> Drafts:
    """Look up every component of the statements outside stages, those that stand there by default included."""
    listings = {keyword: listing.calls for keyword, listing in merged.listings.items()}
    drafts = Drafts(binder, listings=listings, faulty=set(merged.unread))
    start = merged.source.span(0, 0)
    for keyword in KEYWORDS:
        if keyword.form is Form.settings:
            drafts.slots[keyword.word] = Draft(RUNTIME, {}, start)
        elif keyword.default and _names_none(merged.slots.get(keyword.word)):
            default = binder.draft(Call(Word(keyword.default, start), None, start), (keyword.kind,))
            if default is not None:
                drafts.slots[keyword.word] = default
    for word, statements in merged.slots.items():
        for statement in statements:
            _put(drafts.slots, drafts.faulty, word, statement, binder)
    return drafts


def draft_stage(block: StageBlock, drafts: Drafts) -> StageDraft:
    """Look up the components of a stage; what it does not state is in force as outside it."""
    slots = {word: drafts.slots[word] for word in LOCAL if word in drafts.slots}
    freeze, stated, faulty = None, set(), set(drafts.faulty)
    listings = {}
    for member in block.members:
        if isinstance(member, Freeze):
            freeze = member
        elif isinstance(member, Listing):
            listings[member.keyword.text] = member.calls
        else:
            stated.add(member.keyword.text)
        if isinstance(member, Component):
            _put(slots, faulty, member.keyword.text, member, drafts.binder)
        elif isinstance(member, Unread):
            slots.pop(member.keyword.text, None)
            faulty.add(member.keyword.text)
    return StageDraft(block.name, slots, freeze, frozenset(stated), listings)


def _names_none(statements: Sequence[Component] | None) -> bool:
    return not statements or statements[0].call is None


def _put(slots: dict[str, Draft], faulty: set[str], word: str, statement: Component, binder: Binder) -> None:
    kind = BY_WORD[word].kind
    if statement.call is not None:
        slots.pop(word, None)
        draft = binder.draft(statement.call, (kind,))
        if draft is not None:
            slots[word] = draft
        else:
            faulty.add(word)
    elif word in slots:
        slots[word] = binder.change(slots[word], statement.changes or ())
    elif word not in faulty:
        message = f"there is no {kind} in force that this could change"
        help = f"name one: `{statement.keyword.text} NAME(…)`"
        binder.scope.collector.report("E214", message, statement.keyword.span, help=help)
        faulty.add(word)
