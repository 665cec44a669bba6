"""Queries: what `predict` can ask of a finished run beside predictions of inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dotexp.language.diagnostics import UsageError
from dotexp.record import Record

RESERVED_OPTIONS = frozenset({"tta", "out", "set", "device", "runs", "json", "json-lines", "traceback", "help"})
"""Options of `predict` itself; no query and no option of one has such a name."""

ASKED = ("data", "model", "body", "head")
"""Kinds whose components may offer queries."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class QueryOption(Record):
    """An option of a query: `--seen`, `--top N`."""

    name: str
    """The option without its dashes; the answering function takes it by this name, with `_` for `-`."""

    help: str
    """What it does, in a few words without a full stop."""

    type: type[bool] | type[int] | type[float] | type[str] = bool
    """Type of its value; bool: a flag without one."""

    default: Any = False
    """Its value where it is not given."""

    bounds: tuple[float, float] | None = None
    """Least and greatest value of a number; None: any, as of text."""

    metavar: str = "N"
    """What stands for its value in the help."""

    counts_rows: bool = False
    """Whether its value is the most rows that are wanted; a service bounds it."""

    spares_data: bool = False
    """Whether the run's data is not opened where it is given; a service without the data gives it."""

    @property
    def keyword(self) -> str:
        """Name of the answering function's parameter."""
        return self.name.replace("-", "_")

    def read(self, value: Any) -> Any:
        """Read a value that the command line gives as text, since another query's option of this name has another type.

        Raises UsageError for text that is no such value, and where a flag has a value, or another option has none.
        """
        if self.type is bool or value is True:
            if value is not (self.type is bool):
                raise UsageError(f"--{self.name} {'is a flag, without' if self.type is bool else 'goes with'} a value")
            return value
        try:
            return self.type(value)
        except ValueError:
            raise UsageError(f"{self.name} is of type {self.type.__name__}, and {value!r} is not") from None

    def require_value(self, value: Any) -> None:
        """Raise UsageError for a value of another type, or out of bounds."""
        wanted = (int, float) if self.type is float else self.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.type is not bool):
            raise UsageError(f"{self.name} is of type {self.type.__name__}, and {value!r} is not")
        if self.bounds is not None and not self.bounds[0] <= float(value) <= self.bounds[1]:
            raise UsageError(f"{self.name} is between {self.bounds[0]} and {self.bounds[1]}, and {value!r} is not")


class Query(Record):
    """A question to a finished run: `predict RUN --name VALUE`. Data, a model, a body or a head offers it."""

    name: str
    """The option of `predict` that asks it, without its dashes."""

    answer: str
    """The `"module:function"` that answers it: `(trained, value, **options)`, `trained` being a
    `dotexp.sdk.data.Trained`, to a list of rows of JSON values."""

    help: str
    """What it answers, in a few words without a full stop."""

    metavar: str = "VALUE"
    """What stands for the value in the help."""

    asks: str = ""
    """What the value names, its key in `--json`; empty: the query's name."""

    rows: str = "rows"
    """Key of the rows in `--json`."""

    options: tuple[QueryOption, ...] = ()
    """What may be said beside the value."""

    function: str = ""
    """Name of a function of the package `dotexp` that asks it: `dotexp.recommend(run, "196", top=5)`; empty: none."""

    title: str = ""
    """What its rows are, in the plural: `best items`. `spec-runner serve` answers the queries that have one."""

    columns: tuple[tuple[str, str], ...] = ()
    """Keys of a row in a service's answer, each with its heading on the page; empty: as the rows have them."""

    vocabulary: str = ""
    """Key of the run's vocabulary that lists the values it takes, of which a service's page shows one; empty: none."""

    opens_data: bool = False
    """Whether it may open the run's data, so that `--set` can say where that is now."""

    @property
    def key(self) -> str:
        """Key of the value in `--json`, in a request, and the name of the function's parameter."""
        return self.asks or self.name

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return options as the command line gives them, text where it could not know their type, as their values."""
        types = {option.keyword: option for option in self.options}
        return {name: types[name].read(value) if name in types else value for name, value in given.items()}

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for each option. Raises UsageError for an unknown option, or a value that it does not take."""
        by_keyword = {option.keyword: option for option in self.options}
        for keyword, value in given.items():
            if keyword not in by_keyword:
                listed = ", ".join(by_keyword) or "none"
                raise UsageError(f"the query `{self.name}` has no option `{keyword}` (its options: {listed})")
            by_keyword[keyword].require_value(value)
        return {keyword: given.get(keyword, option.default) for keyword, option in by_keyword.items()}


def check_queries(queries: Iterable[object]) -> None:
    """Raise TypeError for what is no query, or has a name that `predict` cannot have as an option."""
    for query in queries:
        if not isinstance(query, Query):
            raise TypeError(f"{query!r} is not a Query")
        if query.answer.count(":") != 1:
            raise TypeError(f'query {query.name}: answer is "module:function", not {query.answer!r}')
        if query.function and not (query.function.isidentifier() and query.function.islower()):
            raise TypeError(f"query {query.name}: `{query.function}` is no function's name, such as `nearest_to`")
        for option in query.options:
            if (option.counts_rows and option.type is not int) or (option.spares_data and option.type is not bool):
                raise TypeError(f"query {query.name}: --{option.name} counts rows as int, or spares the data as a flag")
        names = [query.name, *(option.name for option in query.options)]
        for name in names:
            if not _NAME.fullmatch(name):
                raise TypeError(f"query {query.name}: `{name}` is no option's name, such as `nearest-to`")
            if name in RESERVED_OPTIONS:
                raise TypeError(f"query {query.name}: --{name} is an option of `predict` itself")
            if names.count(name) > 1:
                raise TypeError(f"query {query.name}: --{name} stands twice")
