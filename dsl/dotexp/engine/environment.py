"""What a run ran on: enough to tell whether another machine can be expected to give the same bits."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from dotexp.engine.build.devices import device_name
from dotexp.language.diagnostics import FORMAT_VERSION
from dotexp.planning.plan import Plan

PACKAGES = ("dotexp", "torch", "torchvision", "torchmetrics", "numpy", "safetensors")


def versions(plugins: Mapping[str, str]) -> dict[str, str]:
    """Versions of Python, of the packages that numbers depend on, and of the plugins as given."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "torch": str(torch.__version__), **plugins}  # torch's own says which build it is, too


def environment(plan: Plan, device: torch.device | None, plugins: Mapping[str, str]) -> dict[str, Any]:
    """Describe the machine and the run on it, in JSON values; `device` is None where none could be had."""
    runtime = plan.runtime
    return {
        "format_version": FORMAT_VERSION,
        "versions": versions(plugins),
        "platform": platform.platform(),
        "cpu": platform.processor() or platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": str(device) if device is not None else None,
        "device_name": device_name(device) if device is not None else None,
        "threads": torch.get_num_threads(),
        "workers": runtime.workers,
        "precision": str(runtime.precision),
        "seed": plan.seed,
        "data_fingerprint": plan.facts.fingerprint,
    }
