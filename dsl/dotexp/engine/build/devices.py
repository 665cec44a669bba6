"""The machine: which device a run takes, how many threads, which numbers, which random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch

from dotexp.experiment.experiment import Device, Precision, Runtime
from dotexp.language.diagnostics import UsageError


def choose_device(device: Device) -> torch.device:
    """Take the device asked for; `auto` takes CUDA, else MPS, else the CPU. Raises UsageError where it is not there."""
    available = _available()
    if device is Device.auto:
        return torch.device(str(available[0]))
    if device not in available:
        names = " or ".join(f"`{name}`" for name in (*reversed(available), Device.auto))
        raise UsageError(f"device `{device}` is not available here: take {names}")
    return torch.device(str(device))


def planned_device(device: Device) -> Device:
    """Return the device that a run would take; one that is asked for is taken at its word, be it there or not."""
    return _available()[0] if device is Device.auto else device


@contextmanager
def machine(runtime: Runtime, override: Device | None = None) -> Iterator[torch.device]:
    """Set the machine up for a run and yield its device; afterwards everything global is as it was.

    That is: threads on the CPU, cuDNN's choice of algorithms (the deterministic ones, whatever the shapes), and the
    state of the random number generators.
    """
    device = choose_device(override or runtime.device)
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            if runtime.threads is not None:
                torch.set_num_threads(runtime.threads)
            cudnn.deterministic, cudnn.benchmark = True, False
            yield device
        finally:
            torch.set_num_threads(threads)
            cudnn.deterministic, cudnn.benchmark = flags


@contextmanager
def kept_random_state(device: torch.device | None = None) -> Iterator[None]:
    """Leave the random number generators of torch, Python and numpy as they were before."""
    devices = [torch.cuda.current_device()] if device is not None and device.type == "cuda" else []
    plain, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(legacy)


def autocast(device: torch.device, precision: Precision) -> Callable[[], AbstractContextManager[object]]:
    """Return what to enter around a forward pass: nothing for f32, autocast for bf16 and f16."""
    if precision is Precision.f32:
        return nullcontext
    kind = torch.bfloat16 if precision is Precision.bf16 else torch.float16
    return lambda: torch.autocast(device.type, kind)


def seeder(device: torch.device) -> Callable[[int], None]:
    """Return a function that seeds the generators which a step on this device draws from."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        generators.append(torch.cuda.default_generators[device.index or torch.cuda.current_device()])
    if device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    reseed = [generator.manual_seed for generator in generators]

    def seed_all(seed: int) -> None:
        for each in reseed:
            each(seed)

    return seed_all


def device_name(device: torch.device) -> str:
    """Name the device for people: the GPU's own name, or the kind."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _available() -> list[Device]:
    """Devices that this machine has, the one to prefer first."""
    found = [Device.cuda] if torch.cuda.is_available() else []
    found += [Device.mps] if torch.backends.mps.is_available() else []
    return [*found, Device.cpu]
