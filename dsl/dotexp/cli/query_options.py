"""Options of `predict` for the queries that installed components offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from dotexp.components.queries import Query, QueryOption


class Question(NamedTuple):
    """A query as the command line asks it."""

    name: str
    value: str
    options: Mapping[str, Any]


def query_options(queries: Sequence[Query]) -> list[click.Option]:
    """Make an option for each query, and one for each option of them; the first of a name stands for all."""
    by_name: dict[str, Query] = {}
    for query in queries:
        by_name.setdefault(query.name, query)
    made = [
        click.Option([_flag(name), _parameter(_QUERY, name)], metavar=query.metavar, help=_sentence(query.help))
        for name, query in by_name.items()
    ]
    made += [_made(option, users) for name, (option, users) in _options(queries).items() if name not in by_name]
    return made


def read_question(
    given: Mapping[str, Any], inputs: Sequence[str], queries: Sequence[Query], overrides: Sequence[str]
) -> Question | None:
    """Return the query that is asked, with its options; None where INPUT is given. Raises UsageError for none or both.

    `given` are the values of the options of `query_options`.
    """
    every = list(dict.fromkeys(query.name for query in queries))
    known = _options(queries)
    asked = _values(given, _QUERY, every)
    options = _values(given, _OPTION, known)
    if not inputs and not asked:
        raise click.UsageError(f"there is nothing to predict: give {_listed(['INPUT', *map(_flag, every)], 'or')}")
    if bool(inputs) + len(asked) > 1:
        parts = [*(["INPUT"] if inputs else []), *map(_flag, asked)]
        raise click.UsageError(f"{_listed(parts, 'and')} are different questions: ask one at a time")
    name = next(iter(asked), None)
    for option, (_, users) in known.items():
        if option in options and name not in users:
            raise click.UsageError(f"--{option} goes with {_listed(list(map(_flag, users)), 'and')}")
    openers = list(dict.fromkeys(query.name for query in queries if query.opens_data))
    if overrides and name not in openers:
        raise click.UsageError(f"--set goes with {_listed(list(map(_flag, openers)), 'and') or 'no query'}")
    if name is None:
        return None
    return Question(name, asked[name], {option.replace("-", "_"): value for option, value in options.items()})


_QUERY, _OPTION = "query__", "option__"
"""Prefixes of the parameters' names, which no other parameter of a command has."""


def _parameter(prefix: str, name: str) -> str:
    return prefix + name.replace("-", "_")


def _values(given: Mapping[str, Any], prefix: str, names: Iterable[str]) -> dict[str, Any]:
    """Values of the options that were given, by the option's name."""
    values = {name: given.get(_parameter(prefix, name)) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _options(queries: Iterable[Query]) -> dict[str, tuple[QueryOption, list[str]]]:
    """Options by name, each with the queries that take it."""
    found: dict[str, tuple[QueryOption, list[str]]] = {}
    for query in queries:
        for option in query.options:
            users = found.setdefault(option.name, (option, []))[1]
            if query.name not in users:
                users.append(query.name)
    return found


def _made(option: QueryOption, users: Sequence[str]) -> click.Option:
    help = f"With {_listed(list(map(_flag, users)), 'and')}: {option.help}."
    declared = [_flag(option.name), _parameter(_OPTION, option.name)]
    if option.type is bool:
        return click.Option(declared, is_flag=True, default=None, help=help)
    if option.default not in (None, ""):
        help += f"  [default: {option.default}]"
    return click.Option(declared, type=_type(option), metavar=option.metavar, help=help)


def _type(option: QueryOption) -> Any:
    if option.bounds is None or option.type is str:
        return option.type
    least, greatest = option.bounds
    return click.IntRange(int(least), int(greatest)) if option.type is int else click.FloatRange(least, greatest)


def _flag(name: str) -> str:
    return f"--{name}"


def _listed(parts: Sequence[str], last: str) -> str:
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _sentence(help: str) -> str:
    return f"{help[:1].upper()}{help[1:]}, in place of INPUT."
