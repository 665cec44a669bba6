"""The bodies that go by their own names: torchvision's families, their layers and groups. Needs no torch.

A body's layers are the parts of torchvision's model (dotexp_vision.models.table), except that what an image
passes before the first block is one layer, `stem`. Its groups are those that fastai splits it into, where fastai does
(ResNets, DenseNets, SqueezeNets, VGGs with batch norm); else `late` starts where the maps come to 1/16 of the image's
side, as in a ResNet, or with the second half of a transformer's blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dotexp import BodyFacts, Component

from dotexp_vision.models.table import Network, layer_name, networks, split

if TYPE_CHECKING:
    from dotexp_vision.models.params import TorchvisionBodyParams

TITLES: Mapping[str, str] = {
    **{f"resnet{n}": f"ResNet-{n}" for n in (18, 34, 50, 101, 152)},
    "resnext50_32x4d": "ResNeXt-50 32×4d",
    "resnext101_32x8d": "ResNeXt-101 32×8d",
    "resnext101_64x4d": "ResNeXt-101 64×4d",
    "wide_resnet50_2": "Wide ResNet-50-2",
    "wide_resnet101_2": "Wide ResNet-101-2",
    "squeezenet1_0": "SqueezeNet 1.0",
    "squeezenet1_1": "SqueezeNet 1.1",
    **{f"densenet{n}": f"DenseNet-{n}" for n in (121, 161, 169, 201)},
    **{f"vgg{n}": f"VGG-{n}" for n in (11, 13, 16, 19)},
    **{f"vgg{n}_bn": f"VGG-{n} with batch norm" for n in (11, 13, 16, 19)},
    "mobilenet_v2": "MobileNet v2",
    "mobilenet_v3_small": "MobileNet v3 small",
    "mobilenet_v3_large": "MobileNet v3 large",
    **{f"efficientnet_b{n}": f"EfficientNet-B{n}" for n in range(8)},
    **{f"efficientnet_v2_{size}": f"EfficientNet v2 {size.upper()}" for size in ("s", "m", "l")},
    **{f"convnext_{size}": f"ConvNeXt {size}" for size in ("tiny", "small", "base", "large")},
    **{
        f"regnet_{kind}_{size}": f"RegNet {kind.upper()} {size.replace('_', '.')}"
        for kind, sizes in (
            ("x", ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
            ("y", ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf")),
        )
        for size in sizes
    },
    **{f"swin_{size}": f"Swin {size.upper()}" for size in ("t", "s", "b")},
    **{f"swin_v2_{size}": f"Swin v2 {size.upper()}" for size in ("t", "s", "b")},
    **{f"vit_{size}_{patch}": f"ViT-{size.upper()}/{patch}" for size in ("b", "l") for patch in (16, 32)},
    "vit_h_14": "ViT-H/14",
}
"""What each of them is called in print."""

STEMS: Sequence[tuple[str, ...]] = (
    ("conv1", "bn1", "relu", "maxpool"),
    ("features.conv0", "features.norm0", "features.relu0", "features.pool0"),
    ("conv_proj",),
)
"""Parts that are one layer, `stem`, where a model starts with them."""

FUNCTIONS = ("permute",)
"""Parts without parameters that are no layer."""


def layers_of(network: Network) -> dict[str, tuple[str, ...]]:
    """Layers of the body that goes by a network's name, each with the parts that it is made of."""
    parts = network.kept(None)
    stem = next((stem for stem in STEMS if parts[: len(stem)] == stem), ())
    layers: dict[str, tuple[str, ...]] = {"stem": stem} if stem else {}
    return layers | {layer_name(part): (part,) for part in parts[len(stem) :] if part not in FUNCTIONS}


def cut_layers(network: Network, cut: int | None) -> dict[str, tuple[str, ...]]:
    """Layers of `torchvision_body`: each part by itself."""
    return {layer_name(part): (part,) for part in network.kept(cut)}


def named_facts(network: Network, image_size: int | None = None) -> BodyFacts:
    """Facts of the body that goes by a network's name; `image_size` is a vision transformer's."""
    return _facts(network, layers_of(network), image_size)


def cut_facts(params: TorchvisionBodyParams) -> BodyFacts:
    """Facts of `torchvision_body`."""
    network = networks()[params.name]
    facts = _facts(network, cut_layers(network, params.cut))
    whole = network.kept(params.cut) == network.kept(None)
    return facts if whole else facts.replace(single_value_side=None)


def _facts(network: Network, layers: Mapping[str, tuple[str, ...]], image_size: int | None = None) -> BodyFacts:
    first_late = network.parts[network.late]
    late = next((i for i, parts in enumerate(layers.values()) if first_late in parts), len(layers))
    return BodyFacts(
        inputs="images",
        layers=tuple(layers),
        groups=split(tuple(layers), late),
        smallest=image_size or network.smallest,
        largest=image_size or network.largest,
        single_value_side=network.single,
    )


def _facts_named(name: str, params: Any) -> BodyFacts:
    network = networks()[name]
    return named_facts(network, None if network.patch is None else params.image_size)


def _named(network: Network, title: str) -> Component:
    features = network.channels[network.cut - 1]
    return Component(
        "body",
        network.name,
        f"dotexp_vision.models.params:{network.name}",
        "dotexp_vision.models.build:named",
        partial(_facts_named, network.name),
        variant=network.name,
        about=f"{title} without its classifier: {features:,} features.",
    )


COMPONENTS = (
    *(_named(networks()[name], title) for name, title in TITLES.items()),
    Component(
        "body",
        "torchvision_body",
        "dotexp_vision.models.params:TorchvisionBodyParams",
        "dotexp_vision.models.build:torchvision",
        cut_facts,
    ),
)
"""Every body that goes by its own name, and `torchvision_body` for all of torchvision's models."""
