"""The parts of a data set as the engine wants them: batches of tensors in a given order. Needs torch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dotexp.components import DataFacts
from dotexp.seeds import Draw


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
class Named(Protocol):
    """A part whose examples have names, such as an image's path, in the part's order; for reports."""

    @property
    def names(self) -> Sequence[str]:
        """Each example's name."""
        ...


class Data(Protocol):
    """What a data builder returns: the facts, and the parts by name (`train`, `valid`, `test`)."""

    facts: DataFacts

    def part(self, name: str) -> Part:
        """Return a part; raises KeyError where the data has no such part."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Inputs of `predict`, encoded: a row of JSON values that names each, and the batches in the same order.

    `augmented`, where the data can be augmented, yields the batches as a training epoch's draw would vary them.
    """

    rows: Sequence[dict[str, Any]]
    batches: Iterator[tuple[Tensor, ...]]
    augmented: Callable[[Draw], Iterator[tuple[Tensor, ...]]] | None = None


class TensorPart:
    """A part held in memory as tensors.

    `inputs` are the model's inputs, each (N, …), `targets` (N,) or (N, …). `prepare` maps a batch's inputs on the
    device to what the model takes (say bytes to floats). An epoch is gathered once and then cut into views.
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

    def batches(
        self, order: Tensor, batch_size: int, draw: Draw | None, device: torch.device, workers: int = 0
    ) -> Iterator[Batch]:
        """Gather the examples once and yield views of `batch_size` of them."""
        columns_held = (*self._inputs, self._targets)
        row = sum(tensor[:1].nbytes for tensor in columns_held)
        batches = max(1, _GATHERED // max(1, row * batch_size))
        for piece in torch.split(order, batches * batch_size):
            gathered = [tensor[piece].to(device, non_blocking=True) for tensor in columns_held]
            for columns in zip(*(torch.split(tensor, batch_size) for tensor in gathered), strict=True):
                inputs = columns[:-1] if self._prepare is None else self._prepare(columns[:-1])
                yield Batch(inputs, columns[-1])


_GATHERED = 1 << 26  # bytes
_STOPS = (signal.SIGINT, signal.SIGTERM)
_T = TypeVar("_T")


def read_in_workers(dataset: Dataset[_T], chunks: Sequence[Any], workers: int) -> Iterator[_T]:
    """Yield `dataset[chunk]` for every chunk, in order, made by `workers` processes.

    A Ctrl-C or SIGTERM to all of a run's processes leaves the workers at work, so that the run can finish its step
    and save: torch would have SIGTERM end a worker, and the run with it. No random number of the caller's is drawn.
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
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # a worker hears nothing until its handlers stand
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heed_as_before(worker: int) -> None:
    for number in _STOPS:
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)
    if os.name != "nt":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
