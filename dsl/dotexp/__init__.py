"""dotexp: a declarative language for deep-learning experiments, and the engine that runs it.

Names are imported when they are first used: `spec-runner --help` and every key of shell completion import this package,
and need neither pydantic nor the parser. Those of dotexp.sdk are for plugins, the others are commands. Functions of
plugins' queries, such as `dotexp.recommend`, are found by name, and not listed: to list them would import the plugins.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dotexp.version import API as API
from dotexp.version import __version__ as __version__

if TYPE_CHECKING:
    from dotexp.commands.functions import *
    from dotexp.commands.interpreting import *
    from dotexp.commands.queries import *
    from dotexp.commands.workspace import *
    from dotexp.experiment.checking import *
    from dotexp.export.predictor import *
    from dotexp.sdk import *

_COMMANDS = {
    "dotexp.commands.functions": "evaluate export_run find_lr iter_predictions list_runs lr_find open_run plan predict "
    "predict_into report resume run serve_run verify",
    "dotexp.commands.interpreting": "interpret",
    "dotexp.commands.queries": "ask",
    "dotexp.commands.workspace": "Workspace",
    "dotexp.experiment.checking": "check load",
    "dotexp.export.predictor": "Prediction",
}
"""Functions and objects for users of Python, by the module that defines them."""


def __getattr__(name: str) -> Any:
    for module, names in _COMMANDS.items():
        if name in names.split():
            return getattr(import_module(module), name)
    sdk = import_module("dotexp.sdk")
    if name == "__all__":
        commands = (each for names in _COMMANDS.values() for each in names.split())
        return sorted([*commands, *sdk.__all__, "API"])
    if name in sdk.__all__:
        return getattr(sdk, name)
    if name.islower() and not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
        functions = import_module("dotexp.commands.queries").query_functions()
        if name in functions:
            return functions[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
