"""Experiments to plans: with the data's facts, every step and every parameter is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dotexp.components.bases import BodyParams, RunWeights
from dotexp.components.calls import PluginError, calling
from dotexp.components.component import Use
from dotexp.components.facts import DataFacts
from dotexp.experiment.batch_checks import HELP, batch_span, refusal
from dotexp.experiment.experiment import Experiment, Model, Runtime, Stage
from dotexp.experiment.places import components_of
from dotexp.experiment.resolve import Resolved
from dotexp.experiment.text import as_text
from dotexp.language.diagnostics import Collector, ComponentError, Diagnostic, Problem, SpecError, UsageError
from dotexp.language.machine_faults import machine_cause
from dotexp.language.source import Span
from dotexp.planning.identity import identity_text
from dotexp.planning.overlaps import Overlap, report_overlaps
from dotexp.planning.plan import LayerCount, Plan, StagePlan
from dotexp.planning.rewrites import decide
from dotexp.planning.rewrites.facts import StageFacts
from dotexp.planning.stages import batch_size_of, batches_per_step_of, epochs_of, plan_stage

MOST_STEPS = 10_000_000
"""Steps of a stage: the plan holds the learning rate of each."""


class Probe(Protocol):
    """What planning needs to find out, and may need torch for."""

    def data_facts(self, use: Use, seed: int) -> DataFacts:
        """Open the data and tell its facts. Raises ComponentError."""
        ...

    def layer_counts(self, model: Model, facts: DataFacts) -> tuple[LayerCount, ...]:
        """Count the parameters of every layer of the model, in order. Raises ComponentError."""
        ...

    def stage_facts(self, stage: Stage, runtime: Runtime, seed: int) -> StageFacts:
        """Find out what rewrites depend on; the stage's data has been opened."""
        ...

    def refuses_one(self, stage: Stage, model: Model, facts: DataFacts, seed: int) -> str | None:
        """Name the layer whose batch norm cannot train on a batch of one in a stage, whose data has been opened."""
        ...

    def overlaps(self, stages: Sequence[Stage], seed: int) -> Sequence[Overlap]:
        """Find examples that one stage trains on and another holds out; the stages' data has been opened."""
        ...

    def missing_weights(self, model: Model) -> Sequence[str]:
        """Hold the weights that the body starts from against it; return the published ones that are to be downloaded.

        Raises ComponentError where they are missing or do not fit.
        """
        ...

    def builder_faults(self, plan: Plan) -> Iterable[tuple[Use, ComponentError]]:
        """Call the builders of what trains, measures and reports, and yield what they refuse or do wrong."""
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
    if len({own.fingerprint for own in stages if own is not None}) > 1:
        report_overlaps(probe.overlaps(experiment.stages, experiment.seed), planner.origins, planner.collector)
    planner.check_weights(experiment.model)
    layers = planner.layers(experiment, facts)
    if planner.collector.failed:
        raise SpecError(planner.collector.sorted())
    planner.check_batch_of_one(experiment, facts)
    planned = [planner.stage(i, experiment, own, layers) for i, own in enumerate(stages) if own is not None]
    if planner.collector.failed:
        raise SpecError(planner.collector.sorted())
    sound = tuple(stage for stage in planned if stage is not None)
    plan = _plan(experiment, facts, layers, sound)
    for use, error in probe.builder_faults(plan):
        planner.report_of(use, error, experiment)
    if planner.collector.failed:
        raise SpecError(planner.collector.sorted())
    return replace(plan, places=planner.places(experiment)), planner.collector.sorted()


def _plan(
    experiment: Experiment, facts: DataFacts, layers: tuple[LayerCount, ...], stages: tuple[StagePlan, ...]
) -> Plan:
    return Plan(
        name=experiment.name,
        description=experiment.description,
        seed=experiment.seed,
        data=experiment.data,
        model=experiment.model,
        metrics=experiment.metrics,
        reports=experiment.reports,
        runtime=experiment.runtime,
        facts=facts,
        layers=layers,
        stages=stages,
        text=as_text(experiment),
        identity=identity_text(experiment),
    )


