"""Checks of policies, learning rates and stages. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from dotexp.components.bases import PolicyParams
from dotexp.components.builders import Schedule
from dotexp.components.templates import StageTemplate
from dotexp.language.diagnostics import Problem
from dotexp.testing.trial import Check, Finding, Trial

_EPOCH_STEPS = (1, 2, 25)
"""Steps in an epoch that a schedule is computed for."""

_GROUPS = (1, 2, 5)


def _schedules(trial: Trial) -> Iterator[tuple[int, Schedule]]:
    params = trial.use.params
    assert isinstance(params, PolicyParams)
    for each in _EPOCH_STEPS:
        steps = each * params.total_epochs
        yield steps, trial.use.build(steps, each)


def builds(trial: Trial) -> Iterator[Finding]:
    """A `Schedule`, over as many epochs as `total_epochs` says."""
    params = trial.use.params
    epochs: Any = params.total_epochs if isinstance(params, PolicyParams) else None
    if type(epochs) is not int or epochs < 1:
        help = "return the number of epochs that the policy runs for: the engine derives the steps from it"
        yield Problem(f"`total_epochs` is {epochs!r}", help=help)
        return
    for _, schedule in _schedules(trial):
        if not isinstance(schedule, Schedule):
            help = "return Schedule(factor) or Schedule(factor, momentum), each a function of the step"
            yield Problem(f"its builder returned a {type(schedule).__name__}", help=help)
            return


def factors_in_range(trial: Trial) -> Iterator[Finding]:
    """Every factor is from 0 to 1, and not all are 0."""
    for steps, schedule in _schedules(trial):
        factors = [schedule.factor(step) for step in range(steps)]
        bad = next((step for step, f in enumerate(factors) if not (math.isfinite(f) and 0 <= f <= 1 + 1e-9)), None)
        if bad is not None:
            help = "`factor(i)` multiplies the peak learning rate at step i, from 0, of `steps`: from 0 to 1"
            yield Problem(f"its factor is {factors[bad]:.6g} at step {bad} of {steps}", help=help)
            return
        if not any(factors):
            yield Problem(f"its factor is 0 at all of {steps} steps", help="nothing would train")
            return


def is_a_function_of_the_step(trial: Trial) -> Iterator[Finding]:
    """A step's factor and momentum are the same in whatever order they are asked for."""
    for (steps, schedule), (_, other) in zip(_schedules(trial), _schedules(trial), strict=True):
        for function, again in ((schedule.factor, other.factor), (schedule.momentum, other.momentum)):
            if function is None or again is None:
                continue
            forward = [function(step) for step in range(steps)]
            backward = [again(step) for step in reversed(range(steps))]
            if forward != backward[::-1]:
                help = "compute it from the step alone: a resumed run, and `plan`, ask in another order"
                yield Problem("what it says of a step depends on what was asked before", help=help)
                return


def says_whether_it_moves_momentum(trial: Trial) -> Iterator[Finding]:
    """`moves_momentum` says whether the schedule has a momentum, which is from 0 to 1."""
    params = trial.use.params
    assert isinstance(params, PolicyParams)
    for steps, schedule in _schedules(trial):
        if params.moves_momentum != (schedule.momentum is not None):
            has = "has none" if schedule.momentum is None else "has one"
            help = "both must agree: `check` warns of a momentum that the policy replaces"
            yield Problem(f"`moves_momentum` is {params.moves_momentum}, and the schedule {has}", help=help)
            return
        momenta = [schedule.momentum(step) for step in range(steps)] if schedule.momentum is not None else []
        bad = next((value for value in momenta if not 0 <= value < 1), None)
        if bad is not None:
            yield Problem(f"its momentum is {bad:.6g}", help="a momentum is at least 0 and below 1")
            return


def a_rate_for_each_group(trial: Trial) -> Iterator[Finding]:
    """A positive number for each learning-rate group."""
    for groups in _GROUPS:
        rates = list(trial.use.build(groups))
        if len(rates) != groups:
            help = "return one for each group, the first group's first"
            yield Problem(f"it has {len(rates)} rates for {groups} groups", help=help)
        elif not all(math.isfinite(rate) and rate > 0 for rate in rates):
            yield Problem(f"its rates for {groups} groups are {rates}", help="return positive numbers")


def stage_templates(trial: Trial) -> Iterator[Finding]:
    """`StageTemplate`s, each with a name of its own."""
    templates = list(trial.use.build())
    wrong = [type(each).__name__ for each in templates if not isinstance(each, StageTemplate)]
    if wrong or not templates:
        yield Problem(f"its builder returned {wrong[0] if wrong else 'no stage'}", help="return StageTemplates")
        return
    names = [each.name for each in templates]
    if len(set(names)) < len(names):
        yield Problem(f"its stages are called {', '.join(names)}", help="give each a name of its own")


POLICY: tuple[Check, ...] = (builds, factors_in_range, is_a_function_of_the_step, says_whether_it_moves_momentum)
LEARNING_RATE: tuple[Check, ...] = (a_rate_for_each_group,)
STAGES: tuple[Check, ...] = (stage_templates,)
