"""Rewrites: faster ways to the same bits. A rule decides, with its reason; the engine performs what was decided."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from dotexp.experiment.experiment import RewriteName
from dotexp.planning.plan import Rewrite, StagePlan
from dotexp.planning.rewrites.async_loss_check import async_loss_check
from dotexp.planning.rewrites.facts import StageFacts
from dotexp.planning.rewrites.gather_epoch import gather_epoch

Rule = Callable[[StagePlan, StageFacts], Rewrite]

RULES: tuple[Rule, ...] = (gather_epoch, async_loss_check)


def decide(stage: StagePlan, facts: StageFacts, without: Collection[RewriteName]) -> tuple[Rewrite, ...]:
    """Ask every rule about a stage; those in `without` do not apply."""
    return tuple(_switched(rule(stage, facts), without) for rule in RULES)


def _switched(rewrite: Rewrite, without: Collection[RewriteName]) -> Rewrite:
    if rewrite.name not in without:
        return rewrite
    return replace(rewrite, applies=False, reason=f"turned off by runtime(without = [{rewrite.name}])")