@dataclass
class _Planner:
    probe: Probe
    origins: Mapping[str, Span]
    collector: Collector

    def pin_weights(self, experiment: Experiment) -> Experiment:
        """Put the run's folder in place of its name, so that the plan stands for one run only."""
        body = experiment.model.body
        if body is None or not isinstance(body.params, BodyParams):
            return experiment
        weights = body.params.weights
        if not isinstance(weights, Use) or not isinstance(weights.params, RunWeights):
            return experiment
        try:
            folder = self.probe.run_folder(weights.params.run)
        except UsageError as error:
            self.collector.report("E405", str(error), self.origins.get("model.body.weights"))
            raise SpecError(self.collector.sorted()) from error
        pinned = weights.replace(params=RunWeights(run=str(folder)))
        params = body.params.model_copy(update={"weights": pinned})
        model = experiment.model.replace(body=body.replace(params=params))
        return experiment.replace(model=model)

    def facts(self, place: str, use: Use, seed: int) -> DataFacts | None:
        """Facts of one data component; None, with the problem reported, where it cannot be opened."""
        try:
            facts = self.probe.data_facts(use, seed)
        except ComponentError as error:
            self.report_error(place, error)
            return None
        for note in facts.notes:
            self.collector.report("W505", note, self.origins.get(place))
        return facts

    def report_error(self, place: str, error: ComponentError) -> None:
        """Report what a component refused; raise the error again where the machine is at fault, not the spec."""
        if machine_cause(error) is not None:
            raise error
        self.report(place, error.problem)

    def report(self, place: str, problem: Problem) -> None:
        """Give a component's problem its place in the text."""
        span = self.origins.get(f"{place}.{problem.field}") if problem.field else None
        self.collector.report(problem.code, problem.message, span or self.origins.get(place), help=problem.help)

    def report_of(self, owner: object, error: ComponentError, experiment: Experiment) -> None:
        """Report what a component's builder says or does, at the component's place."""
        place = next((place for place, each in components_of(experiment) if owner in (each, each.component)), "")
        self.report_error(place, error)

    def places(self, experiment: Experiment) -> tuple[tuple[Use, str], ...]:
        """Where each component stands in the spec, as far as it is written there."""
        spans = [(use, self.origins.get(place)) for place, use in components_of(experiment)]
        return tuple((use, f"{s.source.name}:{s.line}:{s.column}") for use, s in spans if s is not None)

    def check_components(self, experiment: Experiment, facts: DataFacts) -> None:
        """Let every component look at its parameters together with the data."""
        for place, use in components_of(experiment):
            try:
                with calling(use, "its check"):
                    for problem in use.component.check(use.params, facts) if use.component.check is not None else ():
                        self.report(place, problem)
            except ComponentError as error:
                self.report_error(place, error)

    def check_weights(self, model: Model) -> None:
        """Check that the weights that the body starts from are there and fit, and tell what is to be downloaded."""
        try:
            missing = self.probe.missing_weights(model)
        except ComponentError as error:
            self.report_error("model.body", error)
            return
        span = self.origins.get("model.body.weights") or self.origins.get("model.body")
        for each in missing:
            self.collector.report("W505", f"not on this machine, and downloaded when the run starts: {each}", span)

    def check_stage_data(self, stage: Stage, own: DataFacts, facts: DataFacts) -> None:
        """Check that a stage's data has what the model was made for, and a whole batch."""
        place = f"stage.{stage.name}.data"
        span = self.origins.get(f"{place}.batch_size") or self.origins.get(place)
        batch, batches = batch_size_of(stage.data), batches_per_step_of(stage)
        if own.train < batch * batches:
            few = f"a batch of {batch}" if batches == 1 else f"the {batches} batches of {batch} that make a step"
            message = f"{own.train} training examples are fewer than {few}"
            self.collector.report("E403", message, span, help="the last, partial batch of an epoch is dropped")
        if (own.task, own.classes, own.entities) != (facts.task, facts.classes, facts.entities):
            other = " or ".join(["classes", *facts.entities])
            message = f"the stage's data has other {other} than the experiment's"
            self.collector.report(
                "E402", message, self.origins.get(place), help="the model is made for one set of them"
            )

    def check_batch_of_one(self, experiment: Experiment, facts: DataFacts) -> None:
        """Try the model on one example where batches hold one: models whose facts do not say may refuse it."""
        for stage in experiment.stages:
            if batch_size_of(stage.data) == 1:
                layer = self.probe.refuses_one(stage, experiment.model, facts, experiment.seed)
                if layer is not None:
                    self.collector.report("E305", refusal(layer), batch_span(stage.name, self.origins), help=HELP)

    def layers(self, experiment: Experiment, facts: DataFacts) -> tuple[LayerCount, ...]:
        """Count the layers' parameters."""
        try:
            return self.probe.layer_counts(experiment.model, facts)
        except PluginError as error:
            self.report_of(error.owner, error, experiment)
        except ComponentError as error:
            self.report_error("model.body" if experiment.model.body else "model", error)
        return ()

    def stage(
        self, index: int, experiment: Experiment, facts: DataFacts, layers: tuple[LayerCount, ...]
    ) -> StagePlan | None:
        """Plan one stage; None, with the fault reported, where it has more steps than can be planned."""
        stage = experiment.stages[index]
        per_epoch = facts.train // (batch_size_of(stage.data) * batches_per_step_of(stage))
        try:
            steps = epochs_of(stage) * per_epoch
        except ComponentError as error:
            self.report(f"stage.{stage.name}.fit", error.problem)
            return None
        span = self.origins.get(f"stage.{stage.name}.fit")
        if steps > MOST_STEPS:
            message = f"the stage `{stage.name}` has {steps:,} steps; at most {MOST_STEPS:,} are planned"
            self.collector.report("E207", message, span)
            return None
        if steps < 3:
            message = f"the stage `{stage.name}` has {steps} step{'' if steps == 1 else 's'}, too few for a schedule"
            self.collector.report("W504", message, span)
        try:
            planned = plan_stage(index, experiment, per_epoch, layers)
        except ComponentError as error:
            place = f"stage.{stage.name}.fit"
            rate = isinstance(error, PluginError) and error.owner != stage.fit
            self.report(place + ".lr" * rate, error.problem)
            return None
        found = self.probe.stage_facts(stage, experiment.runtime, experiment.seed)
        return replace(planned, rewrites=decide(planned, found, experiment.runtime.without))
