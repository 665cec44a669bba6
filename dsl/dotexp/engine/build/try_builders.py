"""Every builder of a plan called once before anything trains, so that what does not build is told before it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from dotexp.components.calls import PluginError
from dotexp.components.component import Use
from dotexp.engine.build.devices import kept_random_state
from dotexp.engine.build.network import Network
from dotexp.engine.training.controls import require_groups
from dotexp.engine.training.freezing import freeze
from dotexp.engine.training.groups import ParameterGroup, parameter_groups
from dotexp.language.diagnostics import ComponentError
from dotexp.planning.plan import Plan, StagePlan


def builder_faults(plan: Plan, network: Network) -> Iterator[tuple[Use, ComponentError]]:
    """Yield components whose builders refuse what they get, fail, or return what their kind does not allow.

    `network` is the plan's, and may be on the meta device; nothing random is drawn from the caller's generators.
    """
    facts = (plan.facts,)
    found: dict[Use, tuple[Any, ...]] = {stage.loss: facts for stage in plan.stages}
    found |= dict.fromkeys(plan.metrics, facts)
    found |= {use: () for stage in plan.stages for use in stage.callbacks}
    found |= dict.fromkeys(plan.reports, ())
    with kept_random_state():
        for use, arguments in found.items():
            try:
                use.build(*arguments)
            except ComponentError as error:
                yield use, error
        for stage in plan.stages:
            try:
                _try_optimizer(stage, network)
            except ComponentError as error:
                yield stage.optimizer, error


def _try_optimizer(stage: StagePlan, network: Network) -> None:
    """Build a stage's optimizer over the network; over zeros where that is on the meta device, and it cannot."""
    freeze(network, stage.frozen, stage.kept)
    groups = parameter_groups(network, stage)
    if not groups:
        return
    try:
        built = stage.optimizer.build([group.as_torch(0.0) for group in groups])
    except PluginError:
        built = stage.optimizer.build([_in_memory(group).as_torch(0.0) for group in groups])
    require_groups(built, len(groups), stage)


def _in_memory(group: ParameterGroup) -> ParameterGroup:
    zeros = tuple(nn.Parameter(torch.zeros(each.shape, dtype=each.dtype)) for each in group.parameters)
    return ParameterGroup(group.owner, group.name, zeros, group.weight_decay)
