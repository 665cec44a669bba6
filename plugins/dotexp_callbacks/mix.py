"""mixup and CutMix by torchvision; random numbers come from the step's seed."""

from __future__ import annotations

from dataclasses import replace

import torch
from dotexp.sdk.callback import Callback, Training
from dotexp.sdk.data import Batch
from torchvision.transforms.v2 import CutMix, MixUp

from dotexp_callbacks.params import CutmixParams, MixupParams


class Mix(Callback):
    """Mixes a batch's images (B, C, H, W) and its labels, which become class probabilities (B, classes)."""

    def __init__(self, kind: type[MixUp | CutMix], alpha: float, p: float) -> None:
        self._kind = kind
        self._alpha = alpha
        self._p = p
        self._mix: MixUp | CutMix | None = None

    def stage_started(self, training: Training) -> None:
        """Build the transform for the number of classes."""
        self._mix = self._kind(alpha=self._alpha, num_classes=training.facts.outputs)

    def change_batch(self, batch: Batch) -> Batch:
        """Mix the batch, with probability `p`."""
        if self._mix is None or (self._p < 1 and torch.rand(()).item() >= self._p):
            return batch
        (images,) = batch.inputs
        images, shares = self._mix(images, batch.targets)
        return replace(batch, inputs=(images,), targets=shares)


def mixup(params: MixupParams) -> Callback:
    """Build mixup."""
    return Mix(MixUp, params.alpha, params.p)


def cutmix(params: CutmixParams) -> Callback:
    """Build CutMix."""
    return Mix(CutMix, params.alpha, params.p)
