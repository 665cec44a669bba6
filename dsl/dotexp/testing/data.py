"""Checks of data. Needs torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from dotexp.components.bases import DataParams
from dotexp.components.builders import DataContext
from dotexp.components.component import load_attribute
from dotexp.components.facts import DataFacts, DataSignature
from dotexp.language.diagnostics import Problem
from dotexp.sdk.data import Batch, Data, Encoded, Named, Part
from dotexp.sdk.seeds import Draw
from dotexp.testing.trial import Check, Finding, Skip, Trial

_SEED = 1
_MOST = 40
"""Examples that are read of a part."""
_DRAW = Draw(_SEED, "checked", 0)
_CPU = torch.device("cpu")
_TARGETS = (torch.float32, torch.int64)


def _open(trial: Trial) -> Data:
    data: Data = trial.use.build(DataContext(_SEED, {}))
    return data


def _parts(data: Data) -> Iterator[tuple[str, Part]]:
    for name in ("train", "valid", *(["test"] if data.facts.test else [])):
        yield name, data.part(name)


def _order(part: Part) -> Tensor:
    return torch.arange(min(len(part), _MOST))


def _read(part: Part, order: Tensor, size: int, draw: Draw | None = None, workers: int = 0) -> Batch:
    """Examples in an order, read in batches of a size, as one batch."""
    batches = list(part.batches(order, size, draw, _CPU, workers))
    columns = zip(*(batch.inputs for batch in batches), strict=True)
    return Batch(tuple(torch.cat(column) for column in columns), torch.cat([batch.targets for batch in batches]))


def _same(first: Batch, second: Batch) -> bool:
    pairs = zip((*first.inputs, first.targets), (*second.inputs, second.targets), strict=True)
    return all(one.dtype == other.dtype and torch.equal(one, other) for one, other in pairs)


def opens(trial: Trial) -> Iterator[Finding]:
    """`facts`, and a part of each size that they say; a KeyError for a part that there is none of."""
    data = _open(trial)
    if not isinstance(getattr(data, "facts", None), DataFacts):
        yield Problem(
            "what its builder returned has no `facts`, a DataFacts", help="return an object with `facts` and `part`"
        )
        return
    facts = data.facts
    for name, part in _parts(data):
        if len(part) != getattr(facts, name):
            yield Problem(f"its facts say {getattr(facts, name)} examples in `{name}`, and there are {len(part)}")
    try:
        data.part("no_such_part")
        yield Problem("`part` returned something for a name that it does not have", help="raise KeyError")
    except KeyError:
        pass
    declared = trial.use.facts_as(DataSignature).task
    if declared is not None and declared != facts.task:
        yield Problem(
            f"its declared task is {declared}, and what it opens is {facts.task}", help="say the same in both"
        )
    if not facts.fingerprint:
        help = "a checksum of what was read: a run that is resumed must find the same data"
        yield Problem("its facts have no fingerprint", help=help)


def batches_are_tensors(trial: Trial) -> Iterator[Finding]:
    """As many inputs as targets, targets in float32 or int64, finite, on the device asked for."""
    data = _open(trial)
    for name, part in _parts(data):
        batch = _read(part, _order(part), 7)
        sizes = [len(tensor) for tensor in (*batch.inputs, batch.targets)]
        if not batch.inputs or set(sizes) != {len(_order(part))}:
            help = "yield every example that `order` names, each tensor with the examples first"
            yield Problem(f"{len(_order(part))} examples of `{name}` came as tensors of {sizes} rows", help=help)
            return
        if batch.targets.dtype not in _TARGETS:
            help = "int64 for classes, float32 for numbers and several labels"
            yield Problem(f"its targets in `{name}` are {str(batch.targets.dtype).removeprefix('torch.')}", help=help)
            return
        for tensor in (*batch.inputs, batch.targets):
            if tensor.is_floating_point() and not tensor.isfinite().all():
                help = "refuse missing values with a ComponentError, or fill them in"
                yield Problem(f"a batch of `{name}` holds numbers that are not finite", help=help)
                return


def targets_are_what_the_facts_say(trial: Trial) -> Iterator[Finding]:
    """Classes within their number and as often as counted; numbers within `range` in training, as wide as `outputs`."""
    data = _open(trial)
    facts, part = data.facts, data.part("train")
    every = torch.cat([batch.targets for batch in part.batches(torch.arange(len(part)), 4096, None, _CPU)])
    width = every.shape[1] if every.ndim > 1 else 1
    if facts.task == "classification":
        count = len(facts.classes or ())
        if facts.outputs != count:
            yield Problem(f"its facts have {count} classes and {facts.outputs} outputs", help="outputs=len(classes)")
        elif every.ndim != 1 or every.dtype != torch.int64:
            yield Problem(f"its targets are {tuple(every.shape)} in {every.dtype}", help="class numbers (N,) in int64")
        elif every.min() < 0 or every.max() >= count:
            yield Problem(f"its targets run from {every.min()} to {every.max()}, of {count} classes")
        elif facts.counts is not None and tuple(torch.bincount(every, minlength=count).tolist()) != facts.counts:
            yield Problem(f"its facts count {facts.counts} examples of the classes, and there are others")
    elif width != facts.outputs:
        yield Problem(
            f"its targets are {width} wide, and its facts say {facts.outputs} outputs", help="say the same in both"
        )
    elif facts.range is not None and (every.min().item(), every.max().item()) != facts.range:
        found = f"{every.min().item():g} to {every.max().item():g}"
        yield Problem(f"its facts say targets from {facts.range[0]:g} to {facts.range[1]:g}, and they run from {found}")


def keeps_the_order(trial: Trial) -> Iterator[Finding]:
    """Examples come as `order` names them, whatever the size of a batch and the number of workers."""
    for name, part in _parts(_open(trial)):
        order = _order(part)
        whole = _read(part, order, len(order))
        for size in (1, 7):
            if not _same(whole, _read(part, order, size)):
                help = "an example is a function of its number, not of its batch"
                yield Problem(f"examples of `{name}` differ in batches of {len(order)} and of {size}", help=help)
                return
        back = _read(part, order.flip(0), 7)
        if not _same(whole, Batch(tuple(tensor.flip(0) for tensor in back.inputs), back.targets.flip(0))):
            help = "yield the examples that `order` names, in that order"
            yield Problem(f"examples of `{name}` in the opposite order are others", help=help)
            return


def does_not_depend_on_workers(trial: Trial) -> Iterator[Finding]:
    """The same batches from a worker process as from none, a draw's variations included."""
    part = _open(trial).part("train")
    order = _order(part)
    alone, helped = _read(part, order, 7, _DRAW), _read(part, order, 7, _DRAW, workers=1)
    if not _same(alone, helped):
        help = "seed an example's random numbers with `draw.example(number)`"
        yield Problem("batches differ with and without worker processes", help=help)


