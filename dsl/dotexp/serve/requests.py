"""Questions in JSON: a model's inputs, and the queries that it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dotexp.components.input_form import InputForm
from dotexp.components.queries import Query, QueryOption
from dotexp.serve.limits import Limits


class RefusedError(Exception):
    """A request that cannot be answered: the HTTP status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Inputs:
    """Inputs to predict for, as the data's encoder takes them."""

    values: Sequence[str | tuple[str, ...]]


@dataclass(frozen=True)
class Question:
    """A query with its value, and the options that were given."""

    query: Query
    value: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Forms:
    """The forms of the questions that a model is asked in JSON."""

    inputs: InputForm
    queries: Sequence[Query]
    limits: Limits

    def parse(self, body: bytes) -> Inputs | Question:
        """Read a question. Raises RefusedError: 400 for what is not JSON, 413 for too many, 422 for another form.

        The keys say which it is: those of an input, else those of a query, the model's before the data's.
        """
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise self._another_form("the body is not an object")
        given, form = set(value), self.inputs
        if form.keys and given == {form.plural} and isinstance(value[form.plural], list) and value[form.plural]:
            return self._several(value[form.plural])
        if form.keys and given == set(form.keys):
            return Inputs([self._input(value, "")])
        for query in self.queries:
            if query.key in given and given <= {query.key, *(option.keyword for option in query.options)}:
                options = {each.keyword: self._option(each, value) for each in query.options if each.keyword in given}
                return Question(query, _id(value[query.key], query.key, ""), options)
        raise self._another_form(f"the body has {', '.join(f'`{key}`' for key in sorted(given)[:5]) or 'nothing'}")

    def examples(self) -> dict[str, dict[str, Any]]:
        """Return an example of each form, by what it asks for."""
        form = self.inputs
        found: dict[str, dict[str, Any]] = {}
        if form.keys:
            found = {form.singular: dict(form.keys), form.plural: {form.plural: [dict(form.keys)]}}
        for query in self.queries:
            counts = {each.keyword: self.default(each) for each in query.options if each.counts_rows}
            found[query.title] = {query.key: self.value_of(query), **counts}
        return found

    def value_of(self, query: Query) -> str:
        """Return an example of a query's value."""
        return self.inputs.keys.get(query.key, query.metavar)

    def bounds(self, option: QueryOption) -> tuple[float, float] | None:
        """Return an option's bounds, within those of the service."""
        if not option.counts_rows:
            return option.bounds
        least, most = option.bounds or (1, self.limits.rows)
        return least, min(most, self.limits.rows)

    def default(self, option: QueryOption) -> Any:
        """Return an option's default, within the bounds of the service."""
        return min(option.default, self.limits.rows) if option.counts_rows else option.default

    def _several(self, values: list[Any]) -> Inputs:
        form, most = self.inputs, self.limits.inputs
        if len(values) > most:
            raise RefusedError(413, f"there are {len(values):,} {form.plural}, and {most:,} are taken at once")
        return Inputs([self._input(each, f"{form.singular} {place}: ") for place, each in enumerate(values, 1)])

    def _input(self, value: Any, where: str) -> str | tuple[str, ...]:
        form = self.inputs
        if not isinstance(value, dict) or set(value) != set(form.keys):
            listed = " and ".join(f"`{key}`" for key in form.keys)
            raise RefusedError(422, f"{where}{form.one} is an object with {listed}")
        return form.given(tuple(_id(value[key], key, where) for key in form.keys))

    def _option(self, option: QueryOption, given: Mapping[str, Any]) -> Any:
        """Return the value of an option, None where a flag is null. Raises RefusedError for one that is not taken."""
        name, value, bounds = option.keyword, given[option.keyword], self.bounds(option)
        if option.type is bool:
            if value is not None and not isinstance(value, bool):
                raise RefusedError(422, f"`{name}` is neither true nor false")
            return value
        types = (int, float) if option.type is float else option.type
        fits = isinstance(value, types) and not isinstance(value, bool)
        if not fits or (bounds is not None and not bounds[0] <= float(value) <= bounds[1]):
            within = "" if bounds is None else f" from {bounds[0]:,} to {bounds[1]:,}"
            raise RefusedError(422, f"`{name}` is {json.dumps(value)[:50]}: {_WANTED[option.type]}{within} is wanted")
        return value

    def _another_form(self, what: str) -> RefusedError:
        forms = list(self.examples().values())
        for query in self.queries:
            flags = {option.keyword: True for option in query.options if option.type is bool}
            if flags:
                forms.append({**self.examples()[query.title], **flags})
        return RefusedError(422, f"{what}: a question is {_listed([json.dumps(form) for form in forms])}")


_WANTED = {int: "a whole number", float: "a number", str: "text"}


def _id(value: Any, name: str, where: str) -> str:
    """Take an id: text, or a whole number, which is the text of its digits."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RefusedError(422, f"{where}`{name}` is {json.dumps(value)[:50]}: an id, text or a whole number, is wanted")


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} or {parts[-1]}" if len(parts) > 1 else "".join(parts)
