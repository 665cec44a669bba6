"""Class weights: balanced by the training counts or given in the spec, and checked against the data's classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from dotexp import ComponentError, DataFacts, Problem

from dotexp_losses.losses.params import BinaryCrossEntropyParams, CrossEntropyParams

_SHOWN = 5


def balanced_weights(facts: DataFacts) -> tuple[float, ...]:
    """Return n / (classes * count) for each class, scikit-learn's `balanced`: the mean over the examples is 1."""
    if not facts.counts or 0 in facts.counts:
        raise ComponentError("balanced weights need training examples of every class", code="E402")
    return tuple(facts.train / (len(facts.counts) * count) for count in facts.counts)


def positive_weights(facts: DataFacts) -> tuple[float, ...]:
    """Return, for each class, the number of training examples without it divided by the number with it."""
    if not facts.counts or not all(0 < count < facts.train for count in facts.counts):
        raise ComponentError("balanced weights need training examples with and without every class", code="E402")
    return tuple((facts.train - count) / count for count in facts.counts)


def given_weights(weights: Mapping[str, float], facts: DataFacts) -> tuple[float, ...]:
    """Return the spec's weights in the order of the data's classes."""
    return tuple(weights[name] for name in facts.classes or ())


def check_weights(params: CrossEntropyParams, facts: DataFacts) -> Iterator[Problem]:
    """Check `weights` against the data's classes and their counts."""
    field, weights = "weights", params.weights
    if weights is None:
        return
    yield from _check_classes(field, weights, facts)
    if not isinstance(weights, Mapping):
        for names in _counted(facts, 0):
            said = f"no training example is of {_listed(names)}, so no balanced weight can be computed for it"
            yield Problem(said, field, _by_class(field, facts))


def check_pos_weights(params: BinaryCrossEntropyParams, facts: DataFacts) -> Iterator[Problem]:
    """Check `pos_weights` against the data's classes and their counts."""
    field, weights = "pos_weights", params.pos_weights
    if weights is None:
        return
    yield from _check_classes(field, weights, facts)
    if not isinstance(weights, Mapping):
        for names in _counted(facts, 0):
            said = f"no training example has {_listed(names)}, so no balanced weight can be computed for it"
            yield Problem(said, field, _by_class(field, facts))
        for names in _counted(facts, facts.train):
            said = f"every training example has {_listed(names)}, so the balanced weight is 0 and nothing trains it"
            yield Problem(said, field, _by_class(field, facts))


def _check_classes(field: str, weights: str | Mapping[str, float], facts: DataFacts) -> Iterator[Problem]:
    if facts.classes is None:
        yield Problem(f"`{field}` are given by class, and the data has no classes", field, code="E304")
    elif isinstance(weights, Mapping):
        yield from _check_names(field, weights, facts.classes)
    elif facts.counts is None:
        said = "the data does not tell how many training examples each class has"
        yield Problem(said, field, _by_class(field, facts))


def _check_names(field: str, weights: Mapping[str, float], classes: tuple[str, ...]) -> Iterator[Problem]:
    for name in weights:
        if name not in classes:
            near = get_close_matches(name, classes, n=1)
            help = f"did you mean `{near[0]}`?" if near else f"the classes are {_listed(classes)}"
            yield Problem(f"`{field}` names `{name}`, which is none of the data's classes", field, help, "E208")
    missing = [name for name in classes if name not in weights]
    if missing:
        help = "every class needs a weight; 1.0 leaves its loss as it is"
        yield Problem(f"`{field}` leaves out {_listed(missing)}", field, help, "E205")


def _counted(facts: DataFacts, count: int) -> Iterator[list[str]]:
    """Yield the names of the classes with this many training examples, if there are any."""
    if facts.classes is not None and facts.counts is not None:
        found = [name for name, each in zip(facts.classes, facts.counts, strict=True) if each == count]
        if found:
            yield found


def _by_class(field: str, facts: DataFacts) -> str:
    assert facts.classes
    return f'give the weights by class: {field} = {{"{facts.classes[0]}" = 1.0, ...}}'


def _listed(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more
