"""What a builder may return, by kind; torch is asked only where it is imported already."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dotexp.components.builders import Body, Schedule
from dotexp.components.facts import DataFacts
from dotexp.components.templates import StageTemplate


def built_fault(kind: str, built: object) -> str | None:
    """Say what is wrong with what a builder of a kind returned; None where nothing is, or the kind is a plugin's."""
    fault = _OF[kind](built) if kind in _OF else None
    return f"built a {type(built).__name__}{fault}" if fault else None


def _instance(module: str, name: str, words: str) -> Callable[[Any], str | None]:
    """Return a check for an object of a class; nothing is one while the class's module is not imported."""

    def check(built: object) -> str | None:
        kind = getattr(sys.modules.get(module), name, None)
        return None if kind is not None and isinstance(built, kind) else f", not {words}"

    return check


_module = _instance("torch.nn", "Module", "a torch module")


def _with(words: str, *names: str) -> Callable[[Any], str | None]:
    def check(built: object) -> str | None:
        missing = [name for name in names if not callable(getattr(built, name, None))]
        return f", which has no method `{missing[0]}`: {words}" if missing else None

    return check


def _loss(built: Any) -> str | None:
    return _module(built) or _with("a loss says how an output reads", "activate")(built)


def _metric(built: Any) -> str | None:
    if callable(getattr(built, "evaluate_ranking", None)):
        return None
    return _with("a metric is a `Metric` or a `RankingMetric`", "update", "compute", "reset", "to")(built)


def _data(built: Any) -> str | None:
    if not isinstance(getattr(built, "facts", None), DataFacts):
        return ", whose `facts` are no `DataFacts`"
    return _with("data is a `Data`", "part")(built)


def _body(built: Any) -> str | None:
    if not isinstance(built, Body):
        return ", not a `Body`"
    if _module(built.module):
        return f" whose `module` is a {type(built.module).__name__}, not a torch module"
    if not isinstance(built.layers, Mapping):
        return f" whose `layers` are a {type(built.layers).__name__}, not a map of modules by name"
    for name, layer in built.layers.items():
        if _module(layer):
            return f" whose layer `{name}` is a {type(layer).__name__}, not a torch module"
    if type(built.features) is not int or built.features < 1:
        return f" whose `features` are {built.features!r}, not a positive whole number"
    for name in ("mean", "std"):
        value = getattr(built, name)
        if value is not None and not (_numbers(value) and len(value) in (1, 3)):
            return f" whose `{name}` is {value!r}, not a number for each channel"
    return None


def _policy(built: Any) -> str | None:
    if not isinstance(built, Schedule):
        return ", not a `Schedule`"
    if not callable(built.factor):
        return f" whose `factor` is a {type(built.factor).__name__}, not a function of the step"
    if built.momentum is not None and not callable(built.momentum):
        return f" whose `momentum` is a {type(built.momentum).__name__}, not a function of the step"
    return None


def _rates(built: Any) -> str | None:
    return None if _numbers(built) else ", not a rate for each group"


def _stages(built: Any) -> str | None:
    if not isinstance(built, Sequence) or not all(isinstance(each, StageTemplate) for each in built):
        return ", not a list of `StageTemplate`s"
    return None if built else " without a stage"


def _callable(built: Any) -> str | None:
    return None if callable(built) else ", not a function of a `Subject`"


def _numbers(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(each, int | float) for each in value)


_OF: Mapping[str, Callable[[Any], str | None]] = {
    "data": _data,
    "model": _module,
    "body": _body,
    "head": _module,
    "loss": _loss,
    "optimizer": _instance("torch.optim", "Optimizer", "a torch optimizer"),
    "policy": _policy,
    "learning_rate": _rates,
    "stages": _stages,
    "metric": _metric,
    "callback": _instance("dotexp.sdk.callback", "Callback", "a dotexp.sdk.callback.Callback"),
    "report": _callable,
}
