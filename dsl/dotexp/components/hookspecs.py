"""The hooks that a plugin may implement: the whole contract between dotexp and its plugins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from dotexp.components.component import Component, ComponentModule
from dotexp.components.kinds import Kind
from dotexp.components.tasks import Task

if TYPE_CHECKING:
    from dotexp.planning.plan import Plan
    from dotexp.runs.folder import RunFolder
    from dotexp.runs.results import EpochRow, RunResult

PROJECT = "dotexp"

_Hook = TypeVar("_Hook", bound=Callable[..., Any])


def hookspec(function: _Hook) -> _Hook:
    """Mark a function as a hook, as pluggy's own marker does."""
    function.dotexp_spec = dict(_SPEC)  # type: ignore[attr-defined]
    return function


@overload
def hookimpl(function: _Hook, **options: bool | str | None) -> _Hook: ...
@overload
def hookimpl(**options: bool | str | None) -> Callable[[_Hook], _Hook]: ...
def hookimpl(function: Any = None, **options: Any) -> Any:
    """Mark a plugin's function as an implementation of the hook of its name, with the options of pluggy's own marker.

    The mark is the one that pluggy's marker makes; importing pluggy for it would take a light command 2 ms.
    """
    if function is None:
        return lambda marked: hookimpl(marked, **options)
    unknown = options.keys() - _IMPL.keys()
    if unknown:
        raise TypeError(f"hookimpl has no option {min(unknown)}")
    function.dotexp_impl = {**_IMPL, **options}
    return function


_SPEC = {"firstresult": False, "historic": False, "warn_on_impl": None, "warn_on_impl_args": None}
_IMPL = {
    **dict.fromkeys(("wrapper", "hookwrapper", "optionalhook", "tryfirst", "trylast"), False),
    "specname": None,
}


@hookspec
def dotexp_kinds() -> Sequence[Kind]:  # type: ignore[empty-body]
    """Declare kinds of components beside the core's. Called once; must not import torch."""


@hookspec
def dotexp_tasks() -> Sequence[Task]:  # type: ignore[empty-body]
    """Declare tasks: what is learned from data, and how a prediction of it reads. Called once."""


@hookspec
def dotexp_components() -> Sequence[Component | ComponentModule]:  # type: ignore[empty-body]
    """Return what the plugin offers, or the modules that list it. Called once; must not import torch."""


@hookspec
def dotexp_run_started(plan: Plan, folder: RunFolder) -> None:
    """Called when a run starts: its folder is made, its data not opened yet."""


@hookspec
def dotexp_stage_started(stage: str, steps: int) -> None:
    """Called when a stage of `steps` steps starts."""


@hookspec
def dotexp_epoch_ended(row: EpochRow) -> None:
    """Called with an epoch's numbers, after they are written."""


@hookspec
def dotexp_run_ended(result: RunResult) -> None:
    """Called with a run's result, however it ended."""
