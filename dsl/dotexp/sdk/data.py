"""The parts of a data set as the engine wants them: batches of tensors in a given order. Needs torch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dotexp.components.facts import DataFacts
from dotexp.sdk.seeds import Draw
from dotexp.stop_signals import stop_signals


@dataclass(frozen=True)
class Batch:
    """Inputs of the model, each (B, …), and targets (B,) or (B, outputs)."""

    inputs: tuple[Tensor, ...]
    targets: Tensor


class Part(Protocol):
    """The training, validation or test part of a data set."""

    def __len__(self) -> int:
        """Count the examples."""
        ...

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Yield the examples `order` (int64, on the CPU) names, in that order, `batch_size` at a time, on `device`.

        The last batch may be smaller. `draw` seeds augmentation by example; None means none (validation).
        """
        ...


@runtime_checkable
class Shuffling(Protocol):
    """A part that shuffles itself, since an order of all its examples would not fit into memory beside the rest."""

    def order(self, seed: int) -> Iterator[Tensor]:
        """Yield an epoch's order, every example once, in pieces (int64, on the CPU): a function of the seed alone."""
        ...


@runtime_checkable
class Named(Protocol):
    """A part whose examples have names, such as an image's path, in the part's order; for reports."""

    @property
    def names(self) -> Sequence[str]:
        """Each example's name."""
        ...


@runtime_checkable
class Augmentable(Protocol):
    """A part that says whether a draw augments its examples; for test-time augmentation of the validation part."""

    @property
    def augmentable(self) -> bool:
        """Whether `batches` with a draw gives other inputs than without."""
        ...


@runtime_checkable
class Exportable(Protocol):
    """A model that has another form for export: the same outputs, and no shape that the data decides."""

    def exportable(self) -> nn.Module:
        """Return that form, in evaluation mode, on the CPU."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A model that looks at the training part before the first step, such as one that holds who rated what.

    What it learns goes into its buffers, whose shapes follow from the parameters and the data's facts: they are saved
    with the weights, so that a run that is resumed, or predicts, has them without the data.
    """

    def prepare(self, train: Part) -> None:
        """Fill the buffers, on the CPU."""
        ...


@runtime_checkable
class RankingMetric(Protocol):
    """A metric that calls the network itself, to rank items for each user, rather than take outputs and targets."""

    def evaluate_ranking(self, predict: Callable[[tuple[Tensor, ...]], Tensor], train: Part, part: Part) -> float:
        """Return the metric over `part`.

        `predict` maps inputs on the CPU to activated outputs; `train` is the training set, whose items are not ranked
        for the users who rated them there.
        """
        ...


class Data(Protocol):
    """What a data builder returns: the facts, and the parts by name (`train`, `valid`, `test`)."""

    facts: DataFacts

    def part(self, name: str) -> Part:
        """Return a part; raises KeyError where the data has no such part."""
        ...


@runtime_checkable
class Identified(Protocol):
    """Data that knows its examples again in another stage's data, so that none trains on what another holds out."""

    def identities(self, part: str) -> NDArray[np.uint64]:
        """Return a number for each example of a part, in its order: equal for one example, whatever data it is in."""
        ...


def hashed(identities: Iterable[str]) -> NDArray[np.uint64]:
    """Return numbers for identities, such as the paths of files: 64 bits of BLAKE2b."""
    digests = (blake2b(one.encode(errors="surrogateescape"), digest_size=8).digest() for one in identities)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class Piece:
    """Consecutive inputs of `predict`: a row that names each, and the batch of those that could be encoded.

    A row with an `error`, which says why, has no place in `inputs`; those are empty where every row has one.
    """

    rows: Sequence[Mapping[str, Any]]
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Encoded:
    """Inputs of `predict`, encoded: a row of JSON values that names each, and the batches in the same order.

    `augmented`, where the data can be augmented, yields the batches as a training epoch's draw would augment them.
    `pieces` yields rows and batches together, from the input of a number on, 0 for the first: one that cannot be
    encoded is a row with an `error`. `total` counts the inputs without encoding them. `errors_as_rows` says that an
    input that cannot be encoded keeps no other from being answered; else it ends the prediction.
    """

    rows: Iterable[dict[str, Any]]
    batches: Iterator[tuple[Tensor, ...]]
    augmented: Callable[[Draw], Iterator[tuple[Tensor, ...]]] | None = None
    pieces: Callable[[int], Iterator[Piece]] | None = None
    total: Callable[[], int] | None = None
    errors_as_rows: bool = False


