"""Experiments to plans: with the data's facts, every step and every parameter is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from dotexp.components.component import DataParams, PolicyParams, RunWeights, Schedule, Use
from dotexp.components.facts import DataFacts, LayerGroup
from dotexp.experiment.experiment import Experiment, Kept, Stage, Unfreeze, frozen_layers
from dotexp.experiment.resolve import Resolved
from dotexp.language.diagnostics import Collector, ComponentError, Diagnostic, Problem, SpecError, UsageError
from dotexp.language.source import Span
from dotexp.planning.advice import hints
from dotexp.planning.plan import GroupPlan, LayerCount, Plan, StagePlan

MOST_STEPS = 10_000_000
"""Steps of a stage: the plan holds the learning rate of each."""


class Probe(Protocol):
    """What planning needs to find out, and may need torch for."""

    def data_facts(self, use: Use, seed: int) -> DataFacts:
        """Open the data and tell its facts. Raises ComponentError."""
        ...

    def layer_counts(self, experiment: Experiment, facts: DataFacts) -> tuple[LayerCount, ...]:
        """Count the parameters of every layer of the model, in order. Raises ComponentError."""
        ...

    def run_folder(self, run: str) -> Path:
        """Find the folder of the run that `weights = run("…")` names. Raises UsageError."""
        ...


def make_plan(resolved: Resolved, probe: Probe) -> tuple[Plan, tuple[Diagnostic, ...]]:
    """Plan a resolved experiment; return the plan and the warnings. Raises SpecError where the data does not fit."""
    planner = _Planner(probe, resolved.origins, Collector(list(resolved.diagnostics)))
    experiment = planner.pin_weights(resolved.experiment)
    facts = planner.facts("data", experiment.data, experiment.seed)
    stages = [planner.facts(f"stage.{s.name}.data", s.data, experiment.seed) for s in experiment.stages]
    if facts is None or None in stages:
        raise SpecError(planner.collector.sorted())
    planner.check_components(experiment, facts)
    for stage, own in zip(experiment.stages, stages, strict=True):
        if own is not None:
            planner.check_stage_data(stage, own, facts)
    layers = planner.layers(experiment, facts)
    if planner.collector.failed:
        raise SpecError(planner.collector.sorted())
    pairs = zip(experiment.stages, stages, strict=True)
    planned = tuple(planner.stage(stage, experiment, own, layers) for stage, own in pairs if own is not None)
    if planner.collector.failed:
        raise SpecError(planner.collector.sorted())
    sound = tuple(stage for stage in planned if stage is not None)
    return Plan(experiment, facts, layers, sound), planner.collector.sorted()


@dataclass
class _Planner:
    probe: Probe
    origins: Mapping[str, Span]
    collector: Collector

    def pin_weights(self, experiment: Experiment) -> Experiment:
        """Put the run's folder in place of its name, so that the plan stands for one run only."""
        body = experiment.model.body
        weights = dict(body.params).get("weights") if body else None
        if body is None or not isinstance(weights, Use) or not isinstance(weights.params, RunWeights):
            return experiment
        try:
            folder = self.probe.run_folder(weights.params.run)
        except UsageError as error:
            self.collector.report("E405", str(error), self.origins.get("model.body.weights"))
            raise SpecError(self.collector.sorted()) from error
        pinned = weights.model_copy(update={"params": RunWeights(run=str(folder))})
        params = body.params.model_copy(update={"weights": pinned})
        model = experiment.model.model_copy(update={"body": body.model_copy(update={"params": params})})
        return experiment.model_copy(update={"model": model})

    def facts(self, place: str, use: Use, seed: int) -> DataFacts | None:
        """Facts of one data component; None, with the problem reported, where it cannot be opened."""
        try:
            facts = self.probe.data_facts(use, seed)
        except ComponentError as error:
            self.report(place, error.problem)
            return None
        for note in facts.notes:
            self.collector.report("W505", note, self.origins.get(place))
        return facts

    def report(self, place: str, problem: Problem) -> None:
        """Give a component's problem its place in the text."""
        span = self.origins.get(f"{place}.{problem.field}") if problem.field else None
        self.collector.report(problem.code, problem.message, span or self.origins.get(place), help=problem.help)

    def check_components(self, experiment: Experiment, facts: DataFacts) -> None:
        """Let every component look at its parameters together with the data."""
        model = experiment.model
        uses = [("model", model.whole), ("model.body", model.body), ("model.head", model.head)]
        uses += [("loss", experiment.loss), *((f"metrics.{i}", m) for i, m in enumerate(experiment.metrics))]
        uses += [(f"report.{i}", section) for i, section in enumerate(experiment.reports)]
        for stage in experiment.stages:
            own = f"stage.{stage.name}." if stage.callbacks != experiment.callbacks else ""
            uses += [(f"{own}callbacks.{i}", callback) for i, callback in enumerate(stage.callbacks)]
            if stage.loss != experiment.loss:
                uses.append((f"stage.{stage.name}.loss", stage.loss))
        for place, use in uses:
            if use is not None and use.component.check is not None:
                for problem in use.component.check(use.params, facts):
                    self.report(place, problem)

    def check_stage_data(self, stage: Stage, own: DataFacts, facts: DataFacts) -> None:
        """Check that a stage's data has what the model was made for, and a whole batch."""
        place = f"stage.{stage.name}.data"
        span = self.origins.get(f"{place}.batch_size") or self.origins.get(place)
        batch, batches = _batch_size(stage.data), _batches_per_step(stage)
        if own.train < batch * batches:
            few = f"a batch of {batch}" if batches == 1 else f"the {batches} batches of {batch} that make a step"
            message = f"{own.train} training examples are fewer than {few}"
            self.collector.report("E403", message, span, help="the last, partial batch of an epoch is dropped")
        if (own.task, own.classes, own.users, own.items) != (facts.task, facts.classes, facts.users, facts.items):
            message = "the stage's data has other classes, users or items than the experiment's"
            self.collector.report(
                "E402", message, self.origins.get(place), help="the model is made for one set of them"
            )

    def layers(self, experiment: Experiment, facts: DataFacts) -> tuple[LayerCount, ...]:
        """Count the layers' parameters."""
        try:
            return self.probe.layer_counts(experiment, facts)
        except ComponentError as error:
            self.report("model.body" if experiment.model.body else "model", error.problem)
            return ()

    def stage(
        self, stage: Stage, experiment: Experiment, facts: DataFacts, layers: tuple[LayerCount, ...]
    ) -> StagePlan | None:
        """Plan one stage; None, with the fault reported, where it has more steps than can be planned."""
        model = experiment.model
        frozen = frozen_layers(stage.freeze, model.layers, model.groups)
        kept = None if isinstance(stage.freeze, Unfreeze) else stage.freeze.kept
        counts = {layer.name: layer for layer in layers}
        groups = tuple(_group(group, frozen, kept, counts) for group in model.groups)
        batch_size = _batch_size(stage.data)
        batches = _batches_per_step(stage)
        per_epoch = facts.train // (batch_size * batches)
        epochs = _policy(stage).total_epochs
        if epochs * per_epoch > MOST_STEPS:
            message = f"the stage `{stage.name}` has {epochs * per_epoch:,} steps; at most {MOST_STEPS:,} are planned"
            self.collector.report("E207", message, self.origins.get(f"stage.{stage.name}.fit"))
            return None
        schedule: Schedule = stage.fit.build(epochs * per_epoch, per_epoch)
        if epochs * per_epoch < 3:
            message = f"the stage `{stage.name}` has {epochs * per_epoch} steps, too few for a schedule to mean much"
            self.collector.report("W504", message, self.origins.get(f"stage.{stage.name}.fit"))
        return StagePlan(
            name=stage.name,
            data=stage.data,
            loss=stage.loss,
            optimizer=stage.optimizer,
            epochs=epochs,
            batch_size=batch_size,
            steps_per_epoch=per_epoch,
            groups=groups,
            frozen=frozen,
            kept=kept,
            rates=_rates(stage, groups, schedule, epochs * per_epoch),
            momentum=_momentum(stage, schedule, epochs * per_epoch),
            momentum_key=stage.optimizer.facts.momentum,
            callbacks=stage.callbacks,
            batches_per_step=batches,
            hints=tuple(hints(stage.optimizer, _trained(layers, frozen), batch_size * batches)),
        )


