"""dotexp: a declarative language for deep-learning experiments, and the engine that runs it."""

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
    "Problem",
    "Range",
    "RunError",
    "RunWeights",
    "Schedule",
    "SpecError",
    "Task",
    "UsageError",
    "Use",
    "hookimpl",
]
