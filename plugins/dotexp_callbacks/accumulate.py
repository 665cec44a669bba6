"""Gradient accumulation."""

from __future__ import annotations

from dotexp.sdk.callback import Callback

from dotexp_callbacks.params import AccumulateParams


def build(params: AccumulateParams) -> Callback:
    """Build a callback without hooks: the number of batches is in the plan, and the training loop accumulates."""
    return Callback()
