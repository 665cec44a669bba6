"""Bodies: torchvision's models with the classifier cut off."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum

from dotexp import Body, Params
from dotexp.sdk.weights import is_file
from torch import nn

from dotexp_vision.models.catalogue import cut_layers, layers_of
from dotexp_vision.models.networks import ChannelsFirst, ClassToken, make_network, parts_of
from dotexp_vision.models.params import TorchvisionBodyParams
from dotexp_vision.models.table import Network, networks
from dotexp_vision.models.weights import Normalization, load_weights


def named(params: Params, name: str) -> Body:
    """Build the body that goes by a torchvision model's name."""
    network = networks()[name]
    return _build(network, layers_of(network), params)


def torchvision(params: TorchvisionBodyParams) -> Body:
    """Build any torchvision model's body, cut where the parameters say."""
    network = networks()[params.name]
    return _build(network, cut_layers(network, params.cut), params)


def _build(network: Network, layers: Mapping[str, tuple[str, ...]], params: Params) -> Body:
    given = dict(params)
    model = make_network(network.name, given.get("image_size"))
    kept = [part for parts in layers.values() for part in parts]
    modules = dict(zip(kept, parts_of(model, kept), strict=True))
    by_name = {name: _joined(parts, modules) for name, parts in layers.items()}
    last = _last(network, kept)
    body = nn.Sequential(OrderedDict({**by_name, "last": last} if last else by_name))
    weights = given["weights"]
    normalization: Normalization = (None, None)
    if isinstance(weights, StrEnum) or is_file(weights):
        normalization = load_weights(model, body, weights, network, kept)
    return Body(body, by_name, network.channels[network.parts.index(kept[-1])], *normalization)


def _joined(parts: tuple[str, ...], modules: Mapping[str, nn.Module]) -> nn.Module:
    if len(parts) == 1:
        return modules[parts[0]]
    return nn.Sequential(OrderedDict((part.rpartition(".")[2], modules[part]) for part in parts))


def _last(network: Network, kept: list[str]) -> nn.Module | None:
    """What the model's own forward does between the last part that stays and the pooling."""
    if network.after == "class_token":
        return ClassToken()
    if network.after == "permute":
        return None if "permute" in kept else ChannelsFirst()
    whole = kept[-1] == network.parts[network.cut - 1]
    return nn.ReLU() if network.after == "relu" and whole else None
