"""The core's own plugin: the kinds that the grammar has a place for, and the components of the language itself."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp.components.bases import BodyParams, DataParams, FileWeights, PolicyParams, RunWeights
from dotexp.components.component import Component
from dotexp.components.facts import (
    BodyFacts,
    CallbackFacts,
    DataSignature,
    MetricFacts,
    ModelFacts,
    OptimizerFacts,
    ReportFacts,
)
from dotexp.components.hookspecs import hookimpl
from dotexp.components.kinds import Kind


@hookimpl
def dotexp_kinds() -> Sequence[Kind]:
    """Declare the kinds that have a place in the grammar, and those of arguments that the core reads."""
    return [
        Kind("data", "data", ("context",), "`Data`", DataSignature, DataParams),
        Kind("model", "models", ("facts",), "a module that takes the data's inputs", ModelFacts),
        Kind("body", "bodies", (), "`Body`", BodyFacts, BodyParams),
        Kind("head", "heads", ("features", "outputs"), "`Head`, a module from the body's features to outputs"),
        Kind("weights", "weights", (), "nothing: the engine loads what the parameters name"),
        Kind("loss", "losses", ("facts",), "`Loss`, a module with `activate`"),
        Kind("optimizer", "optimizers", ("groups",), "a torch optimizer", OptimizerFacts),
        Kind("policy", "policies", ("steps", "steps_per_epoch"), "`Schedule`; no torch", params=PolicyParams),
        Kind("learning_rate", "learning rates", ("groups",), "a rate for each group; no torch"),
        Kind("stages", "stages", (), "the stages it stands for, each a `StageTemplate`; no torch"),
        Kind("metric", "metrics", ("facts",), "`Metric`, such as one of torchmetrics", MetricFacts),
        Kind("callback", "callbacks", (), "`Callback`", CallbackFacts),
        Kind("report", "reports", (), "a function of a `Subject` that returns `Section`s", ReportFacts),
    ]


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Offer `weights = run("name")`, which the engine loads whatever the body, and `file(…)`, which the body reads."""
    return [
        Component("weights", "run", RunWeights, build="dotexp.engine.build.network:run_weights"),
        Component("weights", "file", FileWeights, build="dotexp.sdk.weights:read_tensors"),
    ]
