"""Faults beyond syntax: each with its code, its place and a way forward."""

from __future__ import annotations

import pytest

from specs import IMAGES, RATINGS, checked, faults, only

CASES = [
    # names
    ("optimizer adam", "optimizer adm", "E203", "adm", "adam"),
    ("head mlp", "head resnet18", "E203", "resnet18", None),
    ("optimizer adam", "optimizer vision.adam", "E203", "vision", "optimizers"),
    ("head mlp", "head timm.mlp", "E203", "timm", "vision"),
    ("optimizer adam", "optimizer optimisers.adam", "E203", "optimisers", "optimizers"),
    ("wd = 0.01", "wdd = 0.01", "E204", "wdd", "wd"),
    ("wd = 0.01", "0.01", "E204", "0.01", None),
    ("epochs = 1, lr = 3e-3", "epochs = 1", "E205", "one_cycle", None),
    ("classes = 0..4", "classes = 4..0", "E207", "4..0", "0..4"),
    ("weights = none", "weights = imagenett", "E208", "imagenett", "imagenet"),
    ("weights = none", "weights = None", "E208", "None", "none"),
    # values
    ("wd = 0.01", 'wd = "a"', "E206", '"a"', None),
    ("wd = 0.01", "wd = true", "E206", "true", None),
    ("wd = 0.01", "wd = 1%", "E206", "1%", None),
    ("wd = 0.01", "wd = -1", "E207", "-1", None),
    ("epochs = 1,", "epochs = 1.0,", "E206", "1.0", "1"),
    ("epochs = 1,", "epochs = 0,", "E207", "0", None),
    ("wd = 0.01", "betas = [0.9]", "E302", "[0.9]", None),
    ("wd = 0.01", 'decay = "decoupled"', "E206", '"decoupled"', "decoupled"),
    ("wd = 0.01", "wd = 0.1, wd = 0.2", "E202", "wd", None),
    # layers, groups, rates
    ("freeze body", "freeze boddy", "E301", "boddy", "body"),
    ("freeze body", "freeze before layer9", "E301", "layer9", "layer4"),
    ("freeze body", "freeze layer3..layer1", "E306", "layer3..layer1", "layer1..layer3"),
    ("freeze body", "freeze body except norms", "E208", "norms", "norm"),
    ("freeze body", "freeze body, head", "E303", "freeze body, head", None),
    ("slice(1e-5, 1e-3)", "[1e-3, 1e-4]", "E302", "[1e-3, 1e-4]", None),
    ("slice(1e-5, 1e-3)", "{early = 1e-3, late = 1e-4}", "E307", "{early = 1e-3, late = 1e-4}", None),
    ("slice(1e-5, 1e-3)", "{earli = 1e-3}", "E301", "{earli = 1e-3}", None),
    ("head mlp", "head mlp groups [stem..layer4]", "E306", "groups [stem..layer4]", None),
    ("head mlp", "head mlp groups a [stem..layer5], b [head]", "E301", "layer5", "layer4"),
    ("head mlp", "head mlp groups a [stem..layer4], a [head]", "E202", "a [head]", None),
    # across statements
    ("loss cross_entropy", "loss mse", "E304", "mse", None),
    ("metrics accuracy", "metrics rmse", "E304", "rmse", None),
    ("data digits(classes = 0..4)", "data latent_ratings", "E305", "resnet18", None),
    ("experiment photos", "experiment photos\nloss mse", "E202", "loss", None),
    ("  fit one_cycle(epochs = 1, lr = 3e-3)", "", "E201", "head", None),
    ("head mlp", "", "E201", "model", None),
    ("stage everything", "stage head", "E202", "head", None),
    ("experiment photos", "dotexp 2 experiment photos", "E207", "2", "1"),
]


@pytest.mark.parametrize(
    ("old", "new", "code", "pointed", "suggestion"), CASES, ids=[f"{c[2]}-{c[1][:30]}" for c in CASES]
)
def test_fault(old: str, new: str, code: str, pointed: str, suggestion: str | None) -> None:
    assert old in IMAGES
    _, diagnostics = checked(IMAGES.replace(old, new, 1))
    matching = [d for d in diagnostics if d.code == code and d.span and d.span.text == pointed]
    assert matching, [(d.code, d.message, d.span.text if d.span else "") for d in diagnostics]
    if suggestion is not None:
        assert matching[0].suggestion == suggestion


def test_every_fault_comes_in_one_pass() -> None:
    text = (
        IMAGES.replace("adam(wd", "adm(wd").replace("freeze body", "freeze boddy").replace("lr = 3e-3", "lrr = 3e-3")
        .replace("cross_entropy", "cross_entropi").replace("resnet18", "resnet19")
    )  # fmt: skip
    pointed = {text for _, text in faults(text)}
    assert {"adm", "lrr", "cross_entropi", "resnet19"} <= pointed


@pytest.mark.parametrize("keyword", ["experiment", "data", "model", "loss", "stage"])
def test_required_statements(keyword: str) -> None:
    lines = [line for line in RATINGS.strip().split("\n") if not line.startswith(keyword)]
    diagnostic = next(d for d in checked("\n".join(lines))[1] if d.code == "E201")
    assert f"`{keyword}`" in diagnostic.message and diagnostic.help


def test_an_empty_file_names_everything_it_needs() -> None:
    assert [code for code, _ in faults("")] == ["E201"] * 5


def test_a_missing_statement_is_not_reported_where_one_did_not_parse() -> None:
    assert "E201" not in [code for code, _ in faults(RATINGS.replace("loss mse", "loss ("))]


