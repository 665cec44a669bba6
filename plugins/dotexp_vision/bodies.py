"""Bodies: torchvision's networks with the classifier cut off, and their weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dotexp import Body, Use
from torch import nn
from torchvision import models

from dotexp_vision.params import ResNet18Params, ResNet34Params, ResNet50Params, SqueezeNetParams
from dotexp_vision.weights import load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

BodyParams = ResNet18Params | ResNet34Params | ResNet50Params | SqueezeNetParams


@dataclass(frozen=True)
class _Network:
    """A torchvision network: how to make it, its weights, how to cut it, and the width of its features."""

    make: Callable[..., nn.Module]
    published: Any
    cut: Callable[[nn.Module], Mapping[str, nn.Module]]
    rename: Callable[[str], str]
    features: int


def resnet18(params: ResNet18Params) -> Body:
    """Build ResNet-18 (11,176,512 parameters)."""
    return _build(params, _Network(models.resnet18, models.ResNet18_Weights, _cut_resnet, _rename_resnet, 512))


def resnet34(params: ResNet34Params) -> Body:
    """Build ResNet-34 (21,284,672 parameters)."""
    return _build(params, _Network(models.resnet34, models.ResNet34_Weights, _cut_resnet, _rename_resnet, 512))


def resnet50(params: ResNet50Params) -> Body:
    """Build ResNet-50 (23,508,032 parameters)."""
    return _build(params, _Network(models.resnet50, models.ResNet50_Weights, _cut_resnet, _rename_resnet, 2048))


def squeezenet1_1(params: SqueezeNetParams) -> Body:
    """Build SqueezeNet 1.1 (722,496 parameters)."""
    network = _Network(
        models.squeezenet1_1, models.SqueezeNet1_1_Weights, _cut_squeezenet, _rename_squeezenet, features=512
    )
    return _build(params, network)


def _build(params: BodyParams, network: _Network) -> Body:
    # num_classes = 1 keeps the classifier, thrown away at once, from costing anything
    layers = OrderedDict(network.cut(network.make(num_classes=1)))
    module = nn.Sequential(layers)
    if params.weights is None or isinstance(params.weights, Use):
        return Body(module, layers, network.features)
    load_weights(module, params.weights, network.published, network.rename)
    return Body(module, layers, network.features, IMAGENET_MEAN, IMAGENET_STD)


def _cut_resnet(network: nn.Module) -> Mapping[str, nn.Module]:
    parts = dict(network.named_children())
    stem = nn.Sequential(OrderedDict((name, parts[name]) for name in ("conv1", "bn1", "relu", "maxpool")))
    return {"stem": stem, **{name: parts[name] for name in ("layer1", "layer2", "layer3", "layer4")}}


def _cut_squeezenet(network: nn.Module) -> Mapping[str, nn.Module]:
    features = dict(network.named_children())["features"]
    return {f"features_{name}": module for name, module in features.named_children()}


def _rename_resnet(name: str) -> str:
    return f"stem.{name}" if name.startswith(("conv1.", "bn1.")) else name


def _rename_squeezenet(name: str) -> str:
    return name.replace("features.", "features_", 1) if name.startswith("features.") else name
