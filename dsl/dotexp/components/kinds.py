"""Kinds of components: what a kind's builders take and return, its facts, and the base of its parameters."""

from __future__ import annotations

from dotexp.components.facts import DataSignature, Facts
from dotexp.components.params import Params
from dotexp.record import Record


class Kind(Record):
    """A kind of component, which is a namespace of its own. Plugins declare kinds by the hook `dotexp_kinds`.

    `OfKind(name)` marks a parameter that takes a component of the kind.
    """

    name: str
    """An identifier in the singular, such as `learning_rate`; messages write it with spaces."""

    plural: str
    """How messages name several, such as `learning rates`."""

    takes: tuple[str, ...]
    """What a builder takes after the parameters (and the component's variant, where it has one)."""

    returns: str
    """What a builder returns."""

    facts: type[Facts] | type[DataSignature] = Facts
    """Class of its components' facts."""

    params: type[Params] = Params
    """Class that its components' parameters extend."""

    check: str = ""
    """`"module:function"` that checks a component for `dotexp.testing`: it takes the `Use` and yields `Problem`s."""

    @property
    def words(self) -> str:
        """The name as messages write it, such as `learning rate`."""
        return words(self.name)


def words(kind: str) -> str:
    """Write a kind's name as messages do, with spaces."""
    return kind.replace("_", " ")


def one(kind: str) -> str:
    """Write one of a kind with its article: `a loss`, `an optimizer`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {words(kind)}"
