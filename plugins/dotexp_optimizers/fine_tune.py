"""Stages that fine-tune a pretrained body. No torch."""

from __future__ import annotations

from typing import Annotated

from dotexp import Params, Positional
from pydantic import Field

_STAGES = """\
stage fine_tune_head {{
  freeze body except norm
  fit one_cycle(epochs = {freeze_epochs}, lr = slice({head_lr!r}), pct_start = 0.99)
}}

stage fine_tune_all {{
  unfreeze
  fit one_cycle(epochs = {epochs}, lr = slice({first_lr!r}, {last_lr!r}), pct_start = 0.3, div = 5)
}}
"""


class FineTuneParams(Params):
    """fastai's fine_tune: the head alone first, then everything at half the rate, earlier groups slower."""

    epochs: Annotated[int, Positional()] = Field(ge=1, le=100_000, description="epochs with everything trained")
    lr: Annotated[float, Positional()] = Field(
        2e-3, ge=1e-12, le=1e4, description="peak learning rate of the head in the first stage"
    )
    freeze_epochs: int = Field(1, ge=1, le=100_000, description="epochs with the body frozen")
    lr_mult: float = Field(
        100.0, ge=1, le=1e9, description="how many times slower than the head the first group is in the second stage"
    )


def fine_tune(params: FineTuneParams) -> str:
    """Write the two stages out, every number so that it reads back the same."""
    half = params.lr / 2
    return _STAGES.format(
        freeze_epochs=params.freeze_epochs,
        head_lr=params.lr,
        epochs=params.epochs,
        first_lr=half / params.lr_mult,
        last_lr=half,
    )
