"""dotexp: a declarative language for deep-learning experiments, and the engine that runs it.

Names are imported when they are first used: `spec-runner --help` and every key of shell completion import this package,
and need neither pydantic nor the parser.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dotexp.version import __version__ as __version__

if TYPE_CHECKING:
    from dotexp.commands.functions import evaluate, find_lr, plan, predict, report, resume, run, verify
    from dotexp.commands.interpreting import interpret
    from dotexp.commands.recommending import recommend, similar_items
    from dotexp.commands.workspace import Workspace
    from dotexp.components.bases import (
        BodyParams,
        DataParams,
        ImageDataParams,
        LearningRate,
        OptimizerParams,
        PolicyParams,
        RunWeights,
    )
    from dotexp.components.builders import Body, DataContext, Schedule
    from dotexp.components.component import Component, Use
    from dotexp.components.facts import (
        BodyFacts,
        CallbackFacts,
        DataFacts,
        DataSignature,
        Facts,
        LayerGroup,
        MetricFacts,
        ModelFacts,
        OptimizerFacts,
        ReportFacts,
    )
    from dotexp.components.hookspecs import hookimpl
    from dotexp.components.kinds import Kind
    from dotexp.components.params import (
        FormerName,
        ForTasks,
        OfKind,
        OncePerExperiment,
        Params,
        Percent,
        Positional,
        Range,
        former_members,
    )
    from dotexp.components.tasks import Answer, Task
    from dotexp.experiment.checking import check, load
    from dotexp.export.predictor import Prediction
    from dotexp.language.diagnostics import ComponentError, DotexpError, Problem, RunError, SpecError, UsageError

__all__ = [
    "Answer",
    "Body",
    "BodyFacts",
    "BodyParams",
    "CallbackFacts",
    "Component",
    "ComponentError",
    "DataContext",
    "DataFacts",
    "DataParams",
    "DataSignature",
    "DotexpError",
    "Facts",
    "ForTasks",
    "FormerName",
    "ImageDataParams",
    "Kind",
    "LayerGroup",
    "LearningRate",
    "MetricFacts",
    "ModelFacts",
    "OfKind",
    "OncePerExperiment",
    "OptimizerFacts",
    "OptimizerParams",
    "Params",
    "Percent",
    "PolicyParams",
    "Positional",
    "Prediction",
    "Problem",
    "Range",
    "ReportFacts",
    "RunError",
    "RunWeights",
    "Schedule",
    "SpecError",
    "Task",
    "UsageError",
    "Use",
    "Workspace",
    "check",
    "evaluate",
    "find_lr",
    "former_members",
    "hookimpl",
    "interpret",
    "load",
    "plan",
    "predict",
    "recommend",
    "report",
    "resume",
    "run",
    "similar_items",
    "verify",
]

_HOMES = {
    "dotexp.commands.functions": {"evaluate", "find_lr", "plan", "predict", "report", "resume", "run", "verify"},
    "dotexp.commands.interpreting": {"interpret"},
    "dotexp.commands.recommending": {"recommend", "similar_items"},
    "dotexp.commands.workspace": {"Workspace"},
    "dotexp.components.bases": {
        *("BodyParams", "DataParams", "ImageDataParams", "LearningRate", "OptimizerParams", "PolicyParams"),
        "RunWeights",
    },
    "dotexp.components.builders": {"Body", "DataContext", "Schedule"},
    "dotexp.components.facts": {
        *("BodyFacts", "CallbackFacts", "DataFacts", "DataSignature", "Facts", "LayerGroup", "MetricFacts"),
        *("ModelFacts", "OptimizerFacts", "ReportFacts"),
    },
    "dotexp.components.hookspecs": {"hookimpl"},
    "dotexp.components.kinds": {"Kind"},
    "dotexp.components.params": {
        *("ForTasks", "FormerName", "OfKind", "OncePerExperiment", "Params", "Percent", "Positional", "Range"),
        "former_members",
    },
    "dotexp.components.tasks": {"Answer", "Task"},
    "dotexp.experiment.checking": {"check", "load"},
    "dotexp.export.predictor": {"Prediction"},
    "dotexp.language.diagnostics": {"ComponentError", "DotexpError", "Problem", "RunError", "SpecError", "UsageError"},
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "dotexp.components.component")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
