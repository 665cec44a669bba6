"""Heads: a body's feature maps (N, features, h, w) to the model's outputs (N, outputs)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dotexp_vision.params import LinearParams, MlpParams, Pool

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


def mlp(params: MlpParams, features: int, outputs: int) -> nn.Module:
    """Build fastai's `create_head`: for each linear layer batch norm, dropout, linear, and a ReLU between two.

    Linear weights are drawn as He's normal (fan in), biases are 0.
    """
    pooled = 2 * features if params.pool is Pool.concat else features
    widths = (pooled, *params.hidden, outputs)
    modules: list[nn.Module] = [GlobalPool(params.pool)]
    for index, dropout in enumerate(params.dropouts):
        modules += _linear(params, widths[index], widths[index + 1], dropout, first=index == 0)
        if index < len(params.hidden):
            modules.append(nn.ReLU(inplace=True))
    if params.bn_final:
        modules.append(nn.BatchNorm1d(outputs, momentum=0.01))
    return nn.Sequential(*modules)


def linear(params: LinearParams, features: int, outputs: int) -> nn.Module:
    """Build average pooling, dropout and one linear layer with a bias."""
    return nn.Sequential(GlobalPool(Pool.avg), nn.Dropout(params.dropout), nn.Linear(features, outputs))


def _linear(params: MlpParams, width: int, outputs: int, dropout: float, first: bool) -> Iterator[nn.Module]:
    norm = params.first_bn or not first
    if norm:
        batch_norm = nn.BatchNorm1d(width)
        nn.init.constant_(batch_norm.bias, 0.0 if params.bias else FASTAI_NORM_BIAS)
        yield batch_norm
    if dropout > 0:
        yield nn.Dropout(dropout)
    layer = nn.Linear(width, outputs, bias=params.bias or not norm)
    nn.init.kaiming_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    yield layer
