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
    """Make an option for each query, and one for each option of them; several of one name are one option."""
    by_name: dict[str, list[Query]] = {}
    for query in queries:
        by_name.setdefault(query.name, []).append(query)
    made = [
        click.Option(
            [_flag(name), _parameter(_QUERY, name)],
            metavar=some[0].metavar,
            help=_sentence(_either([query.help for query in some])),
        )
        for name, some in by_name.items()
    ]
    return made + [_made(*some) for name, some in _options(queries).items() if name not in by_name]


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
    for other in [other for other in asked if any(other in _options([q]) for q in queries if q.name in asked)]:
        if len(asked) > 1:  # a query by its name, and an option of the other that is asked
            options[other] = asked.pop(other)
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


def _options(queries: Iterable[Query]) -> dict[str, tuple[list[QueryOption], list[str]]]:
    """Options by name: those of this name, and the names of the queries that take one."""
    found: dict[str, tuple[list[QueryOption], list[str]]] = {}
    for query in queries:
        for option in query.options:
            same, users = found.setdefault(option.name, ([], []))
            same.append(option)
            if query.name not in users:
                users.append(query.name)
    return found


def _made(same: Sequence[QueryOption], users: Sequence[str]) -> click.Option:
    """Make one option of all of one name; where their types differ it is text, which the run's query reads."""
    first, types = same[0], {option.type for option in same}
    help = f"With {_listed(list(map(_flag, users)), 'and')}: {_either([option.help for option in same])}."
    declared = [_flag(first.name), _parameter(_OPTION, first.name)]
    if types == {bool}:
        return click.Option(declared, is_flag=True, default=None, help=help)
    defaults = {option.default for option in same}
    if len(defaults) == 1 and not defaults & {None, ""}:
        help += f"  [default: {first.default}]"
    if len(types) == 1:
        return click.Option(declared, type=_type(same), metavar=first.metavar, help=help)
    alone = {"is_flag": False, "flag_value": True} if bool in types else {}
    return click.Option(declared, type=click.UNPROCESSED, metavar=first.metavar, help=help, **alone)


def _type(same: Sequence[QueryOption]) -> Any:
    """Type of options of one type, within the bounds of all of them; a query checks its own."""
    kind, bounds = same[0].type, [option.bounds for option in same if option.bounds is not None]
    if len(bounds) < len(same) or kind is str:
        return kind
    least, most = min(low for low, _ in bounds), max(high for _, high in bounds)
    return click.IntRange(int(least), int(most)) if kind is int else click.FloatRange(least, most)


def _either(helps: Sequence[str]) -> str:
    return ", or ".join(dict.fromkeys(helps))


def _flag(name: str) -> str:
    return f"--{name}"


def _listed(parts: Sequence[str], last: str) -> str:
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _sentence(help: str) -> str:
    return f"{help[:1].upper()}{help[1:]}, in place of INPUT."
