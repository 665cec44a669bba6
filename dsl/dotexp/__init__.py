"""dotexp: a declarative language for deep-learning experiments, and the engine that runs it.

Names are imported when they are first used: `spec-runner --help` and every key of shell completion import this package,
and need neither pydantic nor the parser.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotexp.api import Prediction, evaluate, plan, predict, report, resume, run, verify
    from dotexp.checking import check, load
    from dotexp.components import (
        Body,
        Component,
        DataContext,
        DataFacts,
        DataParams,
        Facts,
        LayerGroup,
        LearningRate,
        OfKind,
        Params,
        Percent,
        PolicyParams,
        Positional,
        Range,
        RunWeights,
        Schedule,
        Task,
        Use,
    )
    from dotexp.diagnostics import ComponentError, DotexpError, Problem, RunError, SpecError, UsageError
    from dotexp.hookspecs import hookimpl
    from dotexp.interpreting import interpret
    from dotexp.lr_find import find_lr
    from dotexp.recommending import recommend, similar_items

__version__ = "0.1.0"

__all__ = [
    "Body",
    "Component",
    "ComponentError",
    "DataContext",
    "DataFacts",
    "DataParams",
    "DotexpError",
    "Facts",
    "LayerGroup",
    "LearningRate",
    "OfKind",
    "Params",
    "Percent",
    "PolicyParams",
    "Positional",
    "Prediction",
    "Problem",
    "Range",
    "RunError",
    "RunWeights",
    "Schedule",
    "SpecError",
    "Task",
    "UsageError",
    "Use",
    "check",
    "evaluate",
    "find_lr",
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
    "dotexp.checking": {"check", "load"},
    "dotexp.api": {"Prediction", "evaluate", "plan", "predict", "report", "resume", "run", "verify"},
    "dotexp.diagnostics": {"ComponentError", "DotexpError", "Problem", "RunError", "SpecError", "UsageError"},
    "dotexp.hookspecs": {"hookimpl"},
    "dotexp.interpreting": {"interpret"},
    "dotexp.lr_find": {"find_lr"},
    "dotexp.recommending": {"recommend", "similar_items"},
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "dotexp.components")
    return getattr(import_module(home), name)