def _trained(layers: tuple[LayerCount, ...], frozen: frozenset[str]) -> list[LayerCount]:
    return [layer for layer in layers if layer.name not in frozen]


def _policy(stage: Stage) -> PolicyParams:
    assert isinstance(stage.fit.params, PolicyParams)
    return stage.fit.params


def _batch_size(data: Use) -> int:
    assert isinstance(data.params, DataParams)
    return data.params.batch_size


def _batches_per_step(stage: Stage) -> int:
    return max((callback.facts.batches_per_step for callback in stage.callbacks), default=1)


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
    peaks = peak_rates(_policy(stage).lr, [group.name for group in groups])
    factors = [schedule.factor(step) for step in range(steps)]
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
        return list(rates.build(len(groups)))
    if isinstance(rates, tuple):
        return list(rates)
    if isinstance(rates, dict):
        return [rates.get(name) for name in groups]
    return [rates] * len(groups)


def _momentum(stage: Stage, schedule: Schedule, steps: int) -> tuple[float, ...] | None:
    key = stage.optimizer.facts.momentum
    if key is None:
        return None
    if schedule.momentum is not None:
        return tuple(schedule.momentum(step) for step in range(steps))
    own = dict(stage.optimizer.params)[key]
    return (float(own[0] if isinstance(own, tuple) else own),) * steps
