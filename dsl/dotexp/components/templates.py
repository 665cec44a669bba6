"""Stages as values, before anything in them is looked up: what a component of the kind `stages` returns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dotexp.record import Record


class ComponentTemplate(Record):
    """A component by its name, and its arguments by name, as a spec would write them.

    An argument is a number, text, a truth value, None, an enumeration's member, a `Range`, a path, a list or a map of
    these, or another template.
    """

    name: str
    arguments: Mapping[str, Any] = MappingProxyType({})


class StageTemplate(Record):
    """A stage: its policy, and what else the block of a `stage` statement may hold.

    `freeze` are layers, groups and ranges of layers (`"stem..layer1"`); `freeze_before` is the first layer that trains,
    instead. `keep` is `"norm"` or `"batchnorm"` for what trains in frozen layers all the same. `components` replaces
    what is in force, by keyword (`{"optimizer": …}`), `changes` changes arguments of it, `listings` replaces a list
    (`{"callbacks": (…,)}`).
    """

    name: str
    fit: ComponentTemplate
    freeze: tuple[str, ...] = ()
    freeze_before: str | None = None
    keep: str | None = None
    components: Mapping[str, ComponentTemplate] = MappingProxyType({})
    changes: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    listings: Mapping[str, tuple[ComponentTemplate, ...]] = MappingProxyType({})
