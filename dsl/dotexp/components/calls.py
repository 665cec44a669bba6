"""The seat of calls into plugins' code: what it raises, or returns wrongly, names the component and its plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, ParamSpec, Protocol, TypeVar

from dotexp.language.diagnostics import ComponentError, DotexpError, RunError
from dotexp.language.machine_faults import is_out_of_memory

FAULTS = (Exception, SystemExit)
"""What a plugin's code may raise; Ctrl-C is not among them."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Labelled(Protocol):
    """A component, or a use of one."""

    @property
    def label(self) -> str:
        """Its name with its plugin's: "body `tiny` of acme-bodies 0.1.0"."""
        ...


class PluginError(ComponentError):
    """Code of a plugin fails, or gives what it should not; `owner` is the component."""

    def __init__(self, owner: Labelled, said: str, help: str = "", code: str = "E216") -> None:
        super().__init__(f"{owner.label} {said}", help=help or FOR_THE_AUTHOR, code=code)
        self.owner = owner


FOR_THE_AUTHOR = "this is for the plugin's author to mend, not for the spec; --traceback shows where"


@contextmanager
def calling(owner: Labelled, doing: str) -> Iterator[None]:
    """Have what is raised inside say which component's code it was, and what it was doing."""
    try:
        yield
    except FAULTS as error:
        reraise(owner, doing, error)


def guarded(owner: Labelled, doing: str, function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function, with what it raises said to be the component's."""

    def call(*arguments: _P.args, **more: _P.kwargs) -> _R:
        try:
            return function(*arguments, **more)
        except FAULTS as error:
            reraise(owner, doing, error)

    return call


def reraise(owner: Labelled, doing: str, error: BaseException) -> NoReturn:
    """Raise a plugin's error as `named` has it; an error that stays itself keeps the cause that it came with."""
    replaced = named(owner, doing, error)
    if replaced is error:
        raise error
    raise replaced from error


def named(owner: Labelled, doing: str, error: BaseException) -> BaseException:
    """Return the error to raise in place of a plugin's: one that names it, unless it is one of dotexp's own.

    Memory that ran out stays what it is, for those who can do with less.
    """
    if isinstance(error, RunError):
        return error if str(error).startswith(owner.label) else RunError(f"{owner.label}: {error}")
    if isinstance(error, DotexpError) or is_out_of_memory(error):
        return error
    return PluginError(owner, f"fails in {doing}: {said(error)}")


def said(error: BaseException) -> str:
    """Write an exception as messages do."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
