"""Freezing: what is frozen stays as it is, bit for bit, parameters and buffers alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from dotexp.engine.build.network import Network
from dotexp.experiment.experiment import Kept

BATCHNORMS: tuple[type[nn.Module], ...] = (_BatchNorm,)
"""Batch norm in any number of dimensions, synchronised ones included."""

NORMS: tuple[type[nn.Module], ...] = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Every norm with parameters: fastai v2's batch, instance and layer norm, and group and RMS norm beside them."""


def freeze(network: Network, frozen: Collection[str], kept: Kept | None) -> None:
    """Let gradients reach what trains and nothing else; a parameter that a frozen layer shares is frozen.

    `kept` modules inside frozen layers go on training.
    """
    network.requires_grad_(True)
    for parameter in network.parameters():
        parameter.grad = None
    for layer in _frozen_layers(network, frozen):
        layer.requires_grad_(False)
    for module in _kept_modules(network, frozen, kept):
        module.requires_grad_(True)


def training_mode(network: Network, frozen: Collection[str], kept: Kept | None) -> None:
    """Put what trains into training mode and frozen layers, all of them, into evaluation mode.

    So a frozen layer's dropout and stochastic depth are off and its statistics stand still; `kept` modules train.
    """
    network.train()
    for layer in _frozen_layers(network, frozen):
        layer.eval()
    for module in _kept_modules(network, frozen, kept):
        module.train()


def frozen_tensors(network: Network, frozen: Collection[str], kept: Kept | None) -> Iterator[Tensor]:
    """Parameters and buffers that must stay as they are once `freeze` was called: frozen layers' less `kept` ones'."""
    own = {id(buffer) for module in _kept_modules(network, frozen, kept) for buffer in module.buffers()}
    for layer in _frozen_layers(network, frozen):
        yield from (parameter for parameter in layer.parameters() if not parameter.requires_grad)
        yield from (buffer for buffer in layer.buffers() if id(buffer) not in own)


def _frozen_layers(network: Network, frozen: Collection[str]) -> Iterator[nn.Module]:
    return (layer for name, layer in network.layers.items() if name in frozen)


def _kept_modules(network: Network, frozen: Collection[str], kept: Kept | None) -> Iterator[nn.Module]:
    if kept is None:
        return
    types = BATCHNORMS if kept is Kept.batchnorm else NORMS
    for layer in _frozen_layers(network, frozen):
        yield from (module for module in layer.modules() if isinstance(module, types))
