"""How much memory and time a stage may take: an estimate, and called one."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch

from dotexp.engine.build.datasets import DataStore
from dotexp.engine.build.devices import machine
from dotexp.engine.stage_run import StageRun, open_network, open_stage
from dotexp.engine.training.freezing import training_mode
from dotexp.planning.plan import Plan, StagePlan
from dotexp.sdk.data import Batch

_STATES = 2  # Adam keeps two numbers a trained parameter; others keep at most as many
_PROBED = 8
_QUICK = 2.0  # seconds


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak of a step, and seconds of the stage on this machine; None where it could not be told."""

    memory: int | None
    seconds: float | None

    def said(self) -> str:
        """Say it."""
        memory = "memory unknown" if self.memory is None else f"about {_bytes(self.memory)} for weights and a step"
        return f"{memory}, {'time unknown' if self.seconds is None else f'about {_time(self.seconds)} here'}"


def estimate(plan: Plan, stage: StagePlan, store: DataStore | None = None, whole: bool = True) -> Estimate:
    """Time a step's forward and backward pass here, and count the bytes that it keeps.

    Weights, gradients, the optimizer's state and what the backward pass keeps are counted; fragmentation, the data
    and the device's own needs are not. A few examples are timed first, and a whole batch only where that is quick.
    Validation is not timed. Opens no pretrained weights.
    """
    store = store or DataStore()
    with machine(plan.runtime) as device:
        network = open_network(plan, store, device, pretrained=False)
        opened = open_stage(plan, stage, network, store, device)
        training_mode(network, stage.frozen, stage.kept)
        size = min(_PROBED, stage.batch_size)
        seconds, batch = _timed(opened, size)
        if whole and seconds * stage.batch_size / size < _QUICK:
            size = stage.batch_size
            seconds, batch = _timed(opened, size)
        trained = [p for p in network.parameters() if p.requires_grad]
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
        states = sum(p.numel() * p.element_size() for p in trained) * (1 + _STATES)
        times = stage.batch_size / size
        batches = stage.steps * stage.batches_per_step
        return Estimate(int(weights + states + _saved_bytes(opened, batch) * times), seconds * times * batches)


def _timed(opened: StageRun, size: int) -> tuple[float, Batch]:
    """Seconds of a step on `size` examples, the quicker of two, and their batch."""
    batch = next(iter(opened.data.part("train").batches(torch.arange(size), size, None, opened.loop.machinery.device)))
    return min(_step_seconds(opened, batch) for _ in range(2)), batch


def _saved_bytes(opened: StageRun, batch: Batch) -> int:
    """Bytes that the forward pass keeps for the backward pass, beside the parameters."""
    sizes: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in opened.network.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _forward(opened, batch)
    return sum(sizes.values())


def _step_seconds(opened: StageRun, batch: Batch) -> float:
    start = perf_counter()
    _forward(opened, batch).backward()  # type: ignore[no-untyped-call]
    device = opened.loop.machinery.device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    opened.network.zero_grad(set_to_none=True)
    return perf_counter() - start


def _forward(opened: StageRun, batch: Batch) -> torch.Tensor:
    with opened.loop.machinery.cast():
        loss: torch.Tensor = opened.loss(opened.network(*batch.inputs), batch.targets)
    return loss


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
