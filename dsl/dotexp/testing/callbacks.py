"""Checks of callbacks and reports. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dotexp.components.facts import CallbackFacts
from dotexp.language.diagnostics import Problem, closest
from dotexp.sdk.callback import Callback
from dotexp.testing.attributes import attributes, differing
from dotexp.testing.sittings import train
from dotexp.testing.trial import Check, Finding, Trial

_HOOKS = tuple(name for name in vars(Callback) if not name.startswith("_"))


def builds(trial: Trial) -> Iterator[Finding]:
    """A `Callback` that defines at least one of its methods, spelt as they are."""
    built = trial.use.build()
    if not isinstance(built, Callback):
        help = "extend dotexp.sdk.callback.Callback"
        yield Problem(f"its builder returned a {type(built).__name__}", help=help)
        return
    own = [name for cls in type(built).__mro__ if cls not in (Callback, object) for name in vars(cls)]
    if not set(own) & set(_HOOKS) and trial.use.facts_as(CallbackFacts) == CallbackFacts():
        yield Problem(
            "it defines none of a callback's methods, so it is never called", help=f"they are {', '.join(_HOOKS)}"
        )
    for name in own:
        near = closest(name, _HOOKS)
        if not name.startswith("_") and name not in _HOOKS and near:
            yield Problem(f"`{name}` is none of a callback's methods and is never called, did you mean `{near}`?")


def state_is_complete(trial: Trial) -> Iterator[Finding]:
    """Saved in the middle of a stage and loaded into a new one, it holds what it would have held."""
    plan = trial.bench.plan(trial.use)
    whole, again = train(plan), train(plan)
    resumed = train(plan, whole.middle)
    found: list[dict[str, Any]] = [_held(each.callbacks) for each in (whole, again, resumed)]
    lost = differing(*found)
    if lost:
        names = ", ".join(f"`self.{name}`" for name in lost)
        help = "return it from `state_dict`, and take it back in `load_state_dict`: a run may be stopped after any step"
        yield Problem(f"in a resumed run {names} {'is' if len(lost) == 1 else 'are'} not what it was", help=help)
    elif whole.weights != resumed.weights:
        help = "return all that later steps depend on from `state_dict`"
        yield Problem("a resumed run ends with other weights", help=help)


def _held(callbacks: list[Callback]) -> dict[str, Any]:
    return {name: value for callback in callbacks for name, value in attributes(callback).items()}


CALLBACK: tuple[Check, ...] = (builds, state_is_complete)
