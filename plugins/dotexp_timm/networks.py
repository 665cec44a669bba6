"""timm's models without their classifiers, and their layers as modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import timm
from timm.models import group_parameters
from torch import Tensor, nn

from dotexp_timm.table import Output

_PLAIN = {"stem": r"^stem|^patch_embed|^downsample_layers\.0", "blocks": r"^(?:dense_)?stages\.(\d+)"}
"""Patterns for models without a `group_matcher`, in timm's form."""


class Features(nn.Module):
    """A timm model without its classifier: images (N, 3, S, S) to feature maps (N, C, h, w), 1 by 1 for a vector."""

    def __init__(self, model: nn.Module, output: Output) -> None:
        super().__init__()
        self.model = model
        self.output = output

    def forward(self, images: Tensor) -> Tensor:
        """Return feature maps with the channels first."""
        features: Tensor = self.model(images)
        if self.output is Output.maps_last:
            return features.permute(0, 3, 1, 2)
        return features[:, :, None, None] if self.output is Output.vector else features


class Layer(nn.Module):
    """A layer that is no module of the model: some of its modules, and parameters outside of these."""

    def __init__(self, modules: Iterable[nn.Module], strays: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self.strays = nn.ParameterList(strays)


def make_network(name: str, **arguments: Any) -> nn.Module:
    """Build a timm model with a classifier of one class."""
    model: nn.Module = timm.create_model(name, num_classes=1, **arguments)
    return model


def cut_off(model: nn.Module, output: Output) -> None:
    """Remove a model's classifier, and for feature maps its pooling."""
    own: Any = model  # nn.Module does not declare the method, which every timm model has
    own.reset_classifier(0) if output is Output.vector else own.reset_classifier(0, "")


def groups_of(model: nn.Module) -> dict[str, int]:
    """Return each parameter's layer number, by name: timm's coarse parameter groups."""
    own: Any = model
    try:
        matcher = own.group_matcher(coarse=True)
    except (AttributeError, AssertionError):  # timm has no matcher for it, or no coarse one
        matcher = _PLAIN
    grouped: dict[int, list[str]] = group_parameters(model, matcher)
    return {name: number for number, names in grouped.items() for name in names}


def layers_of(model: nn.Module) -> list[Layer]:
    """Return a model's layers in order, made of the largest modules whose parameters belong to one layer.

    A module without parameters belongs to the layer of the module before it.
    """
    groups = groups_of(model)
    count = max(groups.values()) + 1
    modules: list[list[nn.Module]] = [[] for _ in range(count)]
    strays: list[list[nn.Parameter]] = [[] for _ in range(count)]
    for number, found in _assign_layers(model, "", groups, 0):
        if isinstance(found, nn.Parameter):
            strays[number].append(found)
        else:
            modules[number].append(found)
    return [Layer(*each) for each in zip(modules, strays, strict=True)]


def _assign_layers(
    module: nn.Module, path: str, groups: dict[str, int], number: int
) -> Iterator[tuple[int, nn.Module | nn.Parameter]]:
    """Yield a module's parameters and children with their layer numbers; `number` is that of the module before."""
    for name, parameter in module.named_parameters(path.removesuffix("."), recurse=False):
        yield groups[name], parameter
    for name, child in module.named_children():
        inside = {groups[inner] for inner, _ in child.named_parameters(f"{path}{name}") if inner in groups}
        if len(inside) <= 1:
            number = inside.pop() if inside else number
            yield number, child
        else:
            yield from _assign_layers(child, f"{path}{name}.", groups, number)
            number = max(inside)
