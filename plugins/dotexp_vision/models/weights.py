"""Weights for a body: torchvision's, or a file's."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from dotexp import Use
from dotexp.sdk.weights import Tensors, fill, first_line, inspection, read_tensors, unusable
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from dotexp_vision.models.table import Network

Normalization = tuple[tuple[float, ...] | None, tuple[float, ...] | None]
"""Mean and standard deviation of each channel of the images that weights were trained on."""

_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..+)$")

_POSITIONS = "encoder.pos_embedding"


def load_weights(
    model: nn.Module, body: nn.Module, weights: StrEnum | Path | Use, network: Network, kept: Sequence[str]
) -> Normalization:
    """Fill a body, made of the parts `kept` of a model, with weights; return the normalization of their images.

    Of a file, that is the normalization of torchvision's default weights. Tensors of the parts cut off are left out;
    those of a vision transformer for images of another size are adapted. Raises ComponentError (E405) where the weights
    are missing, cannot be read, or are not this body's.
    """
    published = models.get_model_weights(network.name)
    entry, source = published.DEFAULT, ""
    found: Tensors | None
    if isinstance(weights, StrEnum):
        entry = entry if weights.value == "imagenet" else published[weights.value.upper()]
        found, source = _published(entry), str(entry)
    else:
        found = read_tensors(weights)
    if found is not None:
        fill(_shell(model), _adapted(found, model), source or weights, body, _cut_off(network, kept, model))
    return _normalization(network, entry)


def _cut_off(network: Network, kept: Sequence[str], model: nn.Module) -> list[str]:
    """Paths of what was cut off: the parts, and children that are no parts, such as auxiliary classifiers."""
    parts = [part for part in network.parts if part not in kept]
    heads = {part.split(".")[0] for part in network.parts}
    return parts + [name for name, _ in model.named_children() if name not in heads]


def _shell(model: nn.Module) -> nn.Module:
    """A model's children and own parameters without the model: MNASNet refuses files that do not say their version."""
    shell = nn.Module()
    for name, child in model.named_children():
        shell.add_module(name, child)
    for name, parameter in model.named_parameters(recurse=False):
        shell.register_parameter(name, parameter)
    return shell


def _adapted(tensors: Tensors, model: nn.Module) -> Tensors:
    renamed = OrderedDict((_OLD_DENSENET.sub(r"\1\2", name), tensor) for name, tensor in tensors.items())
    if not isinstance(model, models.VisionTransformer) or _POSITIONS not in renamed:
        return renamed
    try:
        adapted: Tensors = interpolate_embeddings(model.image_size, model.patch_size, renamed)
    except ValueError:  # positions that are no square grid: they will be told of as of another shape
        return renamed
    return adapted


def _normalization(network: Network, entry: Any) -> Normalization:
    if network.name in ("googlenet", "inception_v3"):
        # Google's weights: given ImageNet's normalization, torchvision turns it into this one inside the model
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    preset = entry.transforms()
    return tuple(preset.mean), tuple(preset.std)


def _published(entry: Any) -> Tensors | None:
    """Return the tensors of published weights, downloaded if need be.

    While a plan inspects weights, those that are not on the machine are noted, and None is returned.
    """
    name = entry.url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    looked_at = inspection()
    if looked_at is not None and path.exists():
        return read_tensors(path)
    if looked_at is not None and not looked_at.for_run:
        looked_at.missing.append(f"{entry}: {name}, {entry.meta.get('_file_size', 0):.0f} MB, into {path.parent}")
        return None
    try:
        found: Tensors = entry.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    except Exception as error:  # no network, a wrong hash, a damaged file, a full disk: one way forward for all
        state = "cannot be read" if path.exists() else "are not on this machine and cannot be downloaded"
        raise unusable(
            f"the weights {entry} {state}: {first_line(error)}",
            f'put {name}, whole, into {path.parent}, or give it as weights = "…/{name}"',
        ) from error
    return found
