"""Bodies: what they publish is what is built, and their features are those that torchvision's classifier takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bodies import BODIES, FAMILIES, LIGHT, NAMED, build, count, cut
from dotexp import Component, Facts, RunWeights, Use
from dotexp_vision.models.table import networks
from torch import Tensor, nn
from torchvision import models

pytestmark = pytest.mark.run

ALL = [pytest.param(name, marks=() if name in LIGHT else pytest.mark.slow) for name in NAMED]


def facts_of(body: str, **parameters: object) -> Facts:
    return BODIES[body].facts_for(BODIES[body].params(**parameters))


@pytest.mark.parametrize("name", ALL)
def test_published_layers_are_the_built_ones_and_hold_every_tensor_once(name: str) -> None:
    facts = facts_of(name)
    # torchvision reads RegNet's widths back from tensors, which the meta device does not have
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        body = build(name)
    assert tuple(body.layers) == facts.layers
    assert tuple(layer for group in facts.groups for layer in group.layers) == (*facts.layers, "head")
    assert [group.name for group in facts.groups] == ["early", "late", "head"]
    assert facts.inputs == "images"
    of_module = [id(t) for t in (*body.module.parameters(), *body.module.buffers())]
    of_layers = [id(t) for layer in body.layers.values() for t in (*layer.parameters(), *layer.buffers())]
    assert sorted(of_module) == sorted(of_layers)
    assert len(set(of_layers)) == len(of_layers) >= 16


@pytest.mark.parametrize(
    ("name", "total", "groups"),
    [  # fastai 2.8.12's layer groups, printed
        ("resnet18", 683_072 + 10_493_440, (683_072, 10_493_440)),
        ("resnet34", 21_284_672, (1_347_904, 19_936_768)),
        ("resnet50", 1_444_928 + 22_063_104, (1_444_928, 22_063_104)),
        ("squeezenet1_1", 722_496, None),
    ],
)
def test_parameter_counts(name: str, total: int, groups: tuple[int, int] | None) -> None:
    with torch.device("meta"):
        body = build(name)
    assert count(body.module) == total
    if groups is not None:
        by_group = facts_of(name).groups[:2]
        assert tuple(sum(count(body.layers[layer]) for layer in group.layers) for group in by_group) == groups


@pytest.mark.parametrize(
    ("name", "late"),
    [  # fastai's model_meta: m[0][:6], m[0][0][:5], m[0][0][:7], m[0][0][:22] of the children that it counts
        ("resnet152", "layer3"),
        ("squeezenet1_0", "features_5"),
        ("densenet201", "transition2"),
        ("vgg19_bn", "features_22"),
        # none of fastai's: where the maps come to 1/16 of the side, and half of a transformer's blocks
        ("resnext50_32x4d", "layer3"),
        ("vgg16", "features_23"),
        ("mobilenet_v2", "features_7"),
        ("efficientnet_b0", "features_4"),
        ("convnext_tiny", "features_4"),
        ("regnet_y_400mf", "block3"),
        ("swin_t", "features_4"),
        ("vit_b_16", "encoder_layer_6"),
    ],
)
def test_the_late_half_starts_where_fastai_splits_or_the_maps_are_a_sixteenth(name: str, late: str) -> None:
    assert facts_of(name).groups[1].layers[0] == late


def own_features(model: nn.Module, images: Tensor) -> Tensor:
    """What a torchvision model gives its pooling, or its classifier where the pooling is no module."""
    children = dict(model.named_children())
    last = next(children[name] for name in ("avgpool", "classifier", "fc", "heads") if name in children)
    seen: list[Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(images)
    return seen[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_features_are_those_of_torchvisions_own_forward(name: str, tmp_path: Path) -> None:
    row = networks()[name]
    side = row.largest or max(64, row.smallest)
    arguments = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = models.get_model_builder(name)(num_classes=3, **arguments).eval()
    body = build(name, whole_file(model, tmp_path / "whole.pth"))
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = own_features(model, images)
        features = body.module.eval()(images)
    assert features.shape[:2] == (2, body.features)
    assert features.ndim == 4
    torch.testing.assert_close(features if expected.ndim == 4 else features.mean((2, 3)), expected)


def whole_file(model: nn.Module, path: Path) -> Path:
    """Save a model with a classifier of no size: it is cut off, and a VGG's is most of the model."""
    ends = ("classifier.", "fc.", "heads.", "head.")
    torch.save({n: t[:0] if n.startswith(ends) else t for n, t in model.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_reaches_every_parameter_and_the_table_knows_the_images(name: str) -> None:
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        module = build(name).module.to("meta")
    row = networks()[name]

    def step(side: int) -> bool:
        try:
            module(torch.zeros(2, 3, side, side, device="meta")).sum().backward()
        except (RuntimeError, AssertionError, ValueError):
            return False
        return True

    assert step(row.smallest) and not (row.smallest > 1 and step(row.smallest - 1))
    assert row.largest is None or step(row.largest)
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


def test_a_vision_transformer_takes_the_size_that_is_asked_for() -> None:
    body = build("vit_b_32", image_size=64)
    with torch.no_grad():
        assert body.module.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 768, 1, 1)
    facts = facts_of("vit_b_32", image_size=64)
    assert (facts.smallest, facts.largest) == (64, 64)
    assert body.layers["stem"].pos_embedding.shape == (1, 5, 768)


def test_no_weights_means_no_normalisation_and_the_seeds_weights() -> None:
    torch.manual_seed(3)
    first = build("squeezenet1_1")
    torch.manual_seed(3)
    second = build("squeezenet1_1")
    assert first.mean is None and first.std is None
    assert torch.equal(first.layers["features_0"].weight, second.layers["features_0"].weight)


def test_weights_of_a_run_are_left_to_the_engine() -> None:
    run = Use(component=Component("weights", "run", RunWeights, build="none:none"), params=RunWeights(run="source"))
    body = build("squeezenet1_1", run)
    assert body.mean is None and count(body.module) == 722_496


@pytest.mark.parametrize(("at", "layers", "features"), [(None, 8, 512), (-2, 8, 512), (6, 6, 128), (-1, 9, 512)])
def test_cut_says_how_many_parts_stay(at: int | None, layers: int, features: int) -> None:
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
    facts = facts_of("torchvision_body", name="resnet18", cut=at)
    body = cut("resnet18", at)
    assert tuple(body.layers) == facts.layers == parts[:layers]
    reference = nn.Sequential(*list(models.resnet18().children())[:layers])
    with torch.no_grad():
        assert body.module(torch.zeros(2, 3, 64, 64)).shape == reference(torch.zeros(2, 3, 64, 64)).shape
    assert body.features == features
    names = [group.name for group in facts.groups]
    assert names == (["body", "head"] if layers == 6 else ["early", "late", "head"])


def test_a_transformer_is_cut_between_its_blocks() -> None:
    with torch.no_grad():
        assert cut("swin_t", 4).module(torch.zeros(2, 3, 64, 64)).shape == (2, 192, 8, 8)
        tokens = cut("vit_b_32", 3)
        assert tokens.module(torch.zeros(2, 3, 224, 224)).shape == (2, 768, 1, 1)
    assert tuple(tokens.layers) == ("conv_proj", "encoder_layer_0", "encoder_layer_1")