@dataclass(frozen=True)
class Trained:
    """A run's trained model, as the functions that answer queries take it.

    `model` is in evaluation mode; `scores` turns batches of its inputs into activated outputs (B,) or (B, outputs) on
    the CPU; `vocabulary` is what `DataFacts.vocabulary` held when the run was made. `open_data` opens the run's data,
    and raises UsageError where it is no longer to be had or is not what it was.
    """

    model: nn.Module
    scores: Callable[[Iterator[tuple[Tensor, ...]]], Iterator[Tensor]]
    vocabulary: Mapping[str, Any]
    open_data: Callable[[], Data]


class TensorPart:
    """A part held in memory as tensors.

    `inputs` are the model's inputs, each (N, …), `targets` (N,) or (N, …). `prepare` maps a batch's inputs on the
    device to what the model takes (say bytes to floats).
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        targets: Tensor,
        prepare: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] | None = None,
    ) -> None:
        self._inputs = tuple(inputs)
        self._targets = targets
        self._prepare = prepare

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of all examples, as they were given."""
        return self._inputs

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Gather each batch by itself."""
        for rows in torch.split(order, batch_size):
            yield self._batch([tensor[rows].to(device, non_blocking=True) for tensor in self._columns()])

    def gathered_batches(self, order: Tensor, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Yield the same batches, bit for bit, as views of columns that are gathered for many batches at once."""
        row = sum(tensor[:1].nbytes for tensor in self._columns())
        batches = max(1, _GATHERED // max(1, row * batch_size))
        for piece in torch.split(order, batches * batch_size):
            gathered = [tensor[piece].to(device, non_blocking=True) for tensor in self._columns()]
            for columns in zip(*(torch.split(tensor, batch_size) for tensor in gathered), strict=True):
                yield self._batch([_aligned(column) for column in columns])

    def _columns(self) -> tuple[Tensor, ...]:
        return (*self._inputs, self._targets)

    def _batch(self, columns: Sequence[Tensor]) -> Batch:
        inputs = tuple(columns[:-1])
        return Batch(inputs if self._prepare is None else self._prepare(inputs), columns[-1])


_GATHERED = 1 << 26  # bytes


def _aligned(view: Tensor) -> Tensor:
    """Copy a view that does not begin where an allocation might: rounding may depend on the alignment."""
    return view if view.data_ptr() % (64 if view.device.type == "cpu" else 256) == 0 else view.clone()


_T = TypeVar("_T")


def read_in_workers(dataset: Dataset[_T], chunks: Sequence[Any], workers: int) -> Iterator[_T]:
    """Yield `dataset[chunk]` for every chunk, in order, made by `workers` processes.

    A Ctrl-C, SIGTERM or SIGHUP to all of a run's processes leaves the workers at work, so that the run can finish its
    step and save: torch would have SIGTERM end a worker, and the run with it. No random number of the caller's is
    drawn.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=chunks,
        num_workers=workers,
        generator=torch.Generator(),  # it draws a seed for the workers
        worker_init_fn=_heed_as_before,
    )
    if os.name == "nt":  # nothing is inherited there
        return iter(loader)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())  # a worker hears nothing until its handlers stand
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heed_as_before(worker: int) -> None:
    for number in stop_signals():
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)
    if os.name != "nt":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())
