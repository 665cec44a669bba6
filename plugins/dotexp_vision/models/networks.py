"""torchvision's models and their parts, built: the vision transformer's are put in a form that can be cut, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    # left out, torchvision warns that their way to draw the first weights will change
    "googlenet": {"init_weights": True},
    "inception_v3": {"init_weights": True},
}


def make_network(name: str, image_size: int | None = None) -> nn.Module:
    """Build a torchvision model with one class and random weights; `image_size` is a vision transformer's."""
    arguments = dict(_ARGUMENTS.get(name, {}))
    if image_size is not None:
        arguments["image_size"] = image_size
    # one class keeps the classifier, thrown away at once, from costing much
    network: nn.Module = models.get_model_builder(name)(num_classes=1, **arguments)
    return network


def parts_of(network: nn.Module, parts: Iterable[str]) -> list[nn.Module]:
    """Modules of a model's parts, each taking what the one before gives."""
    if isinstance(network, models.VisionTransformer):
        own = {"conv_proj": _Patches(network)}
        return [own[part] if part in own else network.get_submodule(part) for part in parts]
    return [network.get_submodule(part) for part in parts]


class _Patches(nn.Module):
    """What a vision transformer does before its blocks: images (N, 3, S, S) to tokens (N, 1 + patches, width).

    It holds the model's own tensors: the projection, the class token and the embedding of the positions.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        assert isinstance(network, models.VisionTransformer)
        self.conv_proj = network.conv_proj
        self.class_token = network.class_token
        self.pos_embedding = network.encoder.pos_embedding
        self.dropout = network.encoder.dropout

    def forward(self, images: Tensor) -> Tensor:
        """Tokens, the class token first."""
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)
        token = self.class_token.expand(patches.shape[0], -1, -1)  # len() would fix the batch's size in an export
        tokens: Tensor = self.dropout(torch.cat([token, patches], 1) + self.pos_embedding)
        return tokens


class ClassToken(nn.Module):
    """The class token as a feature map of one pixel: tokens (N, T, width) to (N, width, 1, 1)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Take the first token."""
        return tokens[:, 0, :, None, None]


class ChannelsFirst(nn.Module):
    """Feature maps (N, h, w, C) to (N, C, h, w)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Move the channels."""
        return maps.permute(0, 3, 1, 2)
