"""Every setting of an experiment by its path: its value, what it means, and where the value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from dotexp.components.component import Component, Use
from dotexp.components.registry import Registry
from dotexp.experiment.drafts import RUNTIME
from dotexp.experiment.experiment import Experiment, FreezeBefore, FreezeLayers, Stage, Unfreeze
from dotexp.experiment.merge import STAGES
from dotexp.experiment.overrides import from_command_line
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.scope import names_in
from dotexp.experiment.text import freeze_text, groups_text, value_text
from dotexp.language.keywords import BY_WORD, MODEL, STAGE, TOP, Form, Keyword, in_place
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Param, Value
from dotexp.record import Record

EXPERIMENT = "experiment"
DESCRIPTION = f"{EXPERIMENT}.description"
GROUPS = "model.groups"


class OriginKind(StrEnum):
    """Where a value comes from."""

    spec = "spec"
    base = "base"  # a file that the spec extends
    override = "set"  # `--set`
    stages = "stages"  # a statement that stands for stages
    default = "default"


class Origin(NamedTuple):
    """Where a value was written, if it was, and the params that it names, each with its value in force."""

    kind: OriginKind
    span: Span | None = None
    params: tuple[Param, ...] = ()


class Setting(NamedTuple):
    """A value of an experiment.

    `component` is the one that it is, or whose parameter it is, then with its `field`. `outside` is the path of the
    statement outside the stage, where the stage has no statement of its own.
    """

    path: str
    value: Any
    origin: Origin
    help: str
    component: Component | None = None
    field: FieldInfo | None = None
    outside: str = ""

    @property
    def text(self) -> str:
        """The value as a spec would have it; of a component what is not its default, of a param what was written."""
        if hasattr(self.value, "span"):
            return str(self.value.span.text)
        if isinstance(self.value, Unfreeze | FreezeBefore | FreezeLayers):
            return freeze_text(self.value)
        if self.path == GROUPS:
            return groups_text(self.value)
        if self.field is None and isinstance(self.value, tuple):
            return ", ".join(value_text(use, short=True) for use in self.value) or "none"
        return self.value if self.path in (EXPERIMENT, STAGES) else value_text(self.value, short=True)


def settings_of(resolved: Resolved, registry: Registry) -> tuple[Setting, ...]:
    """Return every setting in the order of the language, a component before its parameters."""
    walk = _Walk(resolved, registry)
    return (
        *walk.top(),
        *walk.expansion(),
        *(each for stage in resolved.experiment.stages for each in walk.stage(stage)),
    )


class _Walk(Record):
    resolved: Resolved
    registry: Registry

    @property
    def experiment(self) -> Experiment:
        return self.resolved.experiment

    def top(self) -> Iterator[Setting]:
        """Settings of the statements outside stages."""
        for keyword in in_place(TOP):
            if keyword.form is Form.name:
                yield self.plain(keyword.word, self.experiment.name, keyword)
                about = self.plain(DESCRIPTION, self.experiment.description, keyword)
                yield about._replace(help="what the experiment is about")
            elif keyword.form is Form.number and keyword.path:
                yield self.plain(keyword.path, self.experiment.seed, keyword)
            elif keyword.form is Form.param:
                for name, param in self.resolved.params.items():
                    origin = self.written(param.value.span, param.value)
                    yield Setting(name, param.value, origin, keyword.help)
            elif keyword.form is Form.block:
                yield from self.model(keyword)
            elif keyword.field:
                yield from self.statement(keyword, self.experiment, keyword.path)

    def model(self, keyword: Keyword) -> Iterator[Setting]:
        model = self.experiment.model
        for each in (*in_place(MODEL, Form.component), keyword):
            use = getattr(model, each.field)
            if use is not None:
                yield from self.use(each.path, use)
        yield self.plain(GROUPS, model.groups, BY_WORD["groups"])

    def expansion(self) -> Iterator[Setting]:
        """Settings of the component that stands for stages, as written: the experiment has the stages alone."""
        name = self.resolved.origins.get(STAGES)
        found = self.registry.find(BY_WORD[STAGES].kind, name.text.rpartition(".")[2]) if name else ()
        for component in found[:1]:
            yield Setting(STAGES, component.name, self.origin(STAGES), component.doc, component)
            for each, field in component.params.model_fields.items():
                path = f"{STAGES}.{each}"
                value = self.resolved.nodes.get(path, field.default)
                yield Setting(path, value, self.origin(path), field.description or "", component, field)

    def stage(self, stage: Stage) -> Iterator[Setting]:
        """Settings in force in a stage, those of the statements outside it included."""
        place = f"stage.{stage.name}"
        for keyword in in_place(STAGE):
            if keyword.form is Form.layers:
                yield self.plain(f"{place}.{keyword.path}", stage.freeze, keyword)
            elif keyword.field:
                same = TOP in keyword.places and getattr(stage, keyword.field) is getattr(
                    self.experiment, keyword.field
                )
                for each in self.statement(keyword, stage, f"{place}.{keyword.path}"):
                    outside = each.path.removeprefix(f"{place}.")
                    yield each._replace(outside=outside, origin=self.origin(outside)) if same else each

    def statement(self, keyword: Keyword, owner: Experiment | Stage, path: str) -> Iterator[Setting]:
        """Settings of the components of a statement."""
        value = getattr(owner, keyword.field)
        if keyword.form is Form.settings:
            yield from self.parameters(path, RUNTIME, value)
        elif keyword.form is Form.listing:
            yield self.plain(path, value, keyword)
            for number, use in enumerate(value):
                yield from self.use(f"{path}.{number}", use)
        else:
            yield from self.use(path, value)

    def use(self, path: str, use: Use) -> Iterator[Setting]:
        """A component and its parameters."""
        yield Setting(path, use, self.origin(path), use.component.doc, use.component)
        yield from self.parameters(path, use.component, use.params)

    def parameters(self, path: str, component: Component, params: Any) -> Iterator[Setting]:
        """Parameters, and those of the components that they hold."""
        for name, value in params:
            place, field = f"{path}.{name}", type(params).model_fields[name]
            yield Setting(place, value, self.origin(place), field.description or "", component, field)
            inside = {place: value} if isinstance(value, Use) else {}
            if isinstance(value, tuple | list):
                inside = {f"{place}.{number}": each for number, each in enumerate(value) if isinstance(each, Use)}
            for where, use in inside.items():
                yield from (each for each in self.use(where, use) if each.path != place)

    def plain(self, path: str, value: Any, keyword: Keyword) -> Setting:
        return Setting(path, value, self.origin(path), keyword.help)

    def origin(self, path: str) -> Origin:
        """Where the value at a path comes from."""
        span = self.resolved.origins.get(path)
        if span is None or span.start == span.end:  # a default component has no place
            return Origin(OriginKind.default)
        node = self.resolved.nodes.get(path)
        return self.written(node.span if node is not None else span, node)

    def written(self, span: Span, value: Value | None) -> Origin:
        if span in self.resolved.expansions:
            return Origin(OriginKind.stages, span)
        if from_command_line(span.source):
            kind = OriginKind.override
        else:
            kind = OriginKind.spec if span.source == self.resolved.source else OriginKind.base
        return Origin(kind, span, tuple(_params_in(value, self.resolved.params)))


def _params_in(value: Value | None, params: Mapping[str, Param]) -> Iterator[Param]:
    """Params that a value names, and those that their values name."""
    seen: set[str] = set()
    pending = [] if value is None else [value]
    while pending:
        for name in names_in(pending.pop()):
            if name in params and name not in seen:
                seen.add(name)
                yield params[name]
                pending.append(params[name].value)