def varies_by_its_draw(trial: Trial) -> Iterator[Finding]:
    """The same draw gives the same examples, in whatever batches and order."""
    part = _open(trial).part("train")
    order = _order(part)
    first = _read(part, order, len(order), _DRAW)
    torch.manual_seed(_SEED)
    again = _read(part, order.flip(0), 7, _DRAW)
    if not _same(first, Batch(tuple(tensor.flip(0) for tensor in again.inputs), again.targets.flip(0))):
        help = "seed an example's random numbers with `draw.example(number)`: a resumed run draws them again"
        yield Problem("one draw gives other examples in other batches", help=help)


def opens_the_same_twice(trial: Trial) -> Iterator[Finding]:
    """Opened again it has the same facts and examples."""
    one, other = _open(trial), _open(trial)
    if one.facts != other.facts:
        names = [name for name, value in vars(one.facts).items() if getattr(other.facts, name) != value]
        yield Problem(
            f"opened twice, its facts differ in {', '.join(names)}", help="sort what is found, and seed by context.seed"
        )
        return
    for (name, first), (_, second) in zip(_parts(one), _parts(other), strict=True):
        if not _same(_read(first, _order(first), 7), _read(second, _order(second), 7)):
            help = "sort what is found, and split with dotexp.sdk.splits by context.seed"
            yield Problem(f"opened twice, it has other examples in `{name}`", help=help)
            return