def test_groups_that_no_stage_trains_are_one_warning() -> None:
    diagnostic = only(IMAGES.replace("stage everything {", "stage everything { freeze early"))
    assert (diagnostic.code, diagnostic.severity) == ("W502", "warning") and "`early`" in diagnostic.message
    both = only(IMAGES.replace("stage everything {", "stage everything { freeze stem..layer4"))
    assert both.code == "W502" and "`early` and `late`" in both.message


BODY_FROZEN = IMAGES[: IMAGES.index("stage everything")]


@pytest.mark.parametrize("freeze", ["freeze body", "freeze body except norm"])
def test_a_trained_body_that_every_stage_freezes_is_no_warning(freeze: str) -> None:
    text = BODY_FROZEN.replace("weights = none", "weights = imagenet").replace("freeze body", freeze)
    assert faults(text) == []
    assert faults(text + "stage again { freeze body fit flat(1, 1e-3) }") == []


def test_a_random_body_that_every_stage_freezes_is_one_warning() -> None:
    diagnostic = only(BODY_FROZEN)
    assert diagnostic.code == "W502" and "random" in diagnostic.message and "imagenet" in diagnostic.help


def test_a_momentum_that_the_policy_replaces_is_a_warning() -> None:
    text = RATINGS + "\noptimizer sgd(momentum = 0.8)"
    assert only(text).code == "W503"
    assert faults(text.replace("lr = 5e-3", "lr = 5e-3, momentum = none")) == []
    assert faults(RATINGS + "\noptimizer sgd") == []


def test_the_head_has_no_such_group() -> None:
    assert only(RATINGS.replace("{ fit", "{ freeze body fit")).code == "E301"


IMAGES_OF_STAGES = """
experiment photos
data {data}
model {{ body resnet18(weights = none) head mlp }}
loss {loss}
stage first {{ fit one_cycle(epochs = 1, lr = 3e-3) }}
stage second {{ {own} fit one_cycle(epochs = 1, lr = 3e-3) }}
"""


@pytest.mark.parametrize(
    ("data", "own", "pointed"),
    [
        ("digits", "data(split_seed = 7)", "7"),
        ("digits", "data(valid = 30%)", "30%"),
        ("digits", "data(test = 10%)", "10%"),
        ("digits", "data(stratify = true)", "true"),
        ("digits(0..4)", "data(classes = 0..3)", "0..3"),
        ('image_folder("a", valid = "val")', "data(valid = 20%)", "20%"),
        ('image_folder("a")', 'data(label = r"(.)_")', 'r"(.)_"'),
        ('image_folder("a")', 'data(classes = ["a", "b"])', '["a", "b"]'),
        ('image_folder("a", valid = 30%)', 'data image_folder("a", size = 64)', "image_folder"),
        ('image_list("a.csv")', 'data(label = "kind")', '"kind"'),
        ('image_list("a.csv")', 'data image_list("b.csv", valid = "v.txt")', '"v.txt"'),
        ('torchvision_dataset("FakeData")', 'data(valid = "test")', '"test"'),
        ('image_list("a.csv", label_separator = " ")', 'data(label_separator = ",")', '","'),
    ],
)
def test_a_stage_splits_as_the_experiment_does(data: str, own: str, pointed: str) -> None:
    loss = "binary_cross_entropy" if "label_separator" in data else "cross_entropy"
    text = IMAGES_OF_STAGES.format(data=data, own=own, loss=loss)
    assert faults(text) == [("E308", pointed)]
    assert "is one for the whole experiment: " in only(text).message


def test_a_stage_splits_ratings_as_the_experiment_does() -> None:
    text = RATINGS.replace("stage train {", "stage train { data(valid = 0.3)")
    assert faults(text) == [("E308", "0.3")]
    several = RATINGS.replace("latent_ratings", 'ratings("r.csv", time = 3)')
    for own, pointed in (("valid = newest(10%)", "newest"), ("split_seed = 3", "3"), ('test = "t.csv"', '"t.csv"')):
        assert faults(several.replace("stage train {", f"stage train {{ data({own})")) == [("E308", pointed)]


def test_what_does_not_change_the_split_may_change_in_a_stage() -> None:
    for own in (
        "data(size = 64)",
        "data(batch_size = 8)",
        "data(valid = 20%, size = 48)",
        "data digits(batch_size = 4)",
    ):
        assert faults(IMAGES_OF_STAGES.format(data="digits", own=own, loss="cross_entropy")) == []
    said = only(IMAGES_OF_STAGES.format(data="digits(valid = 30%)", own="data digits(size = 64)", loss="cross_entropy"))
    assert said.message == "`valid` is one for the whole experiment: 0.3, and 0.2 in the stage `second`"
    assert said.help == "`data(…)` in a stage, without a component's name, keeps what it does not change"
    assert faults(IMAGES, "stage.head.data.split_seed=9") == [("E308", "9")]


def test_of_a_kind_with_many_components_those_like_the_misspelt_one_are_listed() -> None:
    diagnostic = only(IMAGES.replace("body resnet18", "body resnet_34"))
    names = str(diagnostic.help).removeprefix("bodies installed: ").partition(" and ")[0].split(", ")
    assert diagnostic.message == "unknown body `resnet_34`" and diagnostic.suggestion == "resnet34"
    assert names[0] == "resnet34" and len(names) == 6
    assert str(diagnostic.help).endswith(" more, which `spec-runner show body` lists")


def test_of_a_plugin_that_lacks_a_component_its_own_are_listed() -> None:
    diagnostic = only(IMAGES.replace("body resnet18", "body timm.resnet34"))
    assert diagnostic.message == "plugin `timm` has no body `resnet34`"
    assert diagnostic.help == "it is called `vision.resnet34`; bodies of timm: timm_body"
