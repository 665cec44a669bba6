"""Heads: a body's feature maps (N, features, h, w) to the model's outputs (N, outputs)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from dotexp_vision.models.head_params import LinearParams, MlpParams, Pool

FASTAI_NORM_BIAS = 1e-3
"""Batch norm's first bias in fastai v2; v1 has 0."""


class GlobalPool(nn.Module):
    """Pool each feature map to a number: (N, C, h, w) to (N, C), or for `concat` maxima then averages, (N, 2C)."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """Pool the maps."""
        flat = maps.flatten(2)
        if self.pool is Pool.avg:
            return flat.mean(2)
        # max over a flat map, not AdaptiveMaxPool2d, whose gradient has no deterministic kernel on CUDA
        highest = flat.max(2).values
        return highest if self.pool is Pool.max else torch.cat([highest, flat.mean(2)], 1)


class SigmoidRange(nn.Module):
    """Bound outputs to `low` … `high` by a scaled sigmoid."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, outputs: Tensor) -> Tensor:
        """Bound the outputs."""
        return outputs.sigmoid() * (self.high - self.low) + self.low


def mlp(params: MlpParams, features: int, outputs: int) -> nn.Module:
    """Build fastai's `create_head`: for each linear layer batch norm, dropout, linear, and a ReLU between two.

    Linear weights are drawn as He's normal (fan in), biases are 0.
    """
    pooled = 2 * features if params.pool is Pool.concat else features
    widths = (pooled, *params.hidden, outputs)
    layers = _linear_first(params, widths) if params.lin_first else _linear_last(params, widths)
    modules: list[nn.Module] = [GlobalPool(params.pool), *layers]
    if params.bn_final:
        modules.append(nn.BatchNorm1d(outputs, momentum=0.01))
    if params.y_range is not None:
        modules.append(SigmoidRange(params.y_range.low, params.y_range.high))
    return nn.Sequential(*modules)


def linear(params: LinearParams, features: int, outputs: int) -> nn.Module:
    """Build average pooling, dropout and one linear layer with a bias."""
    return nn.Sequential(GlobalPool(Pool.avg), nn.Dropout(params.dropout), nn.Linear(features, outputs))


def _linear_last(params: MlpParams, widths: Sequence[int]) -> Iterator[nn.Module]:
    for index, dropout in enumerate(params.dropouts):
        norm = params.first_bn or index > 0
        if norm:
            yield _norm(params, widths[index])
        if dropout > 0:
            yield nn.Dropout(dropout)
        yield _linear(widths[index], widths[index + 1], bias=params.bias or not norm)
        if index < len(params.hidden):
            yield nn.ReLU(inplace=True)


def _linear_first(params: MlpParams, widths: Sequence[int]) -> Iterator[nn.Module]:
    first, *rest = params.dropouts
    if first > 0:
        yield nn.Dropout(first)
    for index, dropout in enumerate(rest):
        norm = params.first_bn or index > 0
        yield _linear(widths[index], widths[index + 1], bias=params.bias or not norm)
        yield nn.ReLU(inplace=True)
        if norm:
            yield _norm(params, widths[index + 1])
        if dropout > 0:
            yield nn.Dropout(dropout)
    yield _linear(widths[-2], widths[-1], bias=True)


def _norm(params: MlpParams, width: int) -> nn.Module:
    norm = nn.BatchNorm1d(width)
    nn.init.constant_(norm.bias, 0.0 if params.bias else FASTAI_NORM_BIAS)
    return norm


def _linear(width: int, outputs: int, bias: bool) -> nn.Module:
    layer = nn.Linear(width, outputs, bias=bias)
    nn.init.kaiming_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
