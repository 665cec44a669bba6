"""Layers, learning-rate groups, freeze statements and learning rates: names that must match the model's."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp.components.component import Use
from dotexp.components.facts import BodyFacts, LayerGroup
from dotexp.experiment.experiment import (
    Freeze,
    FreezeBefore,
    FreezeLayers,
    Kept,
    LayerSpan,
    Model,
    Unfreeze,
    frozen_layers,
    layers_of,
)
from dotexp.language.diagnostics import Collector, closest
from dotexp.language.source import Span
from dotexp.language.syntax_tree import Freeze as FreezeStatement
from dotexp.language.syntax_tree import GroupItem, Groups, LayerItem, Word
from dotexp.language.wording import counted


def make_model(
    body: Use | None, head: Use | None, whole: Use | None, groups: Groups | None, known: bool, collector: Collector
) -> tuple[Model | None, bool]:
    """Put the model together, with the groups written or those that the body publishes.

    Also returns whether the groups are right: `known` is false where a statement of groups could not be understood.
    """
    main = body or whole
    if main is None:
        return None, False
    published = main.facts_as(BodyFacts)
    layers = (*published.layers, "head") if body else published.layers or ("model",)
    own = published.groups or _default_groups(body, layers)
    if groups is not None:
        own, known = _groups(groups, layers, collector)
    return Model(body=body, head=head, whole=whole, layers=layers, groups=own), known


def _default_groups(body: Use | None, layers: tuple[str, ...]) -> tuple[LayerGroup, ...]:
    if body is None:
        return (LayerGroup("model", layers),)
    return LayerGroup("body", layers[:-1]), LayerGroup("head", layers[-1:])


def _groups(groups: Groups, layers: tuple[str, ...], collector: Collector) -> tuple[tuple[LayerGroup, ...], bool]:
    """The groups as written, of the layers that exist, and whether they are right."""
    made = []
    sound = True
    for number, item in enumerate(groups.items, 1):
        found = [_layer_names(each, layers, (), collector) for each in item.layers]
        sound = sound and None not in found
        names = [name for each in found for name in each or ()]
        made.append(LayerGroup(_group_name(item, names, number), tuple(names)))
    sound = sound and _hold_every_layer(made, groups, layers, collector)
    for number, group in enumerate(made):
        if any(group.name == other.name for other in made[:number]):
            collector.report("E202", f"the group `{group.name}` stands twice", groups.items[number].span)
        if sound and group.name in layers and group.layers != (group.name,):
            help = "a group named as a layer holds that layer alone"
            collector.report("E306", f"`{group.name}` is the name of a layer", groups.items[number].span, help=help)
    return tuple(made), sound


def _hold_every_layer(
    made: Sequence[LayerGroup], groups: Groups, layers: tuple[str, ...], collector: Collector
) -> bool:
    listed = [layer for group in made for layer in group.layers]
    if listed == list(layers):
        return True
    twice = [layer for layer in layers if listed.count(layer) > 1]
    missing = [layer for layer in layers if layer not in listed]
    fault = (
        f"`{twice[0]}` stands in two places" if twice
        else f"missing: {', '.join(missing)}" if missing
        else "their order is not the model's"
    )  # fmt: skip
    message = f"groups hold every layer once, in order: {fault}"
    collector.report("E306", message, groups.span, help=f"layers: {', '.join(layers)}")
    return False


def _group_name(item: GroupItem, names: Sequence[str], number: int) -> str:
    if item.name is not None:
        return item.name.text
    return names[0] if len(names) == 1 and names[0] else f"group_{number}"


def make_freeze(statement: FreezeStatement | None, model: Model, collector: Collector) -> Freeze | None:
    """Check a freeze statement's names against the model; None, with the faults reported, where one matches nothing."""
    if statement is None or statement.unfreeze:
        return Unfreeze()
    kept = _kept(statement.kept, collector)
    if statement.before is not None:
        if statement.before.text not in model.layers:
            unknown_layer(statement.before, model.layers, (), collector)
            return None
        return FreezeBefore(layer=statement.before.text, kept=kept)
    sound = [_layer_names(item, model.layers, model.groups, collector) is not None for item in statement.items]
    if not all(sound):
        return None
    spans = (LayerSpan(first=i.first.text, last=i.last.text if i.last else None) for i in statement.items)
    return FreezeLayers(items=tuple(spans), kept=kept)


def _kept(word: Word | None, collector: Collector) -> Kept | None:
    if word is None:
        return None
    if word.text in list(Kept):
        return Kept(word.text)
    choices = [str(kept) for kept in Kept]
    help = f"behind `except` stands one of: {', '.join(choices)}"
    near = closest(word.text, choices)
    collector.report("E208", f"unknown name `{word.text}`", word.span, suggestion=near, help=help)
    return None


