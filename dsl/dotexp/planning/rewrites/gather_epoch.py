"""Rewrite `gather_epoch`: the columns of many batches gathered at once, and cut into batches."""

from __future__ import annotations

from dotexp.experiment.experiment import RewriteName
from dotexp.planning.plan import Rewrite, StagePlan
from dotexp.planning.rewrites.facts import StageFacts


def gather_epoch(stage: StagePlan, facts: StageFacts) -> Rewrite:
    """Gather an epoch's examples in one operation a column, where the training set is in memory."""
    if not facts.in_memory:
        return Rewrite(RewriteName.gather_epoch, False, "the training set is read from files, batch by batch")
    reason = "the training set is in memory: one operation a column gathers up to 64 MiB of batches"
    return Rewrite(RewriteName.gather_epoch, True, reason)