def splits(trial: Trial) -> Iterator[Finding]:
    """Another `split_seed` splits otherwise, where there is one."""
    params = trial.use.params
    if not isinstance(params, DataParams) or "valid" not in type(params).model_fields:
        yield Skip("it has no parameter `valid`")
        return
    if not isinstance(params.model_dump().get("valid"), (int, float)):
        yield Skip("`valid` is not a number of examples to draw")
        return
    facts = [
        trial.use.replace(params=params.model_copy(update={"split_seed": seed})).build(DataContext(_SEED, {}))
        for seed in (5, 6, 7)
    ]
    first = [_read(each.part("valid"), _order(each.part("valid")), 7) for each in facts]
    if all(one.targets.shape == first[0].targets.shape and _same(one, first[0]) for one in first[1:]):
        help = "split by `split_seed`, or context.seed where it is None: dotexp.sdk.splits.random_split_rows"
        yield Problem("three split seeds hold out the same examples", help=help)


def vocabulary_is_json(trial: Trial) -> Iterator[Finding]:
    """`vocabulary` is JSON values, with text as keys: a run keeps it in a file."""
    vocabulary = dict(_open(trial).facts.vocabulary)
    try:
        read = json.loads(json.dumps(vocabulary, allow_nan=False))
    except (TypeError, ValueError) as error:
        yield Problem(f"its vocabulary is not JSON: {error}", help="lists, maps, text and finite numbers of Python")
        return
    if read != vocabulary:
        help = "take lists, not tuples, and text as the keys of maps: `encode` gets what was written"
        yield Problem("its vocabulary is another one once written as JSON and read", help=help)


def encodes(trial: Trial) -> Iterator[Finding]:
    """The encoder turns inputs of `predict` into what the model takes: a row each, one by one as together."""
    form = trial.use.component.inputs
    if form is None:
        yield Skip("it has no `inputs`, an InputForm, so `predict` takes no inputs of it")
        return
    data = _open(trial)
    part = data.part("valid")
    named = isinstance(part, Named)
    inputs: Sequence[Any] = trial.inputs or (list(part.names[:3]) if isinstance(part, Named) else [])
    if not inputs:
        help = f'inputs={{"{trial.use.name}": […]}}'
        yield Skip(f"no inputs of `predict` are known: give check_plugin some, {help}")
        return
    vocabulary = json.loads(json.dumps(dict(data.facts.vocabulary)))
    encode: Callable[[Sequence[Any]], Encoded] = load_attribute(form.encoder)(trial.use.params, vocabulary)

    def encoded(some: Sequence[Any]) -> tuple[list[dict[str, Any]], tuple[Tensor, ...]]:
        found = encode(some)
        batches = list(found.batches)
        return list(found.rows), tuple(torch.cat(column) for column in zip(*batches, strict=True))

    rows, tensors = encoded(inputs)
    example = _read(part, _order(part)[:1], 1).inputs
    if {len(rows), *map(len, tensors)} != {len(inputs)}:
        help = "a row and an example for each input, in their order"
        yield Problem(f"{len(inputs)} inputs gave {len(rows)} rows and tensors of {[*map(len, tensors)]}", help=help)
        return
    forms = [(tensor.dtype, tensor.shape[1:]) for tensor in tensors]
    if forms != [(tensor.dtype, tensor.shape[1:]) for tensor in example]:
        help = "encode as a batch's inputs are: the same tensors, kinds of numbers and shapes"
        yield Problem("what it encodes has another shape or kind of number than a batch of the data", help=help)
        return
    json.dumps(rows)
    alone = [encoded([one])[1] for one in inputs]
    if not all(
        torch.allclose(torch.cat(each), whole) for each, whole in zip(zip(*alone, strict=True), tensors, strict=True)
    ):
        yield Problem(
            "inputs are encoded otherwise one by one than together", help="encode each by itself and the vocabulary"
        )
    elif named and not trial.inputs:
        held = _read(part, torch.arange(len(inputs)), len(inputs)).inputs
        if not all(map(torch.equal, tensors, held)):
            yield Problem("the names of validation examples are encoded as other tensors than their batch has",
                          help="read and prepare both by one function")  # fmt: skip


DATA: tuple[Check, ...] = (
    opens, batches_are_tensors, targets_are_what_the_facts_say, keeps_the_order, does_not_depend_on_workers,
    varies_by_its_draw, opens_the_same_twice, splits, vocabulary_is_json, encodes,
)  # fmt: skip
