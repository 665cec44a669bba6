"""Layers of the bodies, and the learning-rate groups that fastai splits them into. Needs no torch."""

from __future__ import annotations

from dotexp import Facts, LayerGroup

RESNET_LAYERS = ("stem", "layer1", "layer2", "layer3", "layer4")
SQUEEZENET_LAYERS = tuple(f"features_{i}" for i in range(13))


def _body(layers: tuple[str, ...], late: int) -> Facts:
    groups = (LayerGroup("early", layers[:late]), LayerGroup("late", layers[late:]), LayerGroup("head", ("head",)))
    return Facts(inputs="images", layers=layers, groups=groups)


RESNET = _body(RESNET_LAYERS, late=3)
SQUEEZENET = _body(SQUEEZENET_LAYERS, late=5)
