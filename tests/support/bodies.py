"""Short ways to build a body in tests."""

from __future__ import annotations

from enum import Enum

import pytest
from dotexp import Body, Component, ComponentError, Use
from dotexp.experiment.accepted import expected_for
from offered import offered
from torch import nn

BODIES: dict[str, Component] = {c.name: c for c in offered("vision") if c.kind == "body"}
NAMED = sorted(set(BODIES) - {"torchvision_body"})
"""Bodies that go by their own names."""

LIGHT = (
    "resnet18", "squeezenet1_1", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "regnet_x_400mf",
    "shufflenet_v2_x0_5", "mnasnet0_5",
)  # fmt: skip
"""The smallest members of families, where they are small."""

HEAVY = (
    "resnext50_32x4d", "wide_resnet50_2", "squeezenet1_0", "vgg11", "vgg11_bn", "mobilenet_v2", "efficientnet_v2_s",
    "convnext_tiny", "regnet_y_400mf", "swin_t", "swin_v2_t", "vit_b_32", "alexnet", "googlenet", "inception_v3",
    "maxvit_t",
)  # fmt: skip
"""The smallest members of the others."""

FAMILIES = [*LIGHT, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)]
"""One model of each family, those that take long marked slow."""


def build(name: str, weights: object = None, **parameters: object) -> Body:
    """Build the body of this name, or the model's of this name by `torchvision_body`; random weights by default."""
    component = BODIES.get(name, BODIES["torchvision_body"])
    named = {} if name in BODIES else {"name": name}
    built = Use(component=component, params=component.params(**named, weights=weights, **parameters)).build()
    assert isinstance(built, Body)
    return built


def published(name: str, weights: str = "imagenet") -> Enum:
    """Weights of a model that torchvision publishes, as a spec's bare name is converted."""
    component = BODIES.get(name, BODIES["torchvision_body"])
    (names,) = expected_for(component.params.model_fields["weights"]).enums
    return names(weights)


def cut(name: str, cut: int | None = None, weights: object = None) -> Body:
    """Build a model's body by `torchvision_body`."""
    component = BODIES["torchvision_body"]
    built = Use(component=component, params=component.params(name=name, cut=cut, weights=weights)).build()
    assert isinstance(built, Body)
    return built


def count(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def refusal(name: str, weights: object) -> ComponentError:
    """Build a body with weights that it refuses, and return the error."""
    with pytest.raises(ComponentError) as caught:
        build(name, weights)
    assert (caught.value.problem.code, caught.value.problem.field) == ("E405", "weights")
    return caught.value