def _layer_names(
    item: LayerItem, layers: tuple[str, ...], groups: tuple[LayerGroup, ...], collector: Collector
) -> tuple[str, ...] | None:
    if item.last is not None:
        unknown = [word for word in (item.first, item.last) if word.text not in layers]
        for word in unknown:
            unknown_layer(word, layers, (), collector)
        if unknown:
            return None
        if layers.index(item.first.text) > layers.index(item.last.text):
            message = f"`{item.first.text}` comes after `{item.last.text}`"
            turned = f"{item.last.text}..{item.first.text}"
            collector.report("E306", message, item.span, suggestion=turned, help=f"layers: {', '.join(layers)}")
            return None
    span = LayerSpan(first=item.first.text, last=item.last.text if item.last else None)
    try:
        return layers_of(span, layers, groups)
    except KeyError:
        unknown_layer(item.first, layers, groups, collector)
        return None


def unknown_layer(word: Word, layers: Sequence[str], groups: Sequence[LayerGroup], collector: Collector) -> None:
    """Report a name that is neither a layer nor a group."""
    names = [group.name for group in groups if group.name not in layers]
    body = ["body"] if groups and "head" in layers and "body" not in names else []
    what = "layer or group" if groups else "layer"
    help = f"layers: {', '.join(layers)}" + (f"; groups: {', '.join(names)}" if names else "")
    near = closest(word.text, [*layers, *names, *body])
    collector.report("E301", f"no {what} is called `{word.text}`", word.span, suggestion=near, help=help)


def training_groups(freeze: Freeze, model: Model) -> tuple[str, ...]:
    """Groups in which something may train: those with a layer that is not frozen, or all where norms are kept."""
    frozen = frozen_layers(freeze, model.layers, model.groups)
    kept = not isinstance(freeze, Unfreeze) and freeze.kept is not None
    return tuple(group.name for group in model.groups if kept or not frozen.issuperset(group.layers))


def check_rates(rates: object, freeze: Freeze | None, model: Model, span: Span | None, collector: Collector) -> None:
    """Check a list's or a map's learning rates against the groups; which groups train is unknown without `freeze`."""
    names = [group.name for group in model.groups]
    help = f"groups: {', '.join(names)}"
    if isinstance(rates, tuple) and len(rates) != len(names):
        message = f"{counted(len(rates), 'learning rate')} for {counted(len(names), 'group')}"
        collector.report("E302", message, span, help=f"{help}; a list has one for each, frozen ones included")
    if isinstance(rates, dict):
        for name in rates:
            if name not in names:
                near = closest(name, names)
                message = f"no group is called `{name}`"
                collector.report("E301", message, span, help=help + (f"; did you mean `{near}`?" if near else ""))
        training = training_groups(freeze, model) if freeze is not None else ()
        missing = [name for name in training if name not in rates]
        if missing and all(name in names for name in rates):
            message = f"no learning rate for {', '.join(missing)}"
            collector.report("E307", message, span, help="a map names every group that trains")


def check_sizes(rates: object, groups: Sequence[str], span: Span | None, collector: Collector) -> None:
    """W511 for learning rates that are probably not meant: very high, or falling from the first group to the last."""
    sizes = _rates(rates, groups)
    if sizes and max(sizes) > _HIGHEST:
        message = f"a learning rate of {max(sizes):g} is far above the usual 1e-6 to 0.1"
        collector.report("W511", message, span, help="most trainings diverge at it; `spec-runner lr-find` suggests one")
    wrong_length = isinstance(rates, tuple) and len(rates) != len(groups)
    if sizes and not wrong_length and sizes[0] > sizes[-1] and list(sizes) == sorted(sizes, reverse=True):
        message = f"the learning rate falls from {sizes[0]:g} for the first group to {sizes[-1]:g} for the last"
        help = "the early layers of a trained body need the lowest rates: `slice(low, high)`"
        collector.report("W511", message, span, help=help)


_HIGHEST = 1.0
"""Learning rate above which a spec is asked about it."""


def _rates(rates: object, groups: Sequence[str]) -> Sequence[float]:
    """Return the rates of the groups in their order, as far as they are known without the data."""
    match rates:
        case int() | float():
            return (rates,)
        case tuple():
            return rates
        case dict():
            return tuple(rates[name] for name in groups if name in rates)
        case Use():
            try:
                return tuple(rates.build(max(len(groups), 2)))
            except Exception:  # a plugin's builder; where it fails, planning says so
                return ()
    return ()
