"""Stages that fine-tune a pretrained body. No torch."""

from typing import Annotated

from dotexp import Component, ComponentTemplate, Params, Positional, StageTemplate
from pydantic import Field


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


def fine_tune(params: FineTuneParams) -> tuple[StageTemplate, ...]:
    """Return the two stages: the head's, whose norms in the body train, too, and that of all layers."""
    half = params.lr / 2
    head_rates = ComponentTemplate("slice", {"first": params.lr})
    all_rates = ComponentTemplate("slice", {"first": half / params.lr_mult, "second": half})
    head = {"epochs": params.freeze_epochs, "lr": head_rates, "pct_start": 0.99}
    every = {"epochs": params.epochs, "lr": all_rates, "pct_start": 0.3, "div": 5}
    return (
        StageTemplate("fine_tune_head", ComponentTemplate("one_cycle", head), freeze=("body",), keep="norm"),
        StageTemplate("fine_tune_all", ComponentTemplate("one_cycle", every)),
    )


COMPONENTS = (Component("stages", "fine_tune", FineTuneParams, f"{__name__}:fine_tune"),)
