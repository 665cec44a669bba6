"""Builders of the samples. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from dotexp.components.builders import Body, DataContext
from dotexp.components.facts import DataFacts
from dotexp.sdk.data import TensorPart
from dotexp.sdk.seeds import derive
from dotexp.testing.samples import AnyModelParams, ImagesParams, SampleBodyParams, SampleHeadParams, Task

_CLASSES = ("a", "b", "c")
_VALID = 10
_WIDTH = 4


@dataclass(frozen=True)
class SampleData:
    """Facts and parts."""

    facts: DataFacts
    parts: Mapping[str, TensorPart]

    def part(self, name: str) -> TensorPart:
        """Return a part; raises KeyError where there is none of this name."""
        return self.parts[name]


def images(params: ImagesParams, context: DataContext) -> SampleData:
    """Draw images in 0..1, and labels that depend on their brightness."""
    generator = torch.Generator().manual_seed(derive(context.seed, "sample"))
    parts = {
        name: TensorPart(*_examples(params, count, generator))
        for name, count in (("train", params.examples), ("valid", _VALID))
    }
    targets = torch.cat([batch.targets for batch in _all(parts["train"])])
    classes = None if params.task is Task.regression else _CLASSES
    counts = torch.bincount(targets, minlength=len(_CLASSES)) if targets.dtype is torch.int64 else targets.sum(0)
    facts = DataFacts(
        task=params.task.value,
        train=params.examples,
        valid=_VALID,
        classes=classes,
        counts=tuple(int(each) for each in counts.tolist()) if classes else None,
        outputs=len(classes or "1"),
        range=(targets.min().item(), targets.max().item()) if classes is None else None,
        fingerprint=f"{params.task} {params.size} {params.examples} {context.seed}",
        vocabulary={"classes": list(_CLASSES)} if classes else {},
    )
    return SampleData(facts, parts)


def _examples(params: ImagesParams, count: int, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    pictures = torch.rand(count, 3, params.size, params.size, generator=generator)
    bright = torch.rand(count, len(_CLASSES), generator=generator)
    if params.task is Task.classification:
        return [pictures], torch.arange(count) % len(_CLASSES)
    return [pictures], (bright > 1 / 2).float() if params.task is Task.multilabel else bright[:, 0] * _WIDTH


def _all(part: TensorPart) -> Any:
    return part.batches(torch.arange(len(part)), len(part), None, torch.device("cpu"))


def body(params: SampleBodyParams) -> Body:
    """Build two convolutions."""

    def block(inputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, _WIDTH, 3, stride=2, padding=1), nn.BatchNorm2d(_WIDTH), nn.ReLU(), nn.Dropout(0.1)
        )

    module = nn.Sequential(block(3), block(_WIDTH))
    return Body(module, {"stem": module[0], "deep": module[1]}, _WIDTH)


def head(params: SampleHeadParams, features: int, outputs: int) -> nn.Module:
    """Build pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, outputs))


class AnyModel(nn.Module):
    """A linear layer over averages of every input (B, …), whatever its shape and kind of number."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(width, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs (B, outputs), or (B,) of one."""
        flat = [tensor.float().reshape(len(tensor), 1, -1) for tensor in inputs]
        sums = torch.stack([adaptive_avg_pool1d(each, self.width)[:, 0] for each in flat]).sum(0)
        outputs: Tensor = self.linear(sums / (1 + sums.abs().amax(1, keepdim=True)))
        return outputs if outputs.shape[1] > 1 else outputs[:, 0]


def any_model(params: AnyModelParams, facts: DataFacts) -> nn.Module:
    """Build a model for any data."""
    return AnyModel(params.width, facts.outputs)
