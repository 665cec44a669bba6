"""Faults beyond syntax: each with its code, its place and a way forward."""

from __future__ import annotations

import pytest

from specs import IMAGES, RATINGS, checked, faults, only

CASES = [
    # names
    ("optimizer adam", "optimizer adm", "E203", "adm", "adam"),
    ("head mlp", "head resnet18", "E203", "resnet18", None),
    ("optimizer adam", "optimizer vision.adam", "E203", "adam", None),
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
