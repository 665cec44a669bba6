"""Rewrite `async_loss_check`: the loss checked for NaN on the device, and read once in 64 steps."""

from __future__ import annotations

from dotexp.experiment.experiment import Device, Precision, RewriteName
from dotexp.planning.plan import Rewrite, StagePlan
from dotexp.planning.rewrites.facts import StageFacts


def async_loss_check(stage: StagePlan, facts: StageFacts) -> Rewrite:
    """Check the loss without waiting for the device, where the optimizer's kernels can skip a bad step themselves."""
    name = RewriteName.async_loss_check
    if facts.device is not Device.cuda:
        return Rewrite(name, False, f"only on cuda: on {facts.device} every loss is read before its step")
    if facts.precision is Precision.f16:
        return Rewrite(name, False, "in f16 the loss scaler marks the steps to skip")
    if not facts.optimizer_skips:
        return Rewrite(name, False, f"`{stage.optimizer.name}` has no kernel that can skip a step")
    return Rewrite(name, True, "the device checks each loss and skips a bad step; losses are read every 64 steps")
