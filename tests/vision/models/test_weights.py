"""Weights of bodies: torchvision's, a file's; what does not fit is named, and nothing is downloaded here."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from bodies import BODIES, build, cut, published, refusal
from dotexp import OfKind
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

pytestmark = pytest.mark.run

SQUEEZENET = "squeezenet1_1-imagenet/squeezenet1_1-features-rgb-norm.pth"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def model_of(name: str) -> nn.Module:
    arguments = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    made: nn.Module = models.get_model_builder(name)(num_classes=2, **arguments)
    return made


def save(state: dict[str, Tensor], path: Path) -> Path:
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's folder of downloads, empty, and no network to fill it from."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(("name", "make"), [("resnet18", models.resnet18), ("squeezenet1_1", models.squeezenet1_1)])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_file_gives_torchvisions_features(name: str, make: type, suffix: str, tmp_path: Path) -> None:
    reference = make().eval()
    body = build(name, save(reference.state_dict(), tmp_path / f"weights{suffix}"))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        if name == "squeezenet1_1":
            expected = reference.features(images)
        else:
            expected = nn.Sequential(*list(reference.children())[:-2])(images)
        assert torch.equal(body.module.eval()(images), expected)
    assert (body.mean, body.std) == IMAGENET


def test_body_only_file_of_real_weights_loads(real_data: Path) -> None:
    body = build("squeezenet1_1", real_data / SQUEEZENET)
    given = torch.load(real_data / SQUEEZENET, weights_only=True)
    own = body.module.state_dict()
    assert len(given) == len(own) == 50
    assert all(torch.equal(tensor, own[name.replace("features.", "features_", 1)]) for name, tensor in given.items())


def test_a_file_may_lack_what_a_shorter_cut_leaves_out(real_data: Path, tmp_path: Path) -> None:
    given = torch.load(real_data / SQUEEZENET, weights_only=True)
    first = {name: tensor for name, tensor in given.items() if name.startswith(("features.0.", "features.3."))}
    body = cut("squeezenet1_1", 4, save(first, tmp_path / "first.pth"))
    assert torch.equal(body.layers["features_0"].weight, given["features.0.weight"])
    assert torch.equal(cut("squeezenet1_1", 4, real_data / SQUEEZENET).layers["features_0"].weight,
                       given["features.0.weight"])  # fmt: skip


def test_file_without_batch_counts_is_whole(tmp_path: Path) -> None:
    state = {k: v for k, v in models.resnet18().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert torch.equal(build("resnet18", tmp_path / "old.pth").layers["stem"].conv1.weight, state["conv1.weight"])


def test_weights_take_a_component_of_their_kind() -> None:
    marks = [str(component.params.model_fields["weights"].annotation) for component in BODIES.values()]
    assert len(marks) == 69 and all(repr(OfKind("weights")) in mark for mark in marks)


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.pth") in str(refusal("resnet18", tmp_path / "none.pth"))


def test_strange_tensors_are_named_and_counted(tmp_path: Path) -> None:
    state = models.resnet18().state_dict()
    state["extra.weight"] = torch.zeros(1)
    for name in ("layer4.1.conv2.weight", "conv1.weight"):
        del state[name]
    state["layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    message = str(refusal("resnet18", save(state, tmp_path / "odd.pth")))
    assert "it lacks 2 tensors (conv1.weight, layer4.1.conv2.weight)" in message
    assert "it adds 1 tensor (extra.weight)" in message
    assert "shapes differ in 1 tensor (layer1.0.conv1.weight)" in message


def test_what_only_looks_like_a_classifier_is_told_of(tmp_path: Path) -> None:
    state = {**models.resnet18().state_dict(), "classifier.weight": torch.zeros(1)}
    assert "it adds 1 tensor (classifier.weight)" in str(refusal("resnet18", save(state, tmp_path / "odd.pth")))


def test_a_classifier_of_another_make_is_left_out(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in models.resnet18().state_dict().items() if not name.startswith("fc.")}
    tuned = {**state, "fc.1.weight": torch.zeros(37, 512), "fc.1.bias": torch.zeros(37)}
    assert build("resnet18", save(tuned, tmp_path / "tuned.pth")).mean == IMAGENET[0]


def test_other_networks_weights_are_counted_not_listed(tmp_path: Path) -> None:
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    assert "and 49 more)" in str(refusal("resnet18", tmp_path / "other.pth"))


class _Code:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_code_in_a_weights_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": _Code(tmp_path / "marker")}, tmp_path / "evil.pth")
    assert "evil.pth is a file that holds Python objects" in str(refusal("resnet18", tmp_path / "evil.pth"))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    assert name in str(refusal("resnet18", tmp_path / name))


def test_a_tensor_alone_is_no_state_dict(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "one.pt")
    assert "holds no state dict" in str(refusal("resnet18", tmp_path / "one.pt"))


def test_a_runs_own_weights_are_told_how_to_be_had(tmp_path: Path) -> None:
    state = {"body.stem.conv1.weight": torch.zeros(1), "head.1.weight": torch.zeros(1)}
    error = refusal("resnet18", save(state, tmp_path / "model.safetensors"))
    assert 'run("…")' in error.problem.help


def test_without_network_it_says_which_file_goes_where(hub: Path) -> None:
    error = refusal("resnet34", published("resnet34"))
    assert "ResNet34_Weights.IMAGENET1K_V1" in str(error)
    assert "resnet34-b627a593.pth" in error.problem.help and str(hub) in error.problem.help


@pytest.mark.parametrize(
    ("name", "weights", "file"),
    [
        ("resnet50", published("resnet50"), "resnet50-11ad3fa6.pth"),
        ("resnet50", published("resnet50", "imagenet1k_v1"), "resnet50-0676ba61.pth"),
        pytest.param("vgg16", published("vgg16", "imagenet1k_features"), "vgg16_features-amdegroot-88682ab5.pth",
                     marks=pytest.mark.slow),
        ("mnasnet0_5", published("mnasnet0_5"), "mnasnet0.5_top1_67.823-3ffadce67e.pth"),
    ],
)  # fmt: skip
def test_each_name_means_torchvisions_file(name: str, weights: object, file: str, hub: Path) -> None:
    assert file in refusal(name, weights).problem.help


def put(name: str, file: str, hub: Path) -> dict[str, Tensor]:
    state = model_of(name).state_dict()
    torch.save(state, hub / file)
    return state


def test_imagenet_weights_on_the_machine_are_used(hub: Path) -> None:
    state = put("resnet18", "resnet18-f37072fd.pth", hub)
    body = build("resnet18", published("resnet18", "imagenet1k_v1"))
    assert torch.equal(body.layers["layer4"][1].conv2.weight, state["layer4.1.conv2.weight"])


@pytest.mark.parametrize(
    ("name", "new", "old", "layer"),
    [
        ("densenet121", "denseblock1.denselayer1.norm1.weight", "denseblock1.denselayer1.norm.1.weight", "denseblock1"),
        pytest.param("vit_b_32", "encoder_layer_0.mlp.0.weight", "encoder_layer_0.mlp.linear_1.weight",
                     "encoder_layer_0", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_older_names_of_tensors_are_known(name: str, new: str, old: str, layer: str, tmp_path: Path) -> None:
    state = model_of(name).state_dict()
    given = {key.replace(new, old): tensor for key, tensor in state.items()}
    assert given.keys() != state.keys()
    body = build(name, save(given, tmp_path / "old.pth"))
    full = next(key for key in state if key.endswith(new))
    assert torch.equal(body.layers[layer].state_dict()[new.removeprefix(f"{layer}.")], state[full])


def test_normalisation_is_that_of_the_weights(hub: Path) -> None:
    put("googlenet", "googlenet-1378be20.pth", hub)
    body = build("googlenet", published("googlenet"))
    assert (body.mean, body.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.slow
def test_weights_converted_from_caffe_come_with_their_own_scale(hub: Path) -> None:
    put("vgg16", "vgg16_features-amdegroot-88682ab5.pth", hub)
    body = build("vgg16", published("vgg16", "imagenet1k_features"))
    assert body.mean == (0.48235, 0.45882, 0.40784)
    assert body.std == pytest.approx([1 / 255] * 3)


def test_googles_scale_is_what_torchvision_makes_of_imagenets_inside_the_model(tmp_path: Path) -> None:
    reference = models.googlenet(num_classes=2, init_weights=True, transform_input=True, aux_logits=False).eval()
    body = build("googlenet", save(reference.state_dict(), tmp_path / "googlenet.pth"))
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    def scaled(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        return (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]

    seen: list[Tensor] = []
    reference.avgpool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert body.mean is not None and body.std is not None
    with torch.no_grad():
        reference(scaled(*IMAGENET))
        torch.testing.assert_close(body.module.eval()(scaled(body.mean, body.std)), seen[0])


@pytest.mark.slow
def test_positions_of_a_vision_transformer_are_adapted_to_the_images(tmp_path: Path) -> None:
    state = model_of("vit_b_32").state_dict()
    place = torch.linspace(0, 1, 7)
    grid = (place[:, None] + 2 * place[None, :]).reshape(1, 49, 1).expand(1, 49, 768)
    state["encoder.pos_embedding"] = torch.cat([torch.full((1, 1, 768), 9.0), grid], 1)
    body = build("vit_b_32", save(state, tmp_path / "vit.pth"), image_size=416)
    positions = body.layers["stem"].pos_embedding.detach()[0, :, 0]
    finer = torch.linspace(0, 1, 13)
    inner = slice(2, -2)  # a plane stays a plane, away from the edges
    found = positions[1:].reshape(13, 13)
    torch.testing.assert_close(found[inner, inner], (finer[:, None] + 2 * finer[None, :])[inner, inner])
    assert float(positions[0]) == 9.0


# folders, as models are downloaded


def test_a_folder_stands_for_the_weights_in_it(tmp_path: Path) -> None:
    state = models.resnet18(num_classes=7).state_dict()
    expected = build("resnet18", save(state, tmp_path / "file.safetensors")).module.state_dict()
    names = list(state)
    halves = {name: state[name] for name in names[:50]}, {name: state[name] for name in names[50:]}
    whole, split, old = (tmp_path / name for name in ("whole", "split", "old"))
    for folder in (whole, split, old):
        folder.mkdir()
        (folder / "README.md").write_text("a model")
        (folder / "config.json").write_text("{}")
    save(state, whole / "model.safetensors")
    save({"other": torch.zeros(1)}, whole / "extra.safetensors")
    for number, half in enumerate(halves, 1):
        save(half, split / f"model-0000{number}-of-00002.safetensors")
    weight_map = {name: f"model-0000{1 + (name in halves[1])}-of-00002.safetensors" for name in names}
    (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    save(state, old / "pytorch_model.bin")
    for folder in (whole, split, old):
        found = build("resnet18", folder).module.state_dict()
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_a_folder_without_one_file_of_weights_is_refused(tmp_path: Path) -> None:
    assert "no .safetensors, .bin or .pth file" in str(refusal("resnet18", tmp_path))
    for name in "ab":
        save({name: torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    assert refusal("resnet18", tmp_path).problem.help == "name the file that is meant"
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": 3}')
    assert "is no index of weights" in str(refusal("resnet18", tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../../gone.safetensors"}}')
    assert "lacks gone.safetensors, which its index names" in str(refusal("resnet18", tmp_path))
