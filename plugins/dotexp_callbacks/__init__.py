"""Callbacks: stopping early, keeping the best, clipping, accumulating, averaging weights, and mixing images."""

from __future__ import annotations

from collections.abc import Sequence

from dotexp import CallbackFacts, Component, Params, hookimpl

from dotexp_callbacks import params

DOTEXP_API = 1

_MIXES = CallbackFacts(inputs="images", tasks=("classification", "multilabel"))


@hookimpl
def dotexp_components() -> Sequence[Component]:
    """Return what the plugin offers."""
    home = "dotexp_callbacks"
    return [
        Component(
            "callback", "early_stopping", params.EarlyStoppingParams, f"{home}.best:EarlyStopping",
            check=params.check_monitor,
        ),
        Component("callback", "keep_best", params.KeepBestParams, f"{home}.best:KeepBest", check=params.check_monitor),
        Component("callback", "clip", params.ClipParams, f"{home}.clip:build"),
        Component("callback", "accumulate", params.AccumulateParams, f"{home}.accumulate:build", _accumulated),
        Component("callback", "ema", params.EmaParams, f"{home}.ema:AveragedWeights"),
        Component("callback", "mixup", params.MixupParams, f"{home}.mix:mixup", _MIXES),
        Component("callback", "cutmix", params.CutmixParams, f"{home}.mix:cutmix", _MIXES),
    ]  # fmt: skip


def _accumulated(accumulate: Params) -> CallbackFacts:
    assert isinstance(accumulate, params.AccumulateParams)
    return CallbackFacts(batches_per_step=accumulate.batches)
