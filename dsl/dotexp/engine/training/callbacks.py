"""A stage's callbacks at work: built, called where they ask to be, and named where they fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, ParamSpec, TypeVar

from dotexp.components.component import Use
from dotexp.components.hookspecs import PROJECT
from dotexp.language.diagnostics import RunError
from dotexp.language.machine_faults import is_out_of_memory
from dotexp.runs.results import EpochRow
from dotexp.sdk.callback import Callback, Training
from dotexp.sdk.data import Batch

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Step = Callable[[int], None]


class StageCallbacks:
    """The callbacks of one stage, in the spec's order.

    `before_step` and `after_step` hold only what some callback defines; `change_batch` is None where none does.
    """

    def __init__(self, uses: Sequence[Use] = ()) -> None:
        self._all = [(use, _built(use)) for use in uses]
        pairs = self._all
        self.before_step: tuple[_Step, ...] = tuple(
            _named(use, "before_step", own.before_step)
            for use, own in pairs
            if type(own).before_step is not Callback.before_step
        )
        self.after_step: tuple[_Step, ...] = tuple(
            _named(use, "after_step", own.after_step)
            for use, own in pairs
            if type(own).after_step is not Callback.after_step
        )
        self.change_batch = _chain(
            [
                _named(use, "change_batch", own.change_batch)
                for use, own in pairs
                if type(own).change_batch is not Callback.change_batch
            ]
        )

    @property
    def built(self) -> tuple[Callback, ...]:
        """The callbacks themselves."""
        return tuple(own for _, own in self._all)

    def stage_started(self, training: Training) -> None:
        """Tell every callback that the stage starts."""
        for use, own in self._all:
            _named(use, "stage_started", own.stage_started)(training)

    def before_validation(self) -> None:
        """Have the weights put in that are to be validated."""
        for use, own in self._all:
            _named(use, "before_validation", own.before_validation)()

    def after_validation(self) -> None:
        """Have the weights that are trained put back, in the opposite order."""
        for use, own in reversed(self._all):
            _named(use, "after_validation", own.after_validation)()

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Tell every callback the epoch's numbers; return why the stage shall stop, the first reason with its name."""
        answers = [(use, _named(use, "epoch_ended", own.epoch_ended)(row)) for use, own in self._all]
        return next((f"{use.name}: {reason}" for use, reason in answers if reason), None)

    def stage_ended(self) -> int | None:
        """Have the network left as the stage shall leave it; return the epoch whose weights it has, if not the last."""
        self.before_validation()
        answers = [_named(use, "stage_ended", own.stage_ended)() for use, own in self._all]
        return next((epoch for epoch in reversed(answers) if epoch is not None), None)

    def state(self) -> dict[str, Any]:
        """What every callback wants to be kept, by its place and name."""
        return {
            f"{place} {use.name}": _named(use, "state_dict", own.state_dict)()
            for place, (use, own) in enumerate(self._all)
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Give every callback back what it had."""
        for place, (use, own) in enumerate(self._all):
            _named(use, "load_state_dict", own.load_state_dict)(state[f"{place} {use.name}"])


def _built(use: Use) -> Callback:
    built = _named(use, "its builder", use.build)()
    if not isinstance(built, Callback):
        raise RunError(f"{_said(use)} builds a {type(built).__name__}, which is not a dotexp.sdk.callback.Callback")
    return built


def _chain(changes: Sequence[Callable[[Batch], Batch]]) -> Callable[[Batch], Batch] | None:
    if len(changes) <= 1:
        return changes[0] if changes else None

    def change(batch: Batch) -> Batch:
        for each in changes:
            batch = each(batch)
        return batch

    return change


def _named(use: Use, place: str, function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, with what it raises said to be the callback's; memory that ran out stays what it is."""

    def call(*arguments: _P.args, **more: _P.kwargs) -> _R:
        try:
            return function(*arguments, **more)
        except (Exception, SystemExit) as error:  # a stranger's code: the run stops, and says whose it was
            if is_out_of_memory(error):
                raise
            if isinstance(error, RunError):
                raise RunError(f"{_said(use)}: {error}") from error
            raise RunError(f"{_said(use)} fails in {place}: {type(error).__name__}: {error}") from error

    return call


def _said(use: Use) -> str:
    """Name a callback with the distribution that it comes from."""
    points = entry_points(group=PROJECT, name=use.component.provider)
    source = next((point.dist for point in points if point.dist is not None), None)
    return f"callback `{use.name}`" + (f" of {source.name} {source.version}" if source is not None else "")
