"""timm's models as bodies: what is known of them without timm is so, and their features and layers are timm's own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import dotexp as api
import pytest
from dotexp import Body, ComponentError, Facts
from dotexp.components.registry import Registry, load_registry
from dotexp_timm.bodies import build
from dotexp_timm.params import Pretrained, TimmBodyParams, facts_of
from dotexp_timm.table import networks, version

from specs import IMAGES, faults, only, resolved

timm = pytest.importorskip("timm")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(timm.__version__ != version(), reason="the table is of another timm")

LIGHT = ("resnet18", "test_vit", "test_resnet", "test_convnext", "mobilenetv3_small_050", "hgnetv2_b0")
HEAVY = ("swin_tiny_patch4_window7_224", "poolformer_s12", "deit_tiny_distilled_patch16_224", "levit_128s",
         "vit_tiny_patch16_224", "resmlp_12_224", "densenet121", "inception_v3", "rdnet_tiny")  # fmt: skip
SAMPLE = [*LIGHT, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins and this one, whether its entry point is installed or not."""
    others = [point for point in entry_points(group="dotexp") if point.name != "dotexp_timm"]
    return load_registry([*others, EntryPoint("dotexp_timm", "dotexp_timm", "dotexp")])


def made(name: str, weights: object = None, **parameters: object) -> Body:
    return build(TimmBodyParams(name=name, weights=weights, **parameters))


def refusal(name: str, weights: object) -> ComponentError:
    with pytest.raises(ComponentError) as caught:
        made(name, weights)
    return caught.value


def facts(name: str, **parameters: object) -> Facts:
    return facts_of(TimmBodyParams(name=name, weights=None, **parameters))


def with_body(body: str, data: str = "digits(classes = 0..2)") -> str:
    return IMAGES.replace("resnet18(weights = none)", body).replace("digits(classes = 0..4)", data)


def images(side: int) -> Any:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SAMPLE)
def test_the_table_is_what_the_survey_finds(name: str) -> None:
    from dotexp_timm.survey import survey
    from dotexp_timm.table import _network

    assert _network(name, *survey(name)) == networks()[name]


def test_the_table_knows_timms_models() -> None:
    known, listed = set(networks()), set(timm.list_models())
    assert known <= listed
    assert len(known) > 0.95 * len(listed)
    for name in ("resnet50", "convnext_tiny", "vit_base_patch16_224", "efficientnet_b0"):
        assert f"{name}.{networks()[name].tags[0]}" in timm.list_models(pretrained=True)


@pytest.mark.parametrize("name", SAMPLE)
def test_published_layers_are_the_built_ones_and_hold_every_parameter_once(name: str) -> None:
    with torch.device("meta"):
        body = made(name)
    assert tuple(body.layers) == facts(name).layers
    of_layers = [id(p) for layer in body.layers.values() for p in layer.parameters()]
    assert sorted(of_layers) == sorted(id(p) for p in body.module.parameters())
    buffers = {id(b) for layer in body.layers.values() for b in layer.buffers()}
    assert buffers == {id(b) for b in body.module.buffers()}
    dropped = [m for m in body.module.modules() if "Drop" in type(m).__name__]
    assert {id(m) for m in dropped} <= {id(m) for layer in body.layers.values() for m in layer.modules()}


@pytest.mark.parametrize("name", SAMPLE)
def test_features_are_what_timms_own_classifier_gets(name: str) -> None:
    network = networks()[name]
    torch.manual_seed(5)
    body = made(name)
    torch.manual_seed(5)
    own = timm.create_model(name, num_classes=1).eval()
    own.load_state_dict(body.module.model.state_dict(), strict=False)
    with torch.no_grad():
        features = body.module.eval()(images(network.side))
        expected = own.forward_head(own.forward_features(images(network.side)), pre_logits=True)
    assert features.shape[:2] == (2, network.features) and body.features == network.features
    if isinstance(expected, torch.Tensor) and network.output == "vector":
        torch.testing.assert_close(features[:, :, 0, 0], expected)
    elif isinstance(expected, torch.Tensor) and expected.shape[1] == network.features:
        pooled = features.mean((2, 3))
        # a norm or a layer behind the pooling is not the average's: those are held by their shape alone
        linear = name in ("resnet18", "test_resnet", "swin_tiny_patch4_window7_224", "densenet121", "inception_v3")
        assert not linear or torch.allclose(pooled, expected, atol=1e-5)


def test_layers_are_timms_groups() -> None:
    body = made("resnet18")
    held = {id(p) for p in body.layers["layer_3"].parameters()}
    assert held == {id(p) for p in body.module.model.layer3.parameters()}
    transformer = made("test_vit")
    stem = {id(p) for p in transformer.layers["stem"].parameters()}
    model = transformer.module.model
    assert {id(model.pos_embed), id(model.cls_token)} <= stem
    assert {id(p) for p in model.patch_embed.parameters()} <= stem


