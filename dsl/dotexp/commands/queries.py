"""Queries asked of a finished run, and the functions of the package that ask them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from dotexp.commands.predicting import make_predictor
from dotexp.commands.references import DeviceName, Root, RunReference, as_device, as_id, as_root, find_run
from dotexp.components.queries import Query
from dotexp.components.registry import load_registry
from dotexp.experiment.checking import Overrides
from dotexp.export.predictor import Predictor
from dotexp.runs.folder import DEFAULT_ROOT

Row = dict[str, Any]


def ask(
    run: RunReference,
    query: str,
    value: str | int,
    set: Overrides = (),
    runs: Root = DEFAULT_ROOT,
    device: DeviceName = None,
    **options: Any,
) -> list[Row]:
    """Ask a run a query that its data or model offers, by the query's name; `options` are the query's own.

    `set` may say where the data is now (`data.path=…`). Raises UsageError for a query that the run does not answer, an
    option that the query does not take, and a value that it refuses.
    """
    return open_predictor(run, set, runs, device).ask(query, as_id("the value of a query", value), **options)


def query_functions() -> Mapping[str, Callable[..., list[Row]]]:
    """Return the functions that installed components' queries ask for, by name, such as `recommend` of ratings."""
    return {query.function: _function(query) for query in reversed(load_registry().queries()) if query.function}


def _function(query: Query) -> Callable[..., list[Row]]:
    """Make the function that asks a query: `(run, VALUE, OPTION=…, set=(), runs="runs", device=None)`."""

    def asks(*arguments: Any, **named: Any) -> list[Row]:
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        given = dict(bound.arguments)
        run, value, device = given.pop("run"), given.pop(name), given.pop("device")
        return ask(run, query.name, value, given.pop("set", ()), given.pop("runs"), device, **given)

    def parameter(called: str, *default: Any) -> Parameter:
        given = {"default": default[0]} if default else {}
        return Parameter(called, Parameter.POSITIONAL_OR_KEYWORD, **given)

    name = query.key.replace("-", "_")
    options = [parameter(option.keyword, option.default) for option in query.options]
    data = [parameter("set", ())] if query.opens_data else []
    own = [parameter("run"), parameter(name), *options, *data]
    signature = Signature([*own, parameter("runs", DEFAULT_ROOT), parameter("device", None)])
    asks.__name__ = asks.__qualname__ = query.function
    asks.__doc__ = _described(query)
    asks.__signature__ = signature  # type: ignore[attr-defined]
    return asks


def _described(query: Query) -> str:
    options = "".join(f"\n    `{option.keyword}`: {option.help}." for option in query.options)
    data = "\n    `set` may say where the data is now (`data.path=…`)." if query.opens_data else ""
    refused = "\n    Raises UsageError for a value that the run does not know, and for a run that does not answer it."
    return f"Return rows: {query.help}.\n{options}{data}{refused}"


def open_predictor(run: RunReference, set: Overrides, runs: Root, device: DeviceName) -> Predictor:
    """Find a run or bundle, and restore its model."""
    return make_predictor(find_run(run, as_root(runs)), set, None, as_device(device))
