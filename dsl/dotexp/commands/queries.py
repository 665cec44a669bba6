"""Queries asked of a finished run, and the functions of the package that ask them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from keyword import iskeyword
from typing import Any

from dotexp.commands.predicting import make_predictor
from dotexp.commands.references import DeviceName, Root, RunReference, as_device, as_id, as_root, find_run, load_run
from dotexp.components.queries import Query
from dotexp.components.registry import load_registry
from dotexp.experiment.checking import Overrides
from dotexp.export.predictor import Predictor, queries_of
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


_OWN = frozenset({"run", "set", "runs", "device"})
"""Parameters that every such function has."""


def query_functions() -> Mapping[str, Callable[..., list[Row]]]:
    """Return the functions that installed components' queries ask for, by name, such as `recommend` of ratings."""
    found: dict[str, list[Query]] = {}
    for query in load_registry().queries():
        if query.function:
            found.setdefault(query.function, []).append(query)
    return {name: _function(name, queries) for name, queries in found.items()}


def _function(name: str, queries: Sequence[Query]) -> Callable[..., list[Row]]:
    """Make the function that asks a query: `(run, VALUE, OPTION=…, set=(), runs="runs", device=None)`.

    Several queries may ask for one function: the run decides which is asked. Its signature is the first one's.
    """

    def asks(*arguments: Any, **named: Any) -> list[Row]:
        query = queries[0] if len(queries) == 1 else _query_of_run(queries, arguments, named)
        bound = _signature(query).bind(*arguments, **named)
        bound.apply_defaults()
        given = dict(bound.arguments)
        run, value, device = given.pop("run"), given.pop(_value_name(query)), given.pop("device")
        return ask(run, query.name, value, given.pop("set", ()), given.pop("runs"), device, **given)

    asks.__name__ = asks.__qualname__ = name
    asks.__doc__ = _described(queries[0])
    asks.__signature__ = _signature(queries[0])  # type: ignore[attr-defined]
    return asks


def _query_of_run(queries: Sequence[Query], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Query:
    """Return which of several queries the run answers that a call names, the first where it answers none."""
    for query in queries:
        try:
            given = _signature(query).bind(*arguments, **named).arguments
        except TypeError:
            continue
        folder = find_run(given["run"], as_root(given.get("runs", DEFAULT_ROOT)))
        offered = queries_of(load_run(folder, given.get("set", ())).experiment).values()
        return next((each for each in offered if each in queries), queries[0])
    return queries[0]


def _signature(query: Query) -> Signature:
    def parameter(called: str, *default: Any) -> Parameter:
        given = {"default": default[0]} if default else {}
        return Parameter(called, Parameter.POSITIONAL_OR_KEYWORD, **given)

    options = [parameter(option.keyword, option.default) for option in query.options]
    data = [parameter("set", ())] if query.opens_data else []
    own = [parameter("run"), parameter(_value_name(query)), *options, *data]
    return Signature([*own, parameter("runs", DEFAULT_ROOT), parameter("device", None)])


def _value_name(query: Query) -> str:
    """Name of the value's parameter; a key that is a word of Python has `_` behind it."""
    name = query.key.replace("-", "_")
    return f"{name}_" if iskeyword(name) or name in _OWN or name in {each.keyword for each in query.options} else name


def _described(query: Query) -> str:
    options = "".join(f"\n    `{option.keyword}`: {option.help}." for option in query.options)
    data = "\n    `set` may say where the data is now (`data.path=…`)." if query.opens_data else ""
    refused = "\n    Raises UsageError for a value that the run does not know, and for a run that does not answer it."
    return f"Return rows: {query.help}.\n{options}{data}{refused}"


def open_predictor(run: RunReference, set: Overrides, runs: Root, device: DeviceName) -> Predictor:
    """Find a run or bundle, and restore its model."""
    return make_predictor(find_run(run, as_root(runs)), set, None, as_device(device))
