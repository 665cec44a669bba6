"""Weights by class: those of the data's balance, or those of the spec, held against the classes that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from dotexp import ComponentError, DataFacts, Problem

from dotexp_losses.losses.params import BinaryCrossEntropyParams, CrossEntropyParams


def balanced_weights(facts: DataFacts) -> tuple[float, ...]:
    """n / (classes * count of each): scikit-learn's `balanced`; their mean over the training examples is 1."""
    counts = _counts(facts)
    return tuple(facts.train / (len(counts) * count) for count in counts)


def positive_weights(facts: DataFacts) -> tuple[float, ...]:
    """Training examples without each class to one with it."""
    return tuple((facts.train - count) / count for count in _counts(facts))


def given_weights(weights: Mapping[str, float], facts: DataFacts) -> tuple[float, ...]:
    """The spec's weights in the order of the classes."""
    return tuple(weights[name] for name in facts.classes or ())


def check_weights(params: CrossEntropyParams, facts: DataFacts) -> Iterator[Problem]:
    """Hold `weights` against the data."""
    if params.weights is not None:
        yield from _check("weights", params.weights, facts)


def check_pos_weights(params: BinaryCrossEntropyParams, facts: DataFacts) -> Iterator[Problem]:
    """Hold `pos_weights` against the data."""
    if params.pos_weights is not None:
        yield from _check("pos_weights", params.pos_weights, facts)


def _check(field: str, weights: str | Mapping[str, float], facts: DataFacts) -> Iterator[Problem]:
    if facts.classes is None:
        yield Problem(f"`{field}` go by class, and the data has no classes", field, code="E304")
    elif isinstance(weights, Mapping):
        yield from _names(field, weights, facts.classes)
    elif facts.counts is None:
        help = f"give them by class: {field} = {{{facts.classes[0]} = 1.0, ...}}"
        yield Problem("the data does not tell how many training examples each class has", field, help)
    else:
        empty = [name for name, count in zip(facts.classes, facts.counts, strict=True) if count == 0]
        if empty:
            help = f"give them by class: {field} = {{{empty[0]} = 1.0, ...}}"
            yield Problem(f"no training example is of {_listed(empty)}, which leaves it without a weight", field, help)


def _names(field: str, weights: Mapping[str, float], classes: tuple[str, ...]) -> Iterator[Problem]:
    for name in weights:
        if name not in classes:
            near = get_close_matches(name, classes, n=1)
            help = f"did you mean `{near[0]}`?" if near else f"the classes are {_listed(classes)}"
            yield Problem(f"`{field}` names `{name}`, which is none of the data's classes", field, help, "E208")
    missing = [name for name in classes if name not in weights]
    if missing:
        help = "every class has a weight: 1.0 leaves it as it is"
        yield Problem(f"`{field}` leaves out {_listed(missing)}", field, help, "E205")


def _counts(facts: DataFacts) -> tuple[int, ...]:
    if not facts.counts or 0 in facts.counts:
        raise ComponentError("weights by class need training examples of every class", code="E402")
    return facts.counts


def _listed(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more


_SHOWN = 5
