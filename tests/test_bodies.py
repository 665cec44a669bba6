"""Bodies: their layers, groups, parameter counts and weights."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import dotexp_vision
import pytest
import torch
from dotexp import Body, Component, ComponentError, OfKind, RunWeights, Use
from dotexp_vision.params import Imagenet
from safetensors.torch import save_file
from torch import nn
from torchvision import models

BODIES = {c.name: c for c in dotexp_vision.dotexp_components() if c.kind == "body"}
SQUEEZENET = "squeezenet1_1-imagenet/squeezenet1_1-features-rgb-norm.pth"


def build(name: str, weights: object = None) -> Body:
    component = BODIES[name]
    built = Use(component=component, params=component.params(weights=weights)).build()
    assert isinstance(built, Body)
    return built


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def refusal(name: str, weights: object) -> ComponentError:
    with pytest.raises(ComponentError) as caught:
        build(name, weights)
    assert (caught.value.problem.code, caught.value.problem.field) == ("E405", "weights")
    return caught.value


@pytest.mark.parametrize("name", sorted(BODIES))
def test_published_layers_are_the_built_ones(name: str) -> None:
    facts = BODIES[name].facts_for(BODIES[name].params())
    with torch.device("meta"):
        body = build(name)
    assert tuple(body.layers) == facts.layers
    assert tuple(layer for group in facts.groups for layer in group.layers) == (*facts.layers, "head")
    assert [group.name for group in facts.groups] == ["early", "late", "head"]
    assert facts.inputs == "images"


@pytest.mark.parametrize("name", sorted(BODIES))
def test_every_tensor_is_in_exactly_one_layer(name: str) -> None:
    with torch.device("meta"):
        body = build(name)
    of_module = [id(t) for t in (*body.module.parameters(), *body.module.buffers())]
    of_layers = [id(t) for layer in body.layers.values() for t in (*layer.parameters(), *layer.buffers())]
    assert sorted(of_module) == sorted(of_layers)
    assert len(set(of_layers)) == len(of_layers) > 20


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
        by_group = BODIES[name].facts_for(BODIES[name].params()).groups[:2]
        assert tuple(sum(count(body.layers[layer]) for layer in group.layers) for group in by_group) == groups


@pytest.mark.parametrize(
    ("name", "feature_maps"),
    [("resnet18", (512, 1, 1)), ("resnet34", (512, 1, 1)), ("resnet50", (2048, 1, 1)), ("squeezenet1_1", (512, 1, 1))],
)
def test_small_images_pass(name: str, feature_maps: tuple[int, int, int]) -> None:
    body = build(name)
    with torch.no_grad():
        features = body.module.eval()(torch.zeros(2, 3, 32, 32))
    assert features.shape == (2, *feature_maps)
    assert body.features == feature_maps[0]


@pytest.mark.parametrize(("name", "make"), [("resnet18", models.resnet18), ("squeezenet1_1", models.squeezenet1_1)])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_file_gives_torchvisions_features(name: str, make: type, suffix: str, tmp_path: Path) -> None:
    reference = make().eval()
    path = tmp_path / f"weights{suffix}"
    state = {key: tensor.contiguous() for key, tensor in reference.state_dict().items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    body = build(name, path)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        if name == "squeezenet1_1":
            expected = reference.features(images)
        else:
            cut = nn.Sequential(*list(reference.children())[:-2])
            expected = cut(images)
        assert torch.equal(body.module.eval()(images), expected)
    assert body.mean == (0.485, 0.456, 0.406)
    assert body.std == (0.229, 0.224, 0.225)


def test_body_only_file_of_real_weights_loads(real_data: Path) -> None:
    body = build("squeezenet1_1", real_data / SQUEEZENET)
    given = torch.load(real_data / SQUEEZENET, weights_only=True)
    own = body.module.state_dict()
    assert len(given) == len(own) == 50
    assert all(torch.equal(tensor, own[name.replace("features.", "features_", 1)]) for name, tensor in given.items())


def test_file_without_batch_counts_is_whole(tmp_path: Path) -> None:
    state = {k: v for k, v in models.resnet18().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert torch.equal(build("resnet18", tmp_path / "old.pth").layers["stem"].conv1.weight, state["conv1.weight"])


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


def test_weights_take_a_component_of_their_kind() -> None:
    marks = [str(field.annotation) for c in BODIES.values() for n, field in c.params.model_fields.items()]
    assert len(marks) == 4 and all(repr(OfKind("weights")) in mark for mark in marks)


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.pth") in str(refusal("resnet18", tmp_path / "none.pth"))


def test_strange_tensors_are_named_and_counted(tmp_path: Path) -> None:
    state = models.resnet18().state_dict()
    state["extra.weight"] = torch.zeros(1)
    for name in ("layer4.1.conv2.weight", "conv1.weight"):
        del state[name]
    state["layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    torch.save(state, tmp_path / "odd.pth")
    message = str(refusal("resnet18", tmp_path / "odd.pth"))
    assert "it lacks 2 tensors (stem.conv1.weight, layer4.1.conv2.weight)" in message
    assert "it adds 1 tensor (extra.weight)" in message
    assert "shapes differ in 1 tensor (layer1.0.conv1.weight)" in message


def test_other_networks_weights_are_counted_not_listed(tmp_path: Path) -> None:
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    assert "and 47 more)" in str(refusal("resnet18", tmp_path / "other.pth"))


class _Code:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_code_in_a_weights_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": _Code(tmp_path / "marker")}, tmp_path / "evil.pth")
    assert "evil.pth cannot be read as weights" in str(refusal("resnet18", tmp_path / "evil.pth"))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    assert name in str(refusal("resnet18", tmp_path / name))


def test_a_tensor_alone_is_no_state_dict(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "one.pt")
    assert "holds no state dict" in str(refusal("resnet18", tmp_path / "one.pt"))


def test_without_network_it_says_which_file_goes_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    error = refusal("resnet34", Imagenet.imagenet)
    assert "ResNet34_Weights.IMAGENET1K_V1" in str(error)
    assert "resnet34-b627a593.pth" in error.problem.help
    assert str(tmp_path / "hub" / "checkpoints") in error.problem.help


def test_imagenet_weights_on_the_machine_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    state = models.resnet18().state_dict()
    torch.save(state, folder / "resnet18-f37072fd.pth")
    body = build("resnet18", Imagenet.imagenet_v1)
    assert torch.equal(body.layers["layer4"][1].conv2.weight, state["layer4.1.conv2.weight"])


def test_two_versions_only_where_torchvision_has_them() -> None:
    from dotexp_vision.params import ImagenetTwo

    assert [m.value for m in ImagenetTwo] == ["imagenet", *sorted(f"imagenet_v{i}" for i in (1, 2))]
    assert len(models.ResNet50_Weights) == 2
    for published in (models.ResNet18_Weights, models.ResNet34_Weights, models.SqueezeNet1_1_Weights):
        assert len(published) == len(Imagenet) - 1 == 1
