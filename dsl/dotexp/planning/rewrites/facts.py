"""What the rules of rewrites may ask beside a stage's plan."""

from __future__ import annotations

from dataclasses import dataclass

from dotexp.experiment.experiment import Device, Precision


@dataclass(frozen=True)
class StageFacts:
    """The machine, and what opening a stage's data and optimizer tells.

    `in_memory` says that the training set is held as tensors; `optimizer_skips` that the optimizer's kernels leave the
    weights alone in a step that is marked as bad on the device.
    """

    device: Device
    precision: Precision
    in_memory: bool
    optimizer_skips: bool
