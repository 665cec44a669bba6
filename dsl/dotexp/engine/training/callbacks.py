"""A stage's callbacks at work: built, called where they ask to be, and named where they fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dotexp.components.calls import guarded
from dotexp.components.component import Use
from dotexp.engine.training.logged import LoggedNumbers
from dotexp.runs.results import EpochRow
from dotexp.sdk.callback import Callback, Training
from dotexp.sdk.data import Batch

_Step = Callable[[int], None]


class StageCallbacks:
    """The callbacks of one stage, in the spec's order.

    `before_step` and `after_step` hold only what some callback defines; `change_batch` is None where none does.
    """

    def __init__(self, uses: Sequence[Use] = ()) -> None:
        self._all = [(use, _built(use)) for use in uses]
        self.logged = LoggedNumbers()
        pairs = self._all
        self.built: tuple[Callback, ...] = tuple(own for _, own in self._all)
        self.before_step: tuple[_Step, ...] = tuple(
            guarded(use, "before_step", own.before_step)
            for use, own in pairs
            if type(own).before_step is not Callback.before_step
        )
        self.after_step: tuple[_Step, ...] = tuple(
            guarded(use, "after_step", own.after_step)
            for use, own in pairs
            if type(own).after_step is not Callback.after_step
        )
        self.change_batch = _chain(
            [
                guarded(use, "change_batch", own.change_batch)
                for use, own in pairs
                if type(own).change_batch is not Callback.change_batch
            ]
        )

    def stage_started(self, training: Training) -> None:
        """Tell every callback that the stage starts, each with a `log` of its own."""
        self.logged = LoggedNumbers(training.metrics)
        for place, (use, own) in enumerate(self._all):
            guarded(use, "stage_started", own.stage_started)(replace(training, log=partial(self.logged.log, place)))

    def take_logged(self) -> tuple[dict[str, float], list[str]]:
        """Return the numbers that were logged in the epoch, and say which are not finite; a new epoch starts."""
        values = self.logged.values()
        owners = {name: self._all[self.logged.owner(name)][0].label for name in values}
        self.logged.clear()
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        return values, [f"{owners[name]} logs `{name}` = {value}" for name, value in bad.items()]

    def before_validation(self) -> None:
        """Have the weights put in that are to be validated."""
        for use, own in self._all:
            guarded(use, "before_validation", own.before_validation)()

    def after_validation(self) -> None:
        """Have the weights that are trained put back, in the opposite order."""
        for use, own in reversed(self._all):
            guarded(use, "after_validation", own.after_validation)()

    def epoch_ended(self, row: EpochRow) -> str | None:
        """Tell every callback the epoch's numbers; return why the stage shall stop, the first reason with its name."""
        answers = [(use, guarded(use, "epoch_ended", own.epoch_ended)(row)) for use, own in self._all]
        return next((f"{use.name}: {reason}" for use, reason in answers if reason), None)

    def stage_ended(self) -> int | None:
        """Have the network left as the stage shall leave it; return the epoch whose weights it has, if not the last."""
        self.before_validation()
        self.logged.close()
        answers = [guarded(use, "stage_ended", own.stage_ended)() for use, own in self._all]
        return next((epoch for epoch in reversed(answers) if epoch is not None), None)

    def state(self) -> dict[str, Any]:
        """What every callback wants to be kept, by its place and name."""
        return {
            f"{place} {use.name}": guarded(use, "state_dict", own.state_dict)()
            for place, (use, own) in enumerate(self._all)
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Give every callback back what it had."""
        for place, (use, own) in enumerate(self._all):
            guarded(use, "load_state_dict", own.load_state_dict)(state[f"{place} {use.name}"])


def _built(use: Use) -> Callback:
    built: Callback = use.build()
    return built


def _chain(changes: Sequence[Callable[[Batch], Batch]]) -> Callable[[Batch], Batch] | None:
    if len(changes) <= 1:
        return changes[0] if changes else None

    def change(batch: Batch) -> Batch:
        for each in changes:
            batch = each(batch)
        return batch

    return change
