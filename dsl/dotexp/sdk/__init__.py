"""What plugins may import, and nothing else of dotexp.

The names in `HOMES` are imported when they are first used, from here or from `dotexp`, which re-exports each: `from
dotexp import Component, Batch, Section`. `MODULES` are used whole: `from dotexp.sdk import tables`. Importing a name of
`data` or `modules` imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotexp.components.bases import *
    from dotexp.components.builders import *
    from dotexp.components.component import *
    from dotexp.components.component_index import *
    from dotexp.components.facts import *
    from dotexp.components.hookspecs import *
    from dotexp.components.input_form import *
    from dotexp.components.kinds import *
    from dotexp.components.params import *
    from dotexp.components.queries import *
    from dotexp.components.tasks import *
    from dotexp.components.templates import *
    from dotexp.language.diagnostics import *
    from dotexp.language.effects import *
    from dotexp.language.wording import *
    from dotexp.sdk.answers import *
    from dotexp.sdk.callback import *
    from dotexp.sdk.data import *
    from dotexp.sdk.modules import *
    from dotexp.sdk.report import *

HOMES = {
    "dotexp.components.bases": (
        "BodyParams DataParams FileWeights ImageDataParams LearningRate OptimizerParams PolicyParams RunWeights"
    ),
    "dotexp.components.builders": "Body DataContext Schedule",
    "dotexp.components.component": "Component ComponentModule Use",
    "dotexp.components.component_index": "component_modules",
    "dotexp.components.facts": (
        "BodyFacts CallbackFacts DataFacts DataSignature Facts LayerGroup MetricFacts ModelFacts "
        "OptimizerFacts ReportFacts"
    ),
    "dotexp.components.hookspecs": "hookimpl",
    "dotexp.components.input_form": "InputForm",
    "dotexp.components.kinds": "Kind",
    "dotexp.components.params": (
        "Affects ForTasks FormerName OfKind OncePerExperiment Params Percent Positional Range former_members"
    ),
    "dotexp.components.queries": "Query QueryOption",
    "dotexp.components.tasks": "Answer Task",
    "dotexp.components.templates": "ComponentTemplate StageTemplate",
    "dotexp.language.diagnostics": "ComponentError DotexpError MachineError Problem RunError SpecError UsageError",
    "dotexp.language.effects": "Effect",
    "dotexp.language.wording": "counted counted_plural range_ends",
    "dotexp.sdk.answers": "numbers one_class several_classes",
    "dotexp.sdk.callback": "Callback EpochRow Training",
    "dotexp.sdk.data": (
        "Augmentable Batch Data Encoded Exportable Identified Named Part Piece Prepared RankingMetric Shuffling "
        "TensorPart Trained hashed read_in_workers"
    ),
    "dotexp.sdk.modules": "Head Loss Metric",
    "dotexp.sdk.report": "Block Cell Colour Paragraph Picture Pictures Plot Reporter Section Subject Table Verbatim",
}
"""Names by the module that defines them."""

MODULES = ("fields", "names", "seeds", "set_names", "sniffing", "splits", "tables", "weights")
"""Modules that are used whole, since their names read with the module's: `weights.read_tensors`."""

_HOME_OF = {name: module for module, names in HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f"dotexp.sdk.{name}")
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    if name == "__all__":  # not a list in the text, since type checkers take the imports above for it
        return sorted([*_HOME_OF, *MODULES])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *MODULES})
