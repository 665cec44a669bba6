"""The table of torchvision's models against the installed torchvision, and specs that name bodies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bodies import BODIES, LIGHT
from dotexp.language.diagnostics import Diagnostic
from dotexp_vision.models.catalogue import TITLES
from dotexp_vision.models.survey import model_names, survey
from dotexp_vision.models.table import TABLE, networks
from torchvision import models

from specs import IMAGES, checked, faults, only, resolved


def with_body(body: str, data: str = "digits(classes = 0..4)") -> str:
    return IMAGES.replace("resnet18(weights = none)", body).replace("digits(classes = 0..4)", data)


def test_the_table_has_every_model_and_its_weights() -> None:
    assert list(networks()) == model_names()
    for name, network in networks().items():
        published = models.get_model_weights(name)
        assert [entry.name.lower() for entry in published] == list(network.weights)
        assert published.DEFAULT.name.lower() == network.default


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in set(LIGHT) - {"densenet121"} else pytest.mark.slow)
        for name in model_names()
    ],
)
def test_the_table_is_what_the_survey_finds(name: str) -> None:
    assert json.loads(json.dumps(survey(name))) == json.loads(TABLE.read_text())[name]


def test_every_family_has_bodies_of_its_own_and_the_rest_comes_by_torchvision_body() -> None:
    rest = sorted(set(networks()) - set(TITLES))
    assert len(TITLES) == 68 and set(TITLES) == set(BODIES) - {"torchvision_body"}
    assert {name.rstrip("0123456789_x") for name in rest} == {
        "alexnet", "googlenet", "inception_v", "maxvit_t", "mnasnet", "shufflenet_v"
    }  # fmt: skip
    for name in rest:
        assert resolved(with_body(f'torchvision_body("{name}", weights = none)', "digits(size = 224)"))


def test_named_weights_are_those_that_torchvision_publishes_for_the_model() -> None:
    for name in TITLES:
        members = {member.value for member in type(BODIES[name].params().weights)}
        assert members == {"imagenet", *networks()[name].weights}, name


def test_a_transformers_patch_is_that_of_its_name() -> None:
    for name in ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"):
        patch = int(name[-2:])
        good = with_body(f"{name}(weights = none, image_size = {2 * patch})", f"digits(size = {2 * patch})")
        assert resolved(good)
        assert faults(good.replace(f"image_size = {2 * patch}", f"image_size = {2 * patch + 1}"))[0][0] == "E207"


def fault(text: str) -> Diagnostic:
    return only(text)


def test_an_image_too_small_for_the_body_is_told_at_the_size() -> None:
    said = fault(with_body("squeezenet1_1(weights = none)", "digits(size = 16)"))
    assert (said.code, said.span and said.span.text, said.suggestion) == ("E305", "16", "17")
    assert said.message == "`squeezenet1_1` takes images of 17 × 17 or larger, and `digits` gives 16 × 16"


def test_a_size_that_is_not_written_is_told_at_the_data() -> None:
    said = fault(with_body("vit_b_16(weights = none)", "digits"))
    assert (said.code, said.span and said.span.text, said.suggestion) == ("E305", "digits", None)
    assert said.message == "`vit_b_16` takes images of 224 × 224 alone, and `digits` gives 32 × 32"
    assert said.help == "say so: `size = 224`"


def test_a_stages_own_size_is_checked_too() -> None:
    text = with_body("vgg11(weights = none)", "digits(size = 32)")
    smaller = text.replace("stage everything {", "stage everything {\n  data(size = 24)")
    assert faults(smaller) == [("E305", "24")]
    assert faults(text) == []


def test_a_model_that_takes_a_range_of_sides_names_the_nearer_end() -> None:
    low, high = networks()["maxvit_t"].smallest, networks()["maxvit_t"].largest
    body = 'torchvision_body("maxvit_t", weights = none)'
    assert f"{low} × {low} or larger" in fault(with_body(body, "digits(size = 64)")).message
    assert f"{high} × {high} or smaller" in fault(with_body(body, "digits(size = 256)")).message


@pytest.mark.parametrize(
    ("body", "code", "at", "said"),
    [
        ('torchvision_body("alexnt")', "E207", '"alexnt"', "did you mean alexnet"),
        ('torchvision_body("resnet_50")', "E207", '"resnet_50"', "resnet50"),
        ('torchvision_body("zzzzzzz")', "E207", '"zzzzzzz"', "it has alexnet, convnext_base"),
        ('torchvision_body("alexnet", weights = imagenet1k_v2)', "E207", "imagenet1k_v2", "alexnet has imagenet, imag"),
        ('torchvision_body("alexnet", cut = 15)', "E207", "15", "15 parts, of which 1 to 14 may stay: 15 would"),
        ('torchvision_body("alexnet", cut = -15)', "E207", "-15", "none would"),
        ('torchvision_body("alexnet", cut = 0)', "E207", "0", "none would; its features are the first 13"),
        ("torchvision_body(alexnet)", "E208", "alexnet", "unknown name"),
        ("resnet50(weights = imagenet1k_v3)", "E208", "imagenet1k_v3", "unknown name"),
    ],
)
def test_what_no_model_has_is_told_with_what_there_is(body: str, code: str, at: str, said: str) -> None:
    _, diagnostics = checked(with_body(body))
    found = next(d for d in diagnostics if d.code == code)
    assert found.span is not None and found.span.text == at
    assert said in found.message


@pytest.mark.process
def test_weights_that_a_model_does_not_have_are_answered_with_those_it_has() -> None:
    said = fault(with_body("resnet50(weights = imagenet1k_v3)"))
    assert said.help.endswith("imagenet, imagenet1k_v1, imagenet1k_v2, file, run, none")
    assert said.suggestion in ("imagenet1k_v1", "imagenet1k_v2")


def test_a_part_of_torchvision_body_is_a_layer_to_freeze_and_group() -> None:
    text = with_body('torchvision_body("googlenet", weights = none)', "digits(size = 64)")
    found = resolved(text.replace("freeze body", "freeze before inception4a")).experiment
    assert found.model.groups[1].layers[0] == "maxpool3"
    own = text.replace("head mlp", "head mlp\n  groups front [conv1..inception5b], head [head]")
    assert [g.name for g in resolved(own).experiment.model.groups] == ["front", "head"]


def test_what_is_resolved_says_the_same_again(tmp_path: Path) -> None:
    from dotexp.experiment.text import as_text

    text = with_body('torchvision_body("alexnet", weights = none, cut = -4)', "digits(size = 96)")
    first = resolved(text).experiment
    assert resolved(as_text(first)).experiment == first
