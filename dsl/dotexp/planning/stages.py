"""One stage of a resolved experiment to its plan: groups, and the learning rates and momentum of every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Literal

from dotexp.components.bases import DataParams, PolicyParams
from dotexp.components.builders import Schedule
from dotexp.components.calls import PluginError, calling
from dotexp.components.component import Use
from dotexp.components.facts import CallbackFacts, LayerGroup, OptimizerFacts
from dotexp.experiment.experiment import Experiment, Kept, Stage, Unfreeze, frozen_layers
from dotexp.planning.advice import hints
from dotexp.planning.identity import start_text
from dotexp.planning.plan import GroupPlan, LayerCount, StagePlan


def plan_stage(index: int, experiment: Experiment, steps_per_epoch: int, layers: tuple[LayerCount, ...]) -> StagePlan:
    """Plan stage `index`, from 0, of so many steps an epoch."""
    stage, model = experiment.stages[index], experiment.model
    frozen = frozen_layers(stage.freeze, model.layers, model.groups)
    kept = None if isinstance(stage.freeze, Unfreeze) else stage.freeze.kept
    counts = {layer.name: layer for layer in layers}
    groups = tuple(_group(group, frozen, kept, counts) for group in model.groups)
    batch_size, batches = batch_size_of(stage.data), batches_per_step_of(stage)
    epochs = epochs_of(stage)
    steps = epochs * steps_per_epoch
    schedule: Schedule = stage.fit.build(steps, steps_per_epoch)
    trained = [layer for layer in layers if layer.name not in frozen]
    return StagePlan(
        name=stage.name,
        data=stage.data,
        loss=stage.loss,
        optimizer=stage.optimizer,
        fit=stage.fit,
        freeze=stage.freeze,
        epochs=epochs,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        groups=groups,
        frozen=frozen,
        rates=_rates(stage, groups, schedule, steps),
        momentum=_momentum(stage, schedule, steps),
        momentum_key=stage.optimizer.facts_as(OptimizerFacts).momentum,
        callbacks=stage.callbacks,
        batches_per_step=batches,
        hints=tuple(hints(stage.optimizer, trained, batch_size * batches)),
        start_text=start_text(experiment, index),
    )


def policy_of(stage: Stage) -> PolicyParams:
    """Parameters of a stage's policy."""
    assert isinstance(stage.fit.params, PolicyParams)
    return stage.fit.params


def epochs_of(stage: Stage) -> int:
    """Epochs of a stage. Raises PluginError for a policy that does not say how many."""
    with calling(stage.fit, "total_epochs"):
        epochs = policy_of(stage).total_epochs
    if type(epochs) is not int or epochs < 1:
        raise PluginError(stage.fit, f"has total_epochs {epochs!r}, not a positive whole number")
    return epochs


def _numbers(fit: Use, what: str, function: Callable[[int], float], steps: int) -> tuple[float, ...]:
    """Call a schedule's function for every step. Raises PluginError where it gives no number that can be used."""
    with calling(fit, f"its schedule's {what}"):
        found = [function(step) for step in range(steps)]
    for step, value in enumerate(found):
        if not isinstance(value, int | float) or not isfinite(value) or value < 0:
            raise PluginError(fit, f"has a schedule whose {what} at step {step} is {value!r}, not a number from 0 up")
    return tuple(found)


def batch_size_of(data: Use) -> int:
    """Examples in a batch."""
    assert isinstance(data.params, DataParams)
    return data.params.batch_size


def batches_per_step_of(stage: Stage) -> int:
    """Batches whose mean gradient makes a step of the optimizer."""
    return max((callback.facts_as(CallbackFacts).batches_per_step for callback in stage.callbacks), default=1)


def _group(group: LayerGroup, frozen: frozenset[str], kept: Kept | None, counts: Mapping[str, LayerCount]) -> GroupPlan:
    layers = [counts[name] for name in group.layers]
    still = [layer for layer in layers if layer.name in frozen]
    trainable = sum(layer.parameters for layer in layers if layer.name not in frozen)
    if kept is not None:
        trainable += sum(
            layer.batchnorm_parameters if kept is Kept.batchnorm else layer.norm_parameters for layer in still
        )
    norms = [layer for layer in layers if layer.batchnorm_parameters]
    moving = [layer for layer in norms if layer.name not in frozen or kept is not None]
    extent: Literal["all", "part", "none"] = "none" if not still else "all" if len(still) == len(layers) else "part"
    return GroupPlan(
        name=group.name,
        layers=group.layers,
        parameters=sum(layer.parameters for layer in layers),
        trainable_parameters=trainable,
        frozen=extent,
        frozen_layers=tuple(layer.name for layer in still),
        batchnorm="none" if not norms else "train" if moving else "still",
    )


def _rates(
    stage: Stage, groups: tuple[GroupPlan, ...], schedule: Schedule, steps: int
) -> tuple[tuple[float, ...] | None, ...]:
    peaks = peak_rates(policy_of(stage).lr, [group.name for group in groups])
    factors = _numbers(stage.fit, "factor", schedule.factor, steps)
    made: dict[float, tuple[float, ...]] = {}
    rates: list[tuple[float, ...] | None] = []
    for group, peak in zip(groups, peaks, strict=True):
        if peak is None or not group.trainable_parameters:
            rates.append(None)
        else:
            rates.append(made.setdefault(peak, tuple(peak * factor for factor in factors)))
    return tuple(rates)


def peak_rates(rates: Any, groups: list[str]) -> list[float | None]:
    """Peak learning rate of every group, of a number, a slice, a list or a map (None where a map leaves one out)."""
    if isinstance(rates, Use):
        found = list(rates.build(len(groups)))
        if len(found) != len(groups) or not all(rate > 0 and isfinite(rate) for rate in found):
            raise PluginError(rates, f"built the rates {found}, not a positive one for each of {len(groups)} groups")
        return [float(rate) for rate in found]
    if isinstance(rates, tuple):
        return list(rates)
    if isinstance(rates, dict):
        return [rates.get(name) for name in groups]
    return [rates] * len(groups)


def _momentum(stage: Stage, schedule: Schedule, steps: int) -> tuple[float, ...] | None:
    key = stage.optimizer.facts_as(OptimizerFacts).momentum
    if key is None:
        return None
    if schedule.momentum is not None:
        return _numbers(stage.fit, "momentum", schedule.momentum, steps)
    own = dict(stage.optimizer.params)[key]
    return (float(own[0] if isinstance(own, tuple) else own),) * steps