def test_halves_of_the_layers_are_the_groups() -> None:
    groups = facts("resnet18").groups
    assert [(g.name, g.layers) for g in groups] == [
        ("early", ("stem", "layer_1", "layer_2")), ("late", ("layer_3", "layer_4")), ("head", ("head",))
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_file_of_the_whole_model_or_the_body_alone_loads(name: str, suffix: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    own = timm.create_model(name, num_classes=7)
    bare = {key: t.contiguous() for key, t in own.state_dict().items() if not key.startswith(("fc.", "head."))}
    for state in (own.state_dict(), bare):
        path = tmp_path / f"weights{suffix}"
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
        body = made(name, path)
        loaded = body.module.model.state_dict()
        assert loaded.keys() == bare.keys() and all(torch.equal(loaded[key], bare[key]) for key in bare)
    config = own.pretrained_cfg
    assert (body.mean, body.std) == (tuple(config["mean"]), tuple(config["std"]))


def test_what_a_file_lacks_and_adds_is_named(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet").state_dict()
    del state["layer1.0.conv1.weight"]
    torch.save(state | {"strange.weight": torch.zeros(1)}, tmp_path / "odd.pth")
    error = refusal("test_resnet", tmp_path / "odd.pth")
    assert (error.problem.code, error.problem.field) == ("E405", "weights")
    assert "it lacks 1 tensor (layer1.0.conv1.weight); it adds 1 tensor (strange.weight)" in str(error)


def test_without_network_it_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("timm.models._hub._has_hf_hub", True)
    error = refusal("test_resnet.r160_in1k", Pretrained.imagenet)
    assert "timm/test_resnet.r160_in1k" in str(error) and "cannot be downloaded" in str(error)
    assert "model.safetensors of timm/test_resnet.r160_in1k" in error.problem.help


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    error = refusal("resnet18", None)
    assert error.problem.code == "E213"
    assert "`timm_body` needs timm, which is not installed" in str(error)
    assert "dotexp[timm]" in error.problem.help


def test_another_timm_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "list_models", lambda *_, **__: ["resnet50"])
    assert f"dotexp knows the models of timm {version()}" in str(refusal("resnet18", None))


@pytest.mark.process
def test_check_imports_neither_timm_nor_torch(tmp_path: Path) -> None:
    (tmp_path / "a.exp").write_text(with_body('timm_body("resnet18.a1_in1k")'))
    code = (
        "import sys; from importlib.metadata import EntryPoint, entry_points;"
        "from dotexp.components.registry import load_registry; from dotexp.experiment.checking import load;"
        "others = [p for p in entry_points(group='dotexp') if p.name != 'dotexp_timm'];"
        "registry = load_registry([*others, EntryPoint('dotexp_timm', 'dotexp_timm', 'dotexp')]);"
        "found = load(sys.argv[1], registry=registry);"
        "assert found.experiment.model.layers[:2] == ('stem', 'layer_1');"
        "sys.exit(', '.join({'timm', 'torch'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.exp")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("body", "at", "said"),
    [
        ('timm_body("resnet_18")', '"resnet_18"', "did you mean resnet18"),
        ('timm_body("qqqqqqqq")', '"qqqqqqqq"', "are known"),
        ('timm_body("resnet18.a9_in1k")', '"resnet18.a9_in1k"', "it has a1_in1k, a2_in1k"),
        ('timm_body("resnet18", image_size = 64)', "64", "leave image_size out"),
        ('timm_body("resnet18", weights = imagenet1k)', "imagenet1k", "unknown name"),
    ],
)
def test_what_timm_does_not_have_is_told(body: str, at: str, said: str, registry: Registry) -> None:
    found = only(with_body(body), registry=registry)
    assert found.span is not None and found.span.text == at
    assert said in found.message


def test_a_model_without_weights_is_told_at_check(registry: Registry) -> None:
    name = next(name for name, network in networks().items() if not network.tags and not network.fixed)
    found = only(with_body(f'timm_body("{name}")', "digits(size = 256)"), registry=registry)
    assert f"timm has no weights for {name}" in found.message


def test_images_of_another_size_are_told_unless_the_model_is_made_for_them(registry: Registry) -> None:
    vit = 'timm_body("vit_tiny_patch16_224", weights = none{})'
    assert "takes images of 224 × 224 alone" in only(with_body(vit.format("")), registry=registry).message
    assert faults(with_body(vit.format(", image_size = 32")), registry=registry) == []
    assert made("vit_tiny_patch16_224", image_size=32).module(images(32)).shape == (2, 192, 1, 1)
    assert "32 × 32 or larger" in only(
        with_body('timm_body("convnext_atto", weights = none)', "digits(size = 31)"), registry=registry
    ).message  # fmt: skip


@pytest.mark.run
def test_a_frozen_model_stays_as_it_is_and_is_predicted_from(registry: Registry, tmp_path: Path) -> None:
    text = with_body('timm_body("test_resnet", weights = none)', "digits(classes = 0..2, valid = 70%)")
    stages = text[: text.index("stage everything")].replace("one_cycle(epochs = 1, lr = 3e-3)", "flat(1, lr = 1e-2)")
    spec = resolved(f"{stages}\nruntime(threads = 1)", registry=registry)
    run = api.run(spec, runs=tmp_path)
    assert run.result.exists()
    plan = api.plan(spec, runs=tmp_path)
    assert [group.frozen for group in plan.stages[0].groups] == ["all", "all", "none"]


def test_images_whose_side_must_be_a_multiple_are_told(registry: Registry) -> None:
    text = with_body('timm_body("dla34", weights = none)', "digits(size = 100)")
    found = only(text, registry=registry)
    assert (found.code, found.suggestion) == ("E305", "128")
    assert "takes images whose side is a multiple of 32, and `digits` gives 100 × 100" in found.message
    assert faults(text.replace("size = 100", "size = 128"), registry=registry) == []
